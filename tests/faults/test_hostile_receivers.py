"""Whoever else subscribes, and however badly they behave: who takes events gets all of them, who does not is told of,
and nobody is led where no webhook may go."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from chassis.settings import Settings
from chassis.store import connect
from contracts import topics
from contracts.regions import Directory
from lab.keys import webhook_settings
from lab.parts import Part, http_server
from lab.parts.process import ports
from services.notify.domain.subscription import Status
from services.notify.store.deliveries import DELIVERED, EXHAUSTED, PENDING
from tests.faults.ground import Ground, restart, running
from tests.faults.names import PLAN
from tests.faults.parties import Crowd, Fate, Party, a_crowd, forbidden
from tests.faults.topicreader import read_whole
from tests.faults.traps import Traps, trapped
from tests.notify.office import Endpoint, Office, Sent, listening, sent

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SETTLES_WITHIN_S = 150.0
REGIONS = [region.code for region in Directory.load() if region.code.startswith("32.")]
LED = "somebody connected where no webhook may go"
HOURS, A_DAY = timedelta(hours=1), timedelta(days=1)
HASTE = {
    "WEBHOOK_SCHEDULE_S": "[0, 0.1, 0.2, 0.4, 0.4, 0.4, 0.4, 0.4]",
    "WEBHOOK_PAUSE_S": "0.02",
    "WEBHOOK_TIMEOUT_S": "2",
    # More than two leases: for so long a lane may lie still when its worker was killed, and nobody is given up for it.
    "WEBHOOK_DISABLE_AFTER_S": "30",
    "SMTP_TIMEOUT_S": "1",
    # Fewer than those that hang would take.
    "WEBHOOK_IN_FLIGHT_MAX": "64",
    "BATCH_MAX_RECORDS": "20",
    "ROLE": "worker",
}


@dataclass
class Scene:
    """Who subscribed, to what, and what has happened."""

    ground: Ground
    office: Office
    crowd: Crowd
    traps: Traps
    reporter: Endpoint
    """Is told what could not be handed over."""
    facts: list[Sent] = field(default_factory=list[Sent])
    revisions: int = 0

    def worker(self, label: str) -> Part:
        """A process, to which some names lead elsewhere at each look-up."""
        keys = webhook_settings(self.ground.directory / "notify-keys")
        plain = self.ground.service("notify", label=label, **{**keys, **HASTE, PLAN: json.dumps(self.crowd.names)})
        factory, at = "tests.faults.names:create_app", plain.directory
        return http_server(label, factory=factory, directory=at, port=plain.port, ready_path="/readyz", env=plain.env)

    async def happen(self) -> None:
        """One fact of each region reaches Kafka."""
        self.revisions += 1
        async with AIOKafkaProducer(bootstrap_servers=self.ground.kafka.address, acks="all") as producer:
            for code in REGIONS:
                fact = sent(code, self.revisions)
                self.facts.append(fact)
                await producer.send_and_wait(
                    fact.topic.name, fact.value, key=code.encode(), headers=fact.envelope.headers()
                )

    def wanted(self, party: Party) -> set[str]:
        """Ids of what it asked for."""
        return {str(fact.envelope.id) for fact in self.facts if {"32", fact.key} & set(party.regions)}

    def missing(self) -> dict[str, int]:
        """Of those that take events: how many each has not got."""
        left = {party.name: len(self.wanted(party) - set(party.taken)) for party in self.crowd.of(Fate.TAKEN)}
        return {name: count for name, count in left.items() if count}

    async def strangers(self) -> list[str]:
        """Who has not been sent anything so far, or not been found forbidden."""
        tried = set(await self.office.parts.collection("deliveries").distinct("subscription", {"attempts.0": _THERE}))
        parties = self.crowd.parties
        return [p.name for p in parties if not (p.name in tried if p.fate is Fate.FORBIDDEN else p.came)]

    async def open_ends(self) -> dict[str, int]:
        """Deliveries that something will still be done about, by subscription; and what the owner was not told."""
        gone, soon = await self.disabled(), datetime.now(UTC) + HOURS
        deliveries = self.office.parts.collection("deliveries")
        waits = {"status": PENDING, "subscription": {"$nin": [*gone]}}
        # What waits in order waits for what is before it.
        behind = await deliveries.distinct("lane", {**waits, "due_at": {"$gt": soon}, "lane": {"$regex": "/"}})
        due = {**waits, "due_at": {"$lt": soon}, "lane": {"$nin": behind}}
        found = await deliveries.find(due, {"subscription": 1}).to_list(None)
        told = {json.loads(body)["subject"] for _, body in self.reporter.came}
        untold = (gone | await self.exhausted()) - told
        return Counter(one["subscription"] for one in found) + Counter(untold=len(untold))

    async def disabled(self) -> set[str]:
        where = {"status": Status.DISABLED.value}
        return set(await self.office.parts.collection("subscriptions").distinct("_id", where))

    async def exhausted(self) -> set[str]:
        return set(await self.office.parts.collection("deliveries").distinct("_id", {"status": EXHAUSTED}))


_THERE = {"$exists": True}


@pytest.fixture
async def scene(ground: Ground) -> AsyncGenerator[Scene]:
    """Everybody has subscribed, as if long ago: today nobody could with such an address."""
    keys = webhook_settings(ground.directory / "notify-keys")
    settings = Settings.model_validate(
        {"mongodb_uri": ground.mongod.address, "kafka_bootstrap_servers": ground.kafka.address}
    )
    own = {name: SecretStr(keys[name.upper()]) for name in ("webhook_signing_key", "webhook_sealing_keys")}
    client, database = connect(settings, service="notify")
    async with AsyncExitStack() as stack:
        stack.callback(client.close)
        office = await Office.furnish(database, settings, **own)
        (beside,) = ports(ground.directory / "beside", 1)
        traps = Traps()
        trap = await stack.enter_async_context(trapped(traps, beside=beside))
        crowd = await stack.enter_async_context(a_crowd(trap=trap, beside=beside, one_region=REGIONS[0]))
        crowd.parties += forbidden(traps.places)
        reporter = await stack.enter_async_context(listening(Endpoint()))
        for party in crowd.parties:
            asked: dict[str, Any] = {"regions": party.regions, "types": ("assessment.*",), "ordered": party.ordered}
            await office.subscribe(party.url, id=party.name, **asked)
        await office.subscribe(reporter.url, id="reporter", types=("subscription.*", "delivery.*"))
        yield Scene(ground, office, crowd, traps, reporter)


async def test_hostile_receivers_harm_nobody_else(scene: Scene) -> None:
    workers = [scene.worker("notify"), scene.worker("notify-2")]
    async with running(*workers):
        await scene.happen()
        await until(scene, "everybody was tried, and who takes events has them", lambda: _begun(scene))
        for victim in workers:
            async with amid(scene):
                victim.kill()
            await restart(victim)
        await until(scene, "who takes events has them, while others hang", lambda: _async(scene.missing()))
        await until(scene, "all else is reported", scene.open_ends)
    caught = await scene.traps.knock()
    assert caught == 0, LED
    check_receipts(scene)
    await check_log(scene)
    await check_reports(scene)
    await tell(scene, caught)


async def _begun(scene: Scene) -> object:
    return await scene.strangers() or scene.missing() or not await scene.exhausted()


async def _async(value: object) -> object:
    return value


@asynccontextmanager
async def amid(scene: Scene) -> AsyncGenerator[None]:
    """While a round of facts is being handed over: some of it has been taken, and not all."""
    before = sum(len(party.taken) for party in scene.crowd.parties)
    happening = asyncio.create_task(scene.happen())
    deadline = monotonic() + SETTLES_WITHIN_S
    while sum(len(party.taken) for party in scene.crowd.parties) < before + len(REGIONS):
        assert monotonic() < deadline, "nothing more was taken"
        await asyncio.sleep(0.01)
    yield
    await happening


async def until(scene: Scene, what: str, left: Callable[[], Awaitable[object]]) -> None:
    """Until nothing is left of it. Raises AssertionError that says what is."""
    deadline = monotonic() + SETTLES_WITHIN_S
    while still := await left():
        assert not scene.traps.caught, LED
        assert monotonic() < deadline, f"not within {SETTLES_WITHIN_S:.0f} s: {what}; left: {still}"
        await asyncio.sleep(0.1)


def check_receipts(scene: Scene) -> None:
    """The same bytes each time and everywhere, nothing that was not asked for, in order where that was asked for."""
    bytes_of: dict[str, set[bytes]] = defaultdict(set)
    for party in scene.crowd.parties:
        assert {name for name, _ in party.came} <= scene.wanted(party), f"{party.name} got what is not for it"
        for name, body in party.came:
            assert json.loads(body)["id"] == name
            bytes_of[name].add(body)
    assert all(len(bodies) == 1 for bodies in bytes_of.values()), "an event came with other bytes"
    for party in (party for party in scene.crowd.parties if party.ordered):
        for code in REGIONS:
            order = [str(fact.envelope.id) for fact in scene.facts if fact.key == code]
            firsts = list(dict.fromkeys(name for name, _ in party.came if name in order))
            assert firsts == order[: len(firsts)], f"{party.name}: {code} came out of order"
            if party.fate is Fate.TAKEN:
                assert list(dict.fromkeys(name for name in party.taken if name in order)) == order, party.name


async def check_log(scene: Scene) -> None:
    """What each delivery's state says is what happened to it."""
    log = await _log(scene)
    gone = await scene.disabled()
    for party in scene.crowd.parties:
        deliveries, came, taken = log[party.name], Counter(name for name, _ in party.came), set(party.taken)
        statuses = Counter(one["status"] for one in deliveries)
        attempts = [(one["event_id"], attempt) for one in deliveries for attempt in one["attempts"]]
        answered = Counter(event for event, attempt in attempts if attempt["status"] is not None)
        assert answered <= came, f"{party.name}: more answers are told of than it gave"
        if party.fate is Fate.TAKEN:
            assert statuses == {DELIVERED: len(scene.wanted(party))}, f"{party.name}: {statuses}"
            assert {one["event_id"] for one in deliveries} == taken == scene.wanted(party)
            continue
        assert not statuses[DELIVERED], f"{party.name} is said to have taken what it did not"
        if party.name not in gone:
            assert len(deliveries) == len(scene.wanted(party)), f"{party.name}: something was lost"
        if party.fate is Fate.PUT_OFF:
            late = [one for one in deliveries if one["status"] == PENDING and one["attempts"]]
            assert late, f"{party.name} was not tried"
            waits = [one["due_at"] - one["attempts"][-1]["at"] for one in late]
            assert all(HOURS < wait < A_DAY + HOURS for wait in waits), f"{party.name}: {waits}"
        if party.fate is Fate.FORBIDDEN:
            told = {(attempt["status"], attempt["failure"]) for _, attempt in attempts}
            assert (None, "forbidden_address") in told, f"{party.name}, {party.url}: {told}"
            # A machine that is busy for long may be late even in refusing.
            assert told <= {(None, "forbidden_address"), (None, "timeout")}, f"{party.name}, {party.url}: {told}"


async def check_reports(scene: Scene) -> None:
    """All that was not taken was published, and told to its owner; nobody was given up who takes events."""
    disabled, exhausted = await scene.disabled(), await scene.exhausted()
    facts = [r for t in (topics.SUBSCRIPTION, topics.DELIVERY) for r in await read_whole(scene.ground.kafka.address, t)]
    assert {fact.aggregate for fact in facts} == disabled | exhausted
    assert {fact.id for fact in facts} == set(scene.reporter.taken)
    assert not disabled & {party.name for party in scene.crowd.of(Fate.TAKEN)}
    why = {body["subject"]: body["data"].get("why") for body in (json.loads(body) for _, body in scene.reporter.came)}
    assert {name for name in disabled if why[name] == "gone"} == {"gone", "gone-ordered"}
    assert exhausted, "nothing was exhausted"


async def tell(scene: Scene, caught: int) -> None:
    """Counts for whoever reads the log of the tests."""
    log = await _log(scene)
    deliveries = [one for some in log.values() for one in some]
    attempts = [attempt for one in deliveries for attempt in one["attempts"]]
    repeats = sum(len(party.taken) - len(set(party.taken)) for party in scene.crowd.of(Fate.TAKEN))
    receipts = sum(len(party.came) for party in scene.crowd.parties)
    disabled, exhausted = await scene.disabled(), await scene.exhausted()
    refused = sum(attempt["failure"] == "forbidden_address" for attempt in attempts)
    print(
        f"\nhostile receivers, two workers, each killed once: {len(scene.facts)} events, {len(scene.crowd.parties)} "
        f"subscriptions ({len(scene.crowd.of(Fate.TAKEN))} take events), {len(deliveries)} deliveries, "
        f"{len(attempts)} attempts, {receipts} receipts, {repeats} repeats of what was taken, {len(exhausted)} "
        f"exhausted, {len(disabled)} disabled, {refused} attempts kept from {len(scene.traps.places)} trapped and "
        f"other forbidden addresses, {caught} forbidden connections"
    )


async def _log(scene: Scene) -> dict[str, list[Any]]:
    log: dict[str, list[Any]] = defaultdict(list)
    for one in (
        await scene.office.parts.collection("deliveries").find({"subscription": {"$ne": "reporter"}}).to_list(None)
    ):
        log[one["subscription"]].append(one)
    return log
