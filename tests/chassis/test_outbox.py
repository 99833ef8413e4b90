"""State and what follows from it are one write; whoever dies, races or lags behind, every fact arrives, in order."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis import telemetry
from chassis.clock import now
from chassis.epochs import Epochs
from chassis.outbox import (
    CAS_ATTEMPTS,
    OUTBOX_MAX_ENTRIES,
    REQUESTS_KEPT,
    AlreadyThere,
    Change,
    Contended,
    Done,
    KeyReused,
    Note,
    Outbox,
    OutboxFull,
    Request,
)
from chassis.producer import Producer
from chassis.records import OutgoingFact, outgoing
from chassis.relay import HINTS_MAX, measure
from chassis.settings import Settings
from chassis.store import Database, Document
from chassis.telemetry import Telemetry
from contracts import topics
from contracts.assessment import CycleOpened
from contracts.events import CYCLE_OPENED, EventType
from contracts.fact import Visibility
from services.assessment import catalogue
from tests.chassis.kafka import Kafka
from tests.chassis.workshop import Facts, until

pytestmark = pytest.mark.real
LONG_AGO = datetime(2023, 8, 1, tzinfo=UTC)
"""What is so old was left behind, and the sweeper does not leave it to the hints any more."""


class Owner:
    """A process that owns aggregates: an outbox with a producer of its own."""

    def __init__(self, database: Database, settings: Settings, spans: InMemorySpanExporter) -> None:
        self.watch: Telemetry = telemetry.start(settings, service="test")
        self.watch.provider.add_span_processor(SimpleSpanProcessor(spans))
        self.producer = Producer(settings, service="test")
        self.epochs = Epochs(database)
        self.outbox = Outbox(database, "aggregates", producer=self.producer, epochs=self.epochs, telemetry=self.watch)

    async def change(self, name: str, decide: Callable[[Document], Change], *, request: Request | None = None) -> Done:
        """Change one of the aggregates."""
        return await self.outbox.change(lambda: self.load(name), decide, request=request)

    async def load(self, name: str) -> Document:
        """It must be there."""
        found = await self.outbox.aggregates.find_one({"_id": name})
        assert found is not None
        return found

    @asynccontextmanager
    async def relaying(self, *, hints: bool = True, sweeps: bool = True) -> AsyncGenerator[None]:
        """Relay meanwhile."""
        wanted = ([self.outbox.relay.by_hints()] if hints else []) + ([self.outbox.relay.sweep()] if sweeps else [])
        wanted.append(measure([self.outbox.relay], self.watch.metrics))
        tasks = [asyncio.create_task(work) for work in wanted]
        yield
        ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert ended == []


Owners = Callable[[], AbstractAsyncContextManager[Owner]]


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What was traced."""
    return InMemorySpanExporter()


@pytest.fixture
def owners(database: Database, settings: Settings, spans: InMemorySpanExporter) -> Owners:
    """As many processes as a test wants, on one database."""

    @asynccontextmanager
    async def starting() -> AsyncGenerator[Owner]:
        watched = {"otel_exporter_otlp_endpoint": None, "traces_sample_ratio": 1.0}
        owner = Owner(database, settings.model_copy(update=watched), spans)
        await owner.outbox.prepare()
        yield owner
        await owner.producer.stop()
        owner.watch.provider.shutdown()

    return starting


@pytest.fixture
async def owner(owners: Owners) -> AsyncGenerator[Owner]:
    """One process."""
    async with owners() as owner:
        yield owner


def grown(facts: Facts, *, by: int = 1, at: datetime | None = None) -> Callable[[Document], Change]:
    """Raise the revision and tell of it, `by` times in one command; just now, or at another time."""

    def decide(document: Document) -> Change:
        revision: int = document["revision"]
        raised = range(revision + 1, revision + by + 1)
        told = [facts.thing(document["_id"], revision=n, size=n, at=at or now()) for n in raised]
        return Change(set={"revision": revision + by}, facts=told, outcome={"revision": revision + by})

    return decide


NEW = Change(set={"revision": 0})


async def drained(database: Database) -> None:
    """Return when no aggregate has anything pending."""
    await until(lambda: database["aggregates"].count_documents({"outbox.0": {"$exists": True}}), lambda n: n == 0)


async def told(kafka: Kafka, facts: Facts) -> dict[str, list[int]]:
    """Key → the revisions on the topic, in their order."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in await kafka.read(facts.things):
        found[(record.key or b"").decode()].append(int(dict(record.headers)["ce_revision"]))
    return dict(found)


def first_seen(revisions: Sequence[int]) -> list[int]:
    """Without the repeats."""
    return list(dict.fromkeys(revisions))


# One write


async def test_state_and_what_follows_from_it_lie_in_one_document_before_anything_is_sent(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    await owner.outbox.create("a", NEW)
    note = Note("history", {"_id": "a/1", "what": "grown"})

    def decide(document: Document) -> Change:
        return Change(set={"revision": 1, "parts.1": "x"}, facts=[facts.thing("a")], notes=[note], outcome={"ok": 1})

    done = await owner.change("a", decide)
    stored = await owner.load("a")
    assert (stored["revision"], stored["parts"], stored["version"]) == (1, {"1": "x"}, 2)
    fact, internal = stored["outbox"]
    assert (fact["id"], fact["topic"], fact["value"]) == (
        str(facts.thing("a").envelope.id),
        facts.things.name,
        facts.thing("a").value,
    )
    assert (internal["collection"], internal["document"]) == ("history", note.document)
    assert (done.outcome, done.replayed) == ({"ok": 1}, False)
    assert {k: done.document[k] for k in ("revision", "parts", "version")} == {
        k: stored[k] for k in ("revision", "parts", "version")
    }
    assert await kafka.read(facts.things) == []
    assert await database["facts"].count_documents({}) == await database["history"].count_documents({}) == 0


async def test_a_refused_command_writes_nothing(owner: Owner) -> None:
    await owner.outbox.create("a", NEW)
    before = await owner.load("a")

    def refuse(document: Document) -> Change:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await owner.change("a", refuse)
    assert await owner.load("a") == before


async def test_a_second_aggregate_of_the_same_name_is_refused(owner: Owner) -> None:
    outcomes = await asyncio.gather(*(owner.outbox.create("a", NEW) for _ in range(5)), return_exceptions=True)
    assert [type(o) for o in outcomes if not isinstance(o, Done)] == [AlreadyThere] * 4


# Relayed


async def test_facts_arrive_in_order_are_archived_and_leave_the_outbox(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    names = [f"thing-{n}" for n in range(6)]
    async with owner.relaying():
        for name in names:
            await owner.outbox.create(name, NEW)

        async def grow(name: str) -> None:
            for _ in range(8):
                await owner.change(name, grown(facts, by=2))

        await asyncio.gather(*(grow(name) for name in names))
        await drained(database)
    assert {name: first_seen(revisions) for name, revisions in (await told(kafka, facts)).items()} == {
        name: list(range(1, 17)) for name in names
    }
    archived = {d["_id"]: d for d in await database["facts"].find().to_list(None)}
    assert len(archived) == 6 * 16
    for record in await kafka.read(facts.things):
        fact = archived[dict(record.headers)["ce_id"].decode()]
        assert (fact["value"], fact["key"].encode(), fact["topic"]) == (record.value, record.key, facts.things.name)
    after = await owner.load("thing-0")
    assert (after["version"], after["revision"], after["outbox"]) == (9, 16, []), "relaying is no change of the state"


async def test_two_relays_that_race_cost_only_repeats(
    owners: Owners, database: Database, kafka: Kafka, facts: Facts
) -> None:
    names = [f"thing-{n}" for n in range(5)]
    async with owners() as one, owners() as other, one.relaying(), other.relaying():
        for name in names:
            await one.outbox.create(name, NEW)

        async def grow(owner: Owner, name: str) -> None:
            for _ in range(10):
                await owner.change(name, grown(facts))

        await asyncio.gather(*(grow(owner, name) for owner in (one, other) for name in names))
        await drained(database)
    assert {name: first_seen(revisions) for name, revisions in (await told(kafka, facts)).items()} == {
        name: list(range(1, 21)) for name in names
    }
    bodies: dict[bytes, set[bytes]] = defaultdict(set)
    for record in await kafka.read(facts.things):
        bodies[dict(record.headers)["ce_id"]].add(record.value or b"")
    assert len(bodies) == 100
    assert all(len(values) == 1 for values in bodies.values()), "the same id, the same bytes"


async def test_what_a_dead_process_left_behind_is_delivered_by_another(
    owners: Owners, database: Database, kafka: Kafka, facts: Facts
) -> None:
    async with owners() as dead:
        await dead.outbox.create("a", NEW)
        await dead.change("a", grown(facts, by=3, at=LONG_AGO))
    async with owners() as other, other.relaying(hints=False):
        await drained(database)
    assert await told(kafka, facts) == {"a": [1, 2, 3]}


async def test_a_hint_that_finds_no_room_is_only_a_hint(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    for _ in range(HINTS_MAX):
        owner.outbox.relay.hint("somebody else")
    for name in ("a", "b", "c"):
        await owner.outbox.create(name, NEW)
        await owner.change(name, grown(facts, at=LONG_AGO))
    async with owner.relaying():
        await drained(database)
    assert await told(kafka, facts) == {"a": [1], "b": [1], "c": [1]}


async def test_a_note_is_kept_in_its_collection_and_a_repeat_changes_nothing(
    owner: Owner, database: Database, facts: Facts
) -> None:
    at = datetime(2023, 8, 1, tzinfo=UTC)
    change = Change(set={"revision": 0}, notes=[Note("history", {"_id": "a/1", "at": at, "deep": {"x.y": [1]}})])
    await owner.outbox.create("a", change)
    entry = [{**e, "at": LONG_AGO} for e in (await owner.load("a"))["outbox"]]
    async with owner.relaying():
        await drained(database)
        await database["aggregates"].update_one({"_id": "a"}, {"$set": {"outbox": entry}})  # as after a crash
        await drained(database)
    assert await database["history"].find().to_list(None) == [{"_id": "a/1", "at": at, "deep": {"x.y": [1]}}]


async def test_what_waits_is_measured(owner: Owner, database: Database, facts: Facts) -> None:
    await owner.outbox.create("a", NEW)
    await owner.change("a", grown(facts, at=LONG_AGO))
    metrics = owner.watch.metrics

    def value(metric: Any) -> float:
        return metric.collect()[0].samples[0].value

    await database["leases"].update_many({}, {"$set": {"due_at": datetime(2100, 1, 1, tzinfo=UTC)}})  # another sweeps
    async with owner.relaying(hints=False):
        await until(lambda: asyncio.sleep(0, value(metrics.outbox_pending)), lambda n: n == 1)
        assert value(metrics.outbox_age) > 0
        await database["leases"].update_many({}, {"$set": {"due_at": datetime(2000, 1, 1, tzinfo=UTC)}})
        await until(lambda: asyncio.sleep(0, value(metrics.outbox_pending)), lambda n: n == 0)
        assert value(metrics.outbox_age) == 0


# Contention


@pytest.mark.parametrize("processes", [1, 3])
async def test_three_who_write_to_different_parts_at_once_all_succeed(
    owners: Owners, owner: Owner, processes: int
) -> None:
    await owner.outbox.create("a", Change(set={"revision": 0, "parts": {}}))

    async def write(owner: Owner, who: int) -> None:
        for n in range(25):
            await owner.change("a", lambda _, n=n: Change(set={f"parts.{who}-{n}": who}))

    async with owners() as other, owners() as third:
        several = [owner, other, third] if processes == 3 else [owner] * 3
        await asyncio.gather(*(write(owner, who) for who, owner in enumerate(several)))
    after = await owner.load("a")
    assert (len(after["parts"]), after["version"]) == (75, 76)


async def test_who_is_always_second_is_told_to_come_again(owner: Owner) -> None:
    await owner.outbox.create("a", NEW)
    loads = 0

    async def load() -> Document:
        nonlocal loads
        loads += 1
        found = await owner.load("a")
        await owner.outbox.aggregates.update_one({"_id": "a"}, {"$inc": {"version": 1}})
        return found

    with pytest.raises(Contended) as refused:
        await owner.outbox.change(load, lambda _: Change(set={"revision": 99}))
    assert (loads, refused.value.status, refused.value.headers["Retry-After"]) == (CAS_ATTEMPTS, 503, "1")
    assert (await owner.load("a"))["revision"] == 0


async def test_a_command_decides_again_on_what_is_there_now(owner: Owner, facts: Facts) -> None:
    """Twenty who add one each, in pairs: whoever lost decides anew, so that nobody's one is lost."""
    await owner.outbox.create("a", NEW)
    for _ in range(10):
        await asyncio.gather(*(owner.change("a", grown(facts)) for _ in range(2)))
    after = await owner.load("a")
    assert (after["revision"], [e["revision"] for e in after["outbox"]]) == (20, list(range(1, 21)))


# Bounded


async def test_a_full_outbox_refuses_commands_until_it_has_drained(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    await owner.outbox.create("a", NEW)
    await owner.change("a", grown(facts, by=OUTBOX_MAX_ENTRIES))
    with pytest.raises(OutboxFull) as refused:
        await owner.change("a", grown(facts))
    assert (refused.value.status, refused.value.code) == (503, "outbox_full")
    assert int(refused.value.headers["Retry-After"]) >= 1
    assert (await owner.load("a"))["revision"] == OUTBOX_MAX_ENTRIES
    async with owner.relaying():
        await drained(database)
        await owner.change("a", grown(facts))
        await drained(database)
    assert await told(kafka, facts) == {"a": list(range(1, OUTBOX_MAX_ENTRIES + 2))}


async def test_an_outbox_is_full_by_its_bytes_too(owner: Owner, facts: Facts) -> None:
    large = Note("history", {"_id": "x", "text": "x" * 900_000})
    await owner.outbox.create("a", NEW)
    for n in range(4):
        await owner.change("a", lambda _, n=n: Change(set={"n": n}, notes=[large]))
    with pytest.raises(OutboxFull):
        await owner.change("a", lambda _: Change(set={"n": 9}, notes=[large]))
    await owner.change("a", lambda _: Change(set={"n": 10}))  # nothing follows from it, so there is room


# Idempotent requests


def asked(key: str, *body: str) -> Request:
    """A POST of one caller."""
    return Request.of(actor="somebody", key=key, asked=body or ("submit",))


async def test_twenty_equal_requests_at_once_have_one_effect_and_one_answer(
    owners: Owners, database: Database, kafka: Kafka, facts: Facts
) -> None:
    async with owners() as one, owners() as other, one.relaying():
        await one.outbox.create("a", NEW)
        request = asked(str(uuid4()))
        done = await asyncio.gather(
            *(owner.change("a", grown(facts), request=request) for owner in (one, other) for _ in range(10))
        )
        assert [d.outcome for d in done] == [{"revision": 1}] * 20
        assert sum(not d.replayed for d in done) == 1
        await drained(database)
        again = await other.change("a", grown(facts), request=request)
        assert (again.outcome, again.replayed) == ({"revision": 1}, True)
    assert first_seen((await told(kafka, facts))["a"]) == [1]


async def test_twenty_equal_creations_at_once_create_once(owner: Owner) -> None:
    request = asked("k")
    new = Change(set={"revision": 0}, outcome={"made": True})
    done = await asyncio.gather(*(owner.outbox.create("a", new, request=request) for _ in range(20)))
    assert [d.outcome for d in done] == [{"made": True}] * 20
    assert sum(not d.replayed for d in done) == 1
    with pytest.raises(AlreadyThere):
        await owner.outbox.create("a", new, request=asked("other"))


async def test_a_key_that_comes_again_with_another_request_is_refused(owner: Owner, facts: Facts) -> None:
    await owner.outbox.create("a", NEW, request=asked("k", "open"))
    with pytest.raises(KeyReused):
        await owner.outbox.create("a", NEW, request=asked("k", "open otherwise"))
    await owner.change("a", grown(facts), request=asked("l", "submit"))
    with pytest.raises(KeyReused) as refused:
        await owner.change("a", grown(facts), request=asked("l", "submit otherwise"))
    assert refused.value.status == 422
    assert (await owner.load("a"))["revision"] == 1


def test_keys_of_two_callers_never_meet() -> None:
    ids = {Request.of(actor=a, key=k, asked=["x"]).id for a, k in (("a", "b"), ("b", "a"), ("a\nb", ""), ("a", "b\n"))}
    assert len(ids) == 4


def test_what_was_asked_is_told_apart_by_every_part_of_it() -> None:
    hashes = {Request.of(actor="a", key="k", asked=parts).body_hash for parts in (["a", "b"], ["ab"], ["b", "a"], [])}
    assert len(hashes) == 4


async def test_the_last_requests_are_remembered_and_no_more(owner: Owner, facts: Facts) -> None:
    await owner.outbox.create("a", NEW)
    for n in range(REQUESTS_KEPT + 1):
        await owner.change("a", grown(facts), request=asked(f"key-{n}"))
    assert len((await owner.load("a"))["requests"]) == REQUESTS_KEPT
    assert (await owner.change("a", grown(facts), request=asked("key-1"))).replayed
    assert not (await owner.change("a", grown(facts), request=asked("key-0"))).replayed


# On the wire


def headers_of(record: Any) -> Mapping[str, str]:
    return {name: value.decode() for name, value in record.headers}


async def test_public_facts_go_to_outsiders_too_and_supervised_ones_never(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    name = f"test-{uuid4().hex[:8]}"
    event = EventType(CYCLE_OPENED.name, facts.things, CycleOpened, "assessment", "Of a test.")
    body = catalogue.cycles()[0].model_copy(update={"cycle": name})
    public = outgoing(event, body, key=name, revision=1, time=now(), visibility=Visibility.PUBLIC)
    secret = facts.thing(f"{name}-secret", at=now())
    async with owner.relaying():
        await owner.outbox.create(name, Change(set={}, facts=[public, secret]))
        await drained(database)
    outside = [r for r in await kafka.read(topics.PUBLIC) if (r.key or b"").startswith(name.encode())]
    inside = await kafka.read(facts.things)
    assert [r.key for r in outside] == [name.encode()]
    assert {r.key for r in inside} == {name.encode(), f"{name}-secret".encode()}
    (same,) = [r for r in inside if r.key == name.encode()]
    assert (outside[0].value, headers_of(outside[0])) == (same.value, headers_of(same))


async def test_a_fact_travels_with_what_caused_it_and_with_its_topics_epoch(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts, spans: InMemorySpanExporter
) -> None:
    await owner.outbox.create("a", NEW)
    await owner.epochs.raise_one(facts.things.name)
    with owner.watch.tracer.start_as_current_span("command") as command:
        await owner.change("a", grown(facts))
    trace_id = f"{command.get_span_context().trace_id:032x}"
    (entry,) = (await owner.load("a"))["outbox"]
    assert entry["traceparent"].split("-")[1] == trace_id
    async with owner.relaying():
        await drained(database)
    (record,) = await kafka.read(facts.things)
    headers = headers_of(record)
    assert headers["epoch"] == "1"
    _, of_trace, of_span, _ = headers["traceparent"].split("-")
    assert (of_trace, telemetry.is_sampled(headers["traceparent"])) == (trace_id, True)
    published = {f"{span.context.span_id:016x}": span for span in spans.get_finished_spans() if span.context}
    sent = published[of_span]
    assert sent.name == f"publish {facts.things.name}"
    assert sent.parent is not None
    assert sent.parent.span_id == command.get_span_context().span_id


async def test_without_a_cause_no_traceparent_is_made_up(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    fact: OutgoingFact = facts.thing("a", at=now())
    async with owner.relaying():
        await owner.outbox.create("a", Change(set={}, facts=[fact]))
        await drained(database)
    (record,) = await kafka.read(facts.things)
    assert headers_of(record) == {name: value.decode() for name, value in fact.envelope.headers()} | {"epoch": "0"}
