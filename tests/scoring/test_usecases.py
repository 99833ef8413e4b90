"""What a fact about an assessment comes to: kept once, published alike each time, and never put back."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chassis.intake import Fork, UnknownReference
from chassis.records import Rejected
from contracts.assessment import Stage
from contracts.events import CYCLE_OPENED, INSTRUMENT_PUBLISHED, SCORE_RECALCULATED
from contracts.fact import fact_id
from contracts.scoring import ScoreRecalculated
from services.assessment import catalogue
from services.scoring.domain.score import RULE
from services.scoring.domain.summary import ALL_KINDS
from services.scoring.usecases import score as usecases
from tests.scoring.desk import BEGUN, Desk, Furnish, every, read, state, told

pytestmark = pytest.mark.real


async def current(desk: Desk, assessment: str = "spbe-2023:32.11") -> dict[str, Any]:
    """What is shown now."""
    found = await desk.database["current"].find_one({"_id": assessment})
    assert found is not None
    return found


# A projection


async def test_every_stage_is_scored_kept_and_published_at_the_sources_revision_and_time(desk: Desk) -> None:
    levels = {**every(3), Stage.DOCUMENT: dict.fromkeys(range(1, 48), "4"), Stage.INTERVIEW: {1: "5"}}
    await desk.score(told(state(levels=levels), revision=4))
    (fact,) = desk.published.facts
    envelope = fact.envelope
    assert envelope.id == fact_id(aggregate="spbe-2023:32.11", revision=4, rule=RULE, type=SCORE_RECALCULATED.type)
    assert (fact.key, envelope.region, envelope.subject) == ("32.11", "32.11", "spbe-2023:32.11")
    assert (envelope.revision, envelope.rule, envelope.time) == (4, RULE, BEGUN + timedelta(minutes=4))
    assert envelope.visibility == "supervised"
    body = ScoreRecalculated.model_validate_json(fact.value)
    shown = {stage: getattr(score, "index", None) for stage, score in body.scores.items()}
    assert {stage: figure and figure.shown for stage, figure in shown.items()} == {
        Stage.SELF: "3.00",
        Stage.DOCUMENT: "4.00",
        Stage.INTERVIEW: None,
    }
    kept = await current(desk)
    assert (kept["revision"], kept["rule"], kept["province"], kept["kind"]) == (4, RULE, "32", "regency")
    assert kept["scores"]["self"]["index"] == {"value": "3", "shown": "3.00"}
    assert kept["scores"]["interview"] == {"missing": list(range(2, 48))}
    assert await desk.database["history"].count_documents({"assessment": "spbe-2023:32.11"}) == 1


async def test_a_repeat_changes_nothing_and_publishes_the_same_bytes_under_the_same_id(desk: Desk) -> None:
    facts = [told(state(levels=every(level)), revision=level) for level in (1, 2, 3)]
    await desk.score(*facts)
    before = {name: docs for name, docs in (await desk.everything()).items() if name in ("history", "current")}
    await desk.score(facts[1], facts[0])
    await desk.score(facts[0], facts[0], facts[2], facts[1])
    after = await desk.everything()
    assert {name: after[name] for name in before} == before
    assert len(desk.published.facts) == 9
    assert len({(fact.envelope.id, fact.value) for fact in desk.published.facts}) == 3


async def test_a_late_fact_joins_the_history_and_leaves_the_view_where_it_is(desk: Desk) -> None:
    await desk.score(told(state(levels=every(5)), revision=3))
    await desk.score(told(state(levels=every(2)), revision=1))
    assert (await current(desk))["scores"]["self"]["index"]["shown"] == "5.00"
    history = await desk.database["history"].find().sort("revision", 1).to_list(None)
    assert [(d["revision"], d["scores"]["self"]["index"]["shown"]) for d in history] == [(1, "2.00"), (3, "5.00")]
    assert [fact.envelope.revision for fact in desk.published.facts] == [3, 1], "others mend the order themselves"


# Refused


@pytest.mark.parametrize(
    ("body", "code", "tells"),
    [
        (state("99.99", levels=every(3)), "unknown_region", "no region 99.99"),
        (state(levels={Stage.SELF: {7: "6"}}), "level_off_scale", "indicator 7: level 6"),
        (state(levels={Stage.SELF: {48: "3"}}), "level_off_scale", "no indicator 48"),
        (state(levels=every(3) | {Stage.DOCUMENT: {1: "2.5"}}), "level_off_scale", "level 2.5"),
    ],
)
async def test_what_cannot_be_scored_is_rejected_before_anything_is_written(
    desk: Desk, body: Any, code: str, tells: str
) -> None:
    with pytest.raises(Rejected, match=tells) as refused:
        await desk.score(told(state("32.12", levels=every(3))), told(body))
    assert refused.value.code == code
    written = await desk.everything()
    assert (written.get("history", []), written.get("current", []), desk.published.facts) == ([], [], [])


async def test_an_instrument_that_nobody_told_of_is_waited_for_and_then_known_at_once(furnish: Furnish) -> None:
    desk = await furnish()
    fact = told(state(levels=every(3)))
    for _ in range(2):
        with pytest.raises(UnknownReference, match=r"livinglab\.instrument has not told of spbe-2020") as missing:
            await desk.score(fact)
        assert missing.value.name == "spbe-2020"
    other = await furnish()  # another worker hears of it
    learned = read(INSTRUMENT_PUBLISHED, catalogue.instrument("spbe-2020"), key="spbe-2020")
    await usecases.learn_instruments([learned], projection=other.projection, letters=other.letters)
    await desk.score(fact)
    assert len(desk.published.facts) == 1


# Forks


async def test_a_second_history_of_an_assessment_stops_before_anything_is_derived_from_it(desk: Desk) -> None:
    await desk.score(told(state(levels=every(3)), revision=1))
    before = await current(desk)
    for other in (told(state(levels=every(4)), revision=1), told(state(levels=every(3), status="reopened"))):
        with pytest.raises(Fork, match=r"two histories of spbe-2023:32\.11"):
            await desk.score(told(state("32.12", levels=every(3))), other)
        assert await current(desk) == before
    assert len(desk.published.facts) == 1


async def test_a_second_instrument_of_the_same_id_is_a_fork_and_a_repeat_is_none(desk: Desk) -> None:
    instrument = catalogue.instrument("spbe-2020")
    same = read(INSTRUMENT_PUBLISHED, instrument, key="spbe-2020")
    await usecases.learn_instruments([same, same], projection=desk.projection, letters=desk.letters)
    other = read(INSTRUMENT_PUBLISHED, instrument.model_copy(update={"name_en": "Another"}), key="spbe-2020")
    with pytest.raises(Fork, match="spbe-2020 was published twice, differently"):
        await usecases.learn_instruments([other], projection=desk.projection, letters=desk.letters)


async def test_a_second_cycle_of_the_same_id_is_a_fork(desk: Desk) -> None:
    cycle = catalogue.cycle("spbe-2023")
    assert cycle is not None
    same = read(CYCLE_OPENED, cycle, key="spbe-2023")
    await usecases.learn_cycles([same, same], projection=desk.projection)
    assert await desk.instruments.cycle("spbe-2023") == cycle
    other = read(CYCLE_OPENED, cycle.model_copy(update={"period": 2024}), key="spbe-2023")
    with pytest.raises(Fork, match="spbe-2023 was opened twice, differently"):
        await usecases.learn_cycles([other], projection=desk.projection)


# Summaries


async def test_a_flood_of_facts_raises_one_mark_and_nothing_is_counted_meanwhile(desk: Desk) -> None:
    codes = ["32.04", "32.05", "32.10", "32.11", "32.12"]
    for revision in range(1, 11):
        await desk.score(*(told(state(code, levels=every(3)), revision=revision) for code in codes))
    (mark,) = (await desk.everything())["summaries"]
    assert (mark["_id"], mark["raised"], "parts" in mark) == ("spbe-2023/32", 50, False)


async def test_summaries_follow_corrections_and_forget_who_has_no_index_any_more(desk: Desk) -> None:
    deriving = asyncio.create_task(usecases.derive_summaries(desk.summaries))

    async def settled() -> dict[str, dict[str, int]]:
        async with asyncio.timeout(20):
            while await desk.unsettled():
                await asyncio.sleep(0.02)
        (nation,) = await desk.database["nations"].find().to_list(None)
        kinds = nation["parts"].get("self", {}).get("supervised", {})
        return {kind: dict(part["shown"]) for kind, part in kinds.items() if kind != ALL_KINDS}

    await desk.score(told(state("32.11", levels=every(3))), told(state("32", levels=every(4))))
    await desk.score(told(state("31", levels=every(5))))
    assert await settled() == {"regency": {"3.00": 1}, "province": {"4.00": 1, "5.00": 1}}
    await desk.score(told(state("32.11", levels=every(2), status="reopened"), revision=2))
    assert await settled() == {"regency": {"2.00": 1}, "province": {"4.00": 1, "5.00": 1}}
    gap = {Stage.SELF: dict.fromkeys(range(1, 47), "3")}
    await desk.score(told(state("31", levels=gap, status="reopened"), revision=2))
    assert await settled() == {"regency": {"2.00": 1}, "province": {"4.00": 1}}
    assert not deriving.done()
    deriving.cancel()
    await asyncio.gather(deriving, return_exceptions=True)


@pytest.mark.parametrize(
    "where",
    [
        {"cycle": "spbe-2023", "province": "32"},
        {"region": {"$in": ["32.11"]}, "cycle": "spbe-2023"},
        {"cycle": "spbe-2023", "kind": "regency", "order.self": {"$exists": True}},
        {"public": True, "cycle": "spbe-2023", "kind": "city", "order.official": {"$exists": True}},
        {"public": True, "cycle": "spbe-2023", "_id": {"$gt": ""}},
        {"assessors": "somebody", "cycle": "spbe-2023"},
    ],
)
async def test_what_is_asked_of_scores_has_an_index(desk: Desk, where: Any) -> None:
    await desk.score(*(told(state(code, levels=every(3))) for code in ("32.11", "32.12", "31")))
    plan = await desk.database["current"].find(where).explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
