"""Topics deleted and built again while the services run, and dead letters tried again; on the real parts."""

import asyncio
import json
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from bson import json_util
from pymongo import MongoClient
from pymongo.database import Database
from typer.testing import CliRunner, Result

from chassis.producer import Producer, client_options
from chassis.records import OutgoingFact, outgoing
from chassis.settings import Settings
from contracts import events, topics
from contracts.assessment import AssessmentState, PredicateBasis, Stage, Status
from contracts.fact import Visibility
from contracts.roles import Role
from contracts.topics import Topic
from lab import published, region, republish, system
from lab.cli import app
from lab.errors import LabError
from lab.region import Access, Visitor
from lab.settings import settings_at
from services.assessment import catalogue
from services.notify.tail import COMMITTED_WITHIN

DEADLINE_S = 30.0
REGIONS = ("32.11", "32", "32.73", "35.78", "33.11")
GROUP = "scoring.assessment"

State = dict[str, list[Any]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[system.System]:
    """A system of its own: topics of the one that other tests share are not deleted under them."""
    directory = tmp_path_factory.mktemp("republish")
    with pytest.MonkeyPatch.context() as patch:
        for variable in system.ADDRESS_VARIABLES.values():
            patch.delenv(variable, raising=False)
        running = system.up(directory, outlives_parent=False)
        asyncio.run(report(running))
        yield running
        system.down(directory)


@pytest.fixture(scope="module")
def settings(lab: system.System) -> Settings:
    return settings_at(lab.directory)


@pytest.fixture(scope="module")
def scoring(settings: Settings) -> Generator[Database[dict[str, Any]]]:
    """The database of scoring."""
    with MongoClient[dict[str, Any]](settings.mongodb_uri.get_secret_value(), tz_aware=True) as client:
        yield client["scoring"]


@pytest.fixture
def livinglab(lab: system.System) -> Callable[..., Result]:
    """The command, on the lab of these tests."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--directory", str(lab.directory)])

    return run


async def report(running: system.System) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        access = Access(http, running.environment["OIDC_ISSUER"], running.services)
        for code in REGIONS:
            await report_one(access, code)
        reviewer = await access.sign_in("kemenpanrb", Role.REVIEWER)
        decree = {"cycle": "spbe-2023", "decree": "Keputusan simulasi", "decree_date": "2024-01-11"}
        imported = await reviewer.send(
            "POST",
            access.url("scoring", "official/imports"),
            params=decree,
            content=b"code,index\n32.11,4.14\n",
            headers={**region.fresh_key(), "Content-Type": "text/csv"},
        )
        status = f"{running.services['scoring']}{imported.headers['location']}"
        async with asyncio.timeout(DEADLINE_S):
            while (await reviewer.send("GET", status)).json()["status"] != "carried":
                await asyncio.sleep(0.1)


async def report_one(access: Access, code: str) -> None:
    levels = next(result.levels for result in published.read() if result.code == code)
    await region.report(access, code, cycle="spbe-2023", levels=levels, fakta="")


def eventually(check: Callable[[], bool], missing: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < deadline, missing
        time.sleep(0.1)


def settled(scoring: Database[dict[str, Any]], settings: Settings) -> State:
    """What scoring has derived, once nothing is on its way any more."""
    eventually(lambda: asyncio.run(lag(settings)) == 0, "the lag does not return to 0")
    eventually(lambda: not scoring["summaries"].count_documents({"raised": {"$gt": 0}}), "summaries stay due")
    without = {"raised": 0, "due_at": 0, "claim": 0}
    return {
        name: [json_util.dumps(document) for document in scoring[name].find({}, fields).sort("_id", 1)]
        for name, fields in (("history", {}), ("current", {}), ("summaries", without))
    }


async def lag(settings: Settings) -> int:
    partitions = [TopicPartition(topics.ASSESSMENT.name, number) for number in range(topics.ASSESSMENT.partitions)]
    options = client_options(settings)
    admin, consumer = AIOKafkaAdminClient(**options), AIOKafkaConsumer(**options)
    await admin.start()
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        committed = await admin.list_consumer_group_offsets(GROUP, partitions=partitions)
        return sum(end - max(0, committed[tp].offset) for tp, end in ends.items())
    finally:
        await consumer.stop()
        await admin.close()


async def read(topic: Topic, settings: Settings) -> dict[str, set[bytes]]:
    """Fact id → the values that the topic has under it, from its beginning to its end."""
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer = AIOKafkaConsumer(**client_options(settings), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[str, set[bytes]] = {}
        async with asyncio.timeout(DEADLINE_S):
            while [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        found.setdefault(dict(record.headers)["ce_id"].decode(), set()).add(record.value or b"")
        return found
    finally:
        await consumer.stop()


def test_a_topic_that_nobody_has_is_told_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"livinglab\.public"):
        republish.plan("livinglab.scores")


def test_commands_topics_come_from_archives_and_projections_from_their_sources() -> None:
    assert republish.plan("livinglab.assessment").services == ("assessment",)
    assert republish.plan("livinglab.assessment").projections == ()
    assert republish.plan("livinglab.score").services == ("scoring",)  # official results
    assert [p.group for p in republish.plan("livinglab.score").projections] == [GROUP]
    assert republish.plan("livinglab.public").owners == ["assessment", "commitment", "notify", "scoring"]
    assert {republish.plan(topic.name).topic for topic in topics.ALL} == set(topics.ALL)


@pytest.mark.real
@pytest.mark.parametrize("topic", [topics.ASSESSMENT, topics.PUBLIC], ids=lambda topic: topic.name)
def test_a_topic_built_from_archives_has_the_same_facts_and_changes_nothing(
    topic: Topic,
    lab: system.System,
    settings: Settings,
    scoring: Database[dict[str, Any]],
    livinglab: Callable[..., Result],
) -> None:
    state, facts = settled(scoring, settings), asyncio.run(read(topic, settings))
    assert facts
    done = livinglab("republish", topic.name, "--yes")
    assert done.exit_code == 0, done.output
    assert asyncio.run(read(topic, settings)) == facts
    assert settled(scoring, settings) == state
    assert "Not yet" not in done.output, done.output


@pytest.mark.real
def test_a_projections_topic_is_built_by_running_it_again(
    lab: system.System, settings: Settings, scoring: Database[dict[str, Any]], livinglab: Callable[..., Result]
) -> None:
    state, facts = settled(scoring, settings), asyncio.run(read(topics.SCORE, settings))
    assert len(facts) == len(REGIONS) + 1, "the scores, and one official result out of the archive"
    done = livinglab("republish", topics.SCORE.name, "--yes")
    assert done.exit_code == 0, done.output
    assert f"Begun anew: {GROUP}" in done.output
    assert asyncio.run(read(topics.SCORE, settings)) == facts
    assert all(len(values) == 1 for values in facts.values())
    assert settled(scoring, settings) == state


@pytest.mark.real
async def test_an_open_stream_is_told_that_a_topic_was_rebuilt_and_not_what_it_held(
    lab: system.System, livinglab: Callable[..., Result]
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    async with httpx.AsyncClient(trust_env=False) as http:
        access = Access(http, lab.environment["OIDC_ISSUER"], lab.services)
        administrator = await access.sign_in("kemenpanrb", Role.ADMINISTRATOR)
        right = access.url("notify", "rights/kemendagri")
        await administrator.send("PUT", right, json={"reach": "national"})
        reader = await access.sign_in("kemendagri", Role.SUPERVISOR)
        listening = asyncio.create_task(listen(access.url("notify", "stream"), reader, told))
        try:
            await until(lambda: ("open", {}) in told)
            begun = datetime.now(UTC)
            done = await asyncio.to_thread(livinglab, "republish", topics.ASSESSMENT.name, "--yes")
            assert done.exit_code == 0, done.output
            # The topic is as long as before, so that nothing shows it until more is sent; the next one is then told.
            await report_one(access, "33.14")
            await until(lambda: ("reset", {"reason": "rebuilt"}) in told)
            await report_one(access, "33.15")
            await until(lambda: any(data.get("region") == "33.15" for _, data in told))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    times = [datetime.fromisoformat(data["time"]) for event, data in told if ".assessment." in event]
    assert min(times) >= begun - COMMITTED_WITHIN


async def listen(url: str, reader: Visitor, told: list[tuple[str, dict[str, Any]]]) -> None:
    """All that the stream tells, as (event, data)."""
    signed = {"Authorization": reader.authorization or ""}
    async with reader.http.stream("GET", url, headers=signed, timeout=None) as answer:
        assert answer.status_code == 200
        event = ""
        async for line in answer.aiter_lines():
            if line.startswith("id:"):
                told.append(("open", {}))
            elif line.startswith("event:"):
                event = line.removeprefix("event: ")
            elif line.startswith("data:"):
                told.append((event, json.loads(line.removeprefix("data: "))))


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not check():
            await asyncio.sleep(0.05)


@pytest.mark.real
def test_what_is_submitted_after_a_rebuild_is_scored(
    lab: system.System, settings: Settings, scoring: Database[dict[str, Any]]
) -> None:
    fact = submission("33.12", instrument="spbe-2020")
    asyncio.run(send(fact, settings))
    eventually(lambda: scoring["current"].find_one({"_id": fact.aggregate}) is not None, "no score after a rebuild")


@pytest.mark.real
def test_a_dead_letter_is_tried_again_once_its_cause_is_gone(
    lab: system.System, settings: Settings, scoring: Database[dict[str, Any]], livinglab: Callable[..., Result]
) -> None:
    fact = submission("33.13", instrument="spbe-2099")
    asyncio.run(send(fact, settings))
    eventually(lambda: scoring["dead_letters"].find_one({"status": "open"}) is not None, "no dead letter")
    letter = scoring["dead_letters"].find_one({"status": "open"})
    assert letter
    listed = livinglab("dead-letters", "list")
    assert "spbe-2099" in listed.stdout
    assert "waits for: spbe-2099\n" in livinglab("dead-letters", "show", letter["_id"]).stdout

    too_early = livinglab("dead-letters", "retry", letter["_id"])
    assert too_early.exit_code == 1, too_early.output

    instrument = catalogue.instrument("spbe-2020").model_copy(update={"instrument": "spbe-2099"})
    scoring["instruments"].insert_one({"_id": "spbe-2099", "digest": "", "body": instrument.model_dump_json()})
    retried = livinglab("dead-letters", "retry", letter["_id"])
    assert retried.exit_code == 0, retried.output
    current = scoring["current"].find_one({"_id": fact.aggregate})
    assert current
    assert current["scores"]["self"]["index"]["shown"] == "3.00"


@pytest.mark.real
def test_a_discarded_letter_stays_listed_and_is_not_tried_again(
    lab: system.System, settings: Settings, scoring: Database[dict[str, Any]], livinglab: Callable[..., Result]
) -> None:
    asyncio.run(send(submission("33.14", instrument="spbe-2020", level="6"), settings))
    eventually(lambda: scoring["dead_letters"].find_one({"status": "open"}) is not None, "no dead letter")
    letter = scoring["dead_letters"].find_one({"status": "open"})
    assert letter
    assert livinglab("dead-letters", "discard", letter["_id"]).exit_code == 0
    again = livinglab("dead-letters", "retry", letter["_id"])
    assert again.exit_code == 1
    assert "is discarded" in again.output
    assert "level_off_scale" in livinglab("dead-letters", "list", "--status", "discarded").stdout


def submission(code: str, *, instrument: str, level: str = "3") -> OutgoingFact:
    """A fact as the assessment service would send it."""
    body = AssessmentState(
        assessment=f"spbe-2023:{code}",
        region=code,
        instrument=instrument,
        cycle="spbe-2023",
        period=2023,
        predicate_basis=PredicateBasis.ROUNDED,
        status=Status.SUBMITTED,
        levels={Stage.SELF: dict.fromkeys(range(1, 48), level)},
    )
    return outgoing(
        events.ASSESSMENT_SUBMITTED,
        body,
        key=code,
        revision=1,
        time=datetime.now(UTC),
        visibility=Visibility.SUPERVISED,
        region=code,
    )


async def send(fact: OutgoingFact, settings: Settings) -> None:
    producer = Producer(settings, service="test")
    sent = await producer.send(
        fact.topic.name, key=fact.key.encode(), value=fact.value, headers=fact.envelope.headers()
    )
    await producer.wait([sent])
    await producer.stop()
