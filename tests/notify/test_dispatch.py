"""Every event reaches every endpoint at least once, the same bytes each time, in order if asked for; or it is told."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from chassis import clock
from chassis.intake import Fork
from contracts.notify import Why
from services.notify.domain.endpoint import Health
from services.notify.domain.right import PUBLIC, Kind, Right
from services.notify.domain.subscription import Status, Subscription, paused, resumed
from services.notify.store.lanes import Lanes
from services.notify.store.rights import Rights
from services.notify.usecases import dispatch, replay
from tests.notify.office import DIRECTORY, Endpoint, Office, ago, listening, manager, soon, state

pytestmark = pytest.mark.real
REGIONS = [region.code for region in DIRECTORY if region.code.startswith("32.")]
Furnish = Callable[..., Awaitable[Office]]


def always(status: int, **headers: str) -> Callable[[str, int], Awaitable[web.Response]]:
    async def answer(_name: str, _count: int) -> web.Response:
        return web.Response(status=status, headers=headers)

    return answer


def only(**wanted: int) -> Callable[[Any], bool]:
    return lambda statuses: dict(statuses) == wanted


async def test_each_event_comes_once_to_an_endpoint_that_takes_it(office: Office) -> None:
    async with listening(Endpoint()) as endpoint, office.open():
        await office.subscribe(endpoint.url)
        facts = [state(code, revision) for code in REGIONS for revision in (1, 2, 3)]
        await office.hear(*facts)
        await office.until(only(delivered=len(facts)))
        assert endpoint.times() == dict.fromkeys((str(fact.envelope.id) for fact in facts), 1)
        await soon(lambda: is_empty(office))
        attempts = [one["attempts"] for one in await office.deliveries()]
        assert all(len(of_one) == 1 and of_one[0]["status"] == 204 for of_one in attempts)


async def test_a_batch_that_comes_again_delivers_nothing_again(office: Office) -> None:
    async with listening(Endpoint()) as endpoint, office.open():
        await office.subscribe(endpoint.url)
        facts = [state(code, 1) for code in REGIONS]
        for _ in range(3):
            await office.hear(*facts)
        await office.until(only(delivered=len(facts)))
        await office.hear(state("32.11", 2))
        await office.until(only(delivered=len(facts) + 1))
        assert set(endpoint.times().values()) == {1}


async def test_what_fails_comes_again_with_the_same_id_and_bytes(office: Office) -> None:
    tries: dict[str, int] = {}

    async def second_time(name: str, _count: int) -> web.Response:
        tries[name] = tries.get(name, 0) + 1
        return web.Response(status=204 if tries[name] > 1 else 503)

    async with listening(Endpoint(answers=second_time)) as endpoint, office.open():
        await office.subscribe(endpoint.url)
        await office.hear(*(state(code, 1) for code in REGIONS[:4]))
        await office.until(only(delivered=4))
        assert set(endpoint.times().values()) == {2}
        assert len(set(endpoint.came)) == 4
        for one in await office.deliveries():
            assert [attempt["status"] for attempt in one["attempts"]] == [503, 204]


async def test_attempts_that_are_used_up_are_told_to_the_owner(office: Office) -> None:
    async with listening(Endpoint(answers=always(500))) as endpoint, office.open():
        await office.subscribe(endpoint.url)
        await office.hear(state("32.11", 1))
        await office.until(only(exhausted=1))
        assert len(endpoint.came) == 4
        [kept] = await office.parts.collection("deliveries").find({}).to_list(None)
        [entry] = kept["outbox"]
        assert entry["topic"] == "livinglab.delivery"
        assert entry["headers"]["ce_visibility"] == "supervised"
        assert len(kept["attempts"]) == 4


@pytest.mark.parametrize("held", [False, True])
async def test_in_order_per_aggregate_a_blocked_head_holds_its_lane_and_no_other(office: Office, held: bool) -> None:
    """The head of one region fails: until it is given up, or taken, nothing of that region comes after it."""
    blocked = str(state("32.11", 1).envelope.id)
    tries = 0

    async def answers(name: str, _count: int) -> web.Response:
        nonlocal tries
        if name == blocked:
            tries += 1
            return web.Response(status=500 if held or tries < 3 else 204)
        return web.Response(status=204)

    async with listening(Endpoint(answers=answers)) as endpoint, office.open():
        await office.subscribe(endpoint.url, ordered=True)
        facts = [state(code, revision) for revision in (1, 2, 3) for code in ("32.11", "32.01", "32.04")]
        await office.hear(*facts)
        await office.until(only(delivered=8, exhausted=1) if held else only(delivered=9))
        for code in ("32.01", "32.04"):
            order = [str(fact.envelope.id) for fact in facts if fact.key == code]
            assert [name for name in endpoint.taken if name in order] == order
        came = [name for name, _ in endpoint.came]
        others = [str(state("32.11", revision).envelope.id) for revision in (2, 3)]
        last = len(came) - 1 - came[::-1].index(blocked)
        assert [name for name in came if name in others] == others
        assert all(came.index(name) > last for name in others)


async def test_two_workers_racing_send_no_order_astray_and_lose_nothing(furnish: Furnish) -> None:
    first, second = await furnish(), await furnish()
    second = replace(second, keys=first.keys)
    async with listening(Endpoint()) as endpoint, first.open(), second.open():
        await first.subscribe(endpoint.url, ordered=True)
        facts = [state(code, revision) for revision in range(1, 6) for code in REGIONS]
        await asyncio.gather(*(office.hear(*facts[n::2]) for n, office in enumerate((first, second))))
        await first.until(only(delivered=len(facts)))
        assert endpoint.times().keys() == {str(fact.envelope.id) for fact in facts}


async def test_an_endpoint_that_hangs_delays_no_other(office: Office) -> None:
    async def hang(_name: str, _count: int) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with listening(Endpoint(answers=hang)) as dead, listening(Endpoint()) as healthy, office.open():
        await office.subscribe(dead.url, id="dead", organization="bssn")
        await office.subscribe(healthy.url, id="healthy")
        await office.hear(*(state(code, 1) for code in REGIONS))
        await office.until(only(delivered=len(REGIONS)))
        assert not [one for one in await office.deliveries("bssn") if one["status"] == "delivered"]


async def test_a_right_withdrawn_counts_for_what_is_on_its_way(office: Office) -> None:
    async with listening(Endpoint()) as endpoint:
        await office.subscribe(endpoint.url)
        await office.hear(state("32.11", 1), state("32.11", 2, public=True))
        await office.grant("kemendagri", PUBLIC)
        async with office.open():
            await office.until(only(delivered=1, withheld=1))
        assert [name for name, _ in endpoint.came] == [str(state("32.11", 2, public=True).envelope.id)]


async def test_nothing_is_made_for_whom_may_not_be_told(office: Office) -> None:
    await office.subscribe("http://127.0.0.1:1/", organization="32", right=Right(Kind.REGIONS, ("32",)))
    await office.hear(state("73.71", 1), state("32.11", 1), state("73.71", 2, public=True))
    made = await office.parts.collection("deliveries").find({}).to_list(None)
    assert sorted(one["region"] for one in made) == ["32.11", "73.71"]


async def test_what_happened_before_a_subscription_is_not_for_it_and_the_very_old_for_nobody(office: Office) -> None:
    await office.subscribe("http://127.0.0.1:1/", active_from=ago(days=2))
    await office.hear(state("32.11", 1, at=ago(days=3)), state("32.11", 2, at=ago(days=1)))
    await office.hear(state("32.04", 1, at=ago(days=40)))
    assert [one["time"] > ago(days=2) for one in await office.deliveries()] == [True]
    assert len(await office.parts.collection("events").find({}).to_list(None)) == 2


async def test_a_second_history_of_an_aggregate_stops_us(office: Office) -> None:
    await office.hear(state("32.11", 1))
    with pytest.raises(Fork, match=r"spbe-2023:32\.11/1/0"):
        await office.hear(state("32.11", 1, public=True))


async def test_an_endpoint_that_is_gone_is_disabled_and_its_owner_told(office: Office) -> None:
    async with listening(Endpoint(answers=always(410))) as endpoint, office.open():
        made = await office.subscribe(endpoint.url)
        await office.hear(*(state(code, 1) for code in REGIONS[:3]))
        found = await disabled(office, made.id)
        assert found.disabled_for is Why.GONE
        [kept] = await office.parts.collection("subscriptions").find({}).to_list(None)
        assert [entry["topic"] for entry in kept["outbox"] if "topic" in entry] == ["livinglab.subscription"]
        assert kept["tokens"] == []


async def test_an_endpoint_that_fails_for_days_is_disabled_and_what_waited_comes_when_it_is_back(
    furnish: Furnish,
) -> None:
    office = await furnish(webhook_disable_after_s=0.3, webhook_schedule_s=(0, *[0.1] * 40))
    async with listening(Endpoint(answers=always(500))) as endpoint, office.open():
        made = await office.subscribe(endpoint.url)
        await office.hear(state("32.11", 1))
        assert (await disabled(office, made.id)).disabled_for is Why.FAILING
        endpoint.answers = None
        viewer = manager("kemendagri")
        await office.stores.subscriptions.change(
            made.id, viewer=viewer, what="test", decide=lambda it: replace(it, status=Status.ACTIVE)
        )
        await office.stores.lanes.wake(made.id)
        await office.until(only(delivered=1))


async def test_a_pause_holds_what_comes_and_a_resumption_sends_it(office: Office) -> None:
    viewer = manager("kemendagri")
    async with listening(Endpoint()) as endpoint, office.open():
        made = await office.subscribe(endpoint.url)
        await office.stores.subscriptions.change(made.id, viewer=viewer, what="paused", decide=paused)
        await office.hear(*(state(code, 1) for code in REGIONS[:3]))
        lanes = office.parts.collection("lanes")
        await soon(lambda: lanes.find_one({"due_at": {"$exists": False}, "idle_at": {"$exists": False}}))
        assert not endpoint.came
        await office.stores.subscriptions.change(made.id, viewer=viewer, what="resumed", decide=resumed)
        await office.stores.lanes.wake(made.id)
        await office.until(only(delivered=3))


@pytest.mark.parametrize("ordered", [False, True])
async def test_what_waits_for_an_endpoint_whose_rest_ends_while_lanes_are_loaded_is_not_forgotten(
    office: Office, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    """Resting when it is decided whose deliveries to read, and not any more when they are to be sent."""
    async with listening(Endpoint()) as endpoint:
        made = await office.subscribe(endpoint.url, ordered=ordered)
        await office.hear(state("32.11", 1), state("32.11", 2))
        rests_until = clock.now() + timedelta(seconds=1)
        await office.endpoints.failed(made.id, Health(1, clock.now(), rests_until))
        many = Rights.many

        async def late(rights: Rights, organizations: Collection[str]) -> Mapping[str, Right]:
            while clock.now() <= rests_until:
                await asyncio.sleep(0.01)
            return await many(rights, organizations)

        monkeypatch.setattr(Rights, "many", late)
        async with office.open():
            await office.until(only(delivered=2))


@pytest.mark.parametrize("apart_ms", [-5_000, -500, 500, 5_000])
@pytest.mark.parametrize("ordered", [False, True])
async def test_clocks_that_are_apart_lose_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, apart_ms: int, ordered: bool
) -> None:
    """Whoever hears, whoever sends and the database have each its own."""
    monkeypatch.setattr(dispatch, "now", lambda: clock.now() + timedelta(milliseconds=apart_ms))
    async with listening(Endpoint()) as endpoint, office.open():
        await office.subscribe(endpoint.url, ordered=ordered)
        await office.hear(state("32.11", 1))
        await office.until(only(delivered=1))


async def test_a_worker_that_dies_before_its_lane_is_put_off_loses_no_retry(
    furnish: Furnish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the lane over finds nothing due, and something that waits."""
    office = await furnish(webhook_schedule_s=(0, 4.0, 4.0, 4.0))
    stuck, put_off = asyncio.Event(), Lanes.put_off

    async def never(_lanes: Lanes, _lane: Any, _until: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    async with listening(Endpoint(answers=always(503))) as endpoint:
        await office.subscribe(endpoint.url)
        monkeypatch.setattr(Lanes, "put_off", never)
        monkeypatch.setattr(dispatch, "LEASE_MARGIN_S", -19.0)  # a lease of 1 s
        async with office.open():
            await office.hear(state("32.11", 1))
            await stuck.wait()
        monkeypatch.setattr(Lanes, "put_off", put_off)
        endpoint.answers = None
        async with office.open():
            await office.until(only(delivered=1))


async def test_that_an_exhausted_delivery_could_not_be_told_is_not_told_again(furnish: Furnish) -> None:
    """Else the subscriptions of one owner, all failing, would tell of each other's failures for ever."""
    office = await furnish(webhook_pause_s=0.01)
    async with listening(Endpoint(answers=always(500))) as endpoint, office.open():
        for name in ("w1", "w2", "w3"):
            await office.subscribe(endpoint.url, id=name)
        await office.hear(state("32.11", 1))
        await office.until(only(exhausted=3))
        await office.hear_of_itself("deliveries")
        await office.until(only(exhausted=9))
        told = await office.parts.collection("deliveries").count_documents({"outbox.topic": "livinglab.delivery"})
        assert told == 3


async def test_a_replay_sends_again_in_order_and_keeps_the_ids(office: Office) -> None:
    async with listening(Endpoint()) as endpoint, office.open():
        made = await office.subscribe(endpoint.url)
        facts = [state("32.11", revision) for revision in range(1, 8)]
        await office.hear(*facts)
        await office.until(only(delivered=7))
        endpoint.taken.clear()
        await replay.accept(
            made,
            event=None,
            aggregate="spbe-2023:32.11",
            start=None,
            end=None,
            by="someone",
            right=Right(Kind.NATIONAL),
            key="k",
            replays=office.replays,
            settings=office.settings,
        )
        carrying = asyncio.create_task(office.carry_replays())
        await office.until(only(delivered=14))
        carrying.cancel()
        assert endpoint.taken == [str(fact.envelope.id) for fact in facts]


async def test_lanes_whose_heads_are_blocked_hold_up_no_other_lane(furnish: Furnish) -> None:
    """A hundred wait behind each, more than are loaded at once; the names of their lanes come first."""
    office = await furnish(webhook_schedule_s=(0, 3_600), webhook_pause_s=0.01)
    async with listening(Endpoint(answers=always(500))) as dead, listening(Endpoint()) as good:
        for number in range(4):
            changes: dict[str, Any] = {"organization": "bssn", "regions": ("32.11",), "ordered": True}
            await office.subscribe(dead.url, id=f"a{number}", **changes)
        await office.hear(*(state("32.11", revision) for revision in range(1, 101)))
        await office.subscribe(good.url, id="z", ordered=True, regions=("32.12",))
        async with office.open():
            facts = [state("32.12", revision) for revision in range(1, 40)]
            await office.hear(*facts)
            await office.until(only(delivered=len(facts)))
        assert good.taken == [str(fact.envelope.id) for fact in facts]


async def test_an_endpoint_that_is_down_is_spared_and_gets_everything_when_it_is_back(furnish: Furnish) -> None:
    office = await furnish(webhook_schedule_s=(0, *[0.1] * 60))
    down = True

    async def answers(_name: str, _count: int) -> web.Response:
        return web.Response(status=503 if down else 204)

    async with listening(Endpoint(answers=answers)) as endpoint, office.open():
        await office.subscribe(endpoint.url)
        await office.hear(*(state(code, revision) for code in REGIONS for revision in (1, 2)))
        endpoints = office.parts.collection("endpoints")
        await soon(lambda: endpoints.find_one({"open_until": {"$ne": None}}))
        await soon(lambda: no_claim(office))
        tried = len(endpoint.came)
        assert tried < 2 * len(REGIONS)  # the others were not even tried
        down = False
        # Its ten seconds are over: made so, instead of waiting for them.
        await endpoints.update_many({}, {"$set": {"open_until": ago(seconds=1)}})
        await office.parts.collection("lanes").update_many({}, {"$set": {"due_at": ago(seconds=1)}})
        await office.until(only(delivered=2 * len(REGIONS)))
        await soon(lambda: is_recovered(office))


async def test_a_rate_is_kept(office: Office) -> None:
    async with listening(Endpoint()) as endpoint, office.open():
        await office.subscribe(endpoint.url, rate_per_minute=600)
        began = asyncio.get_running_loop().time()
        await office.hear(*(state(code, 1) for code in REGIONS[:8]))
        await office.until(only(delivered=8))
        assert asyncio.get_running_loop().time() - began >= 0.6  # seven tenths of a second between eight, at least
        assert len(endpoint.came) == 8


async def disabled(office: Office, name: str) -> Subscription:
    async def is_disabled() -> bool:
        return (await office.stores.subscriptions.many([name]))[name].status is Status.DISABLED

    await soon(is_disabled)
    return (await office.stores.subscriptions.many([name]))[name]


async def is_empty(office: Office) -> bool:
    return await office.lanes_in_use() == 0


async def is_recovered(office: Office) -> bool:
    return await office.parts.collection("endpoints").count_documents({}) == 0


async def no_claim(office: Office) -> bool:
    return await office.parts.collection("lanes").count_documents({"claim": {"$exists": True}}) == 0
