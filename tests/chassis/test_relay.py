"""Whoever dies, races or lags behind: every fact arrives, in order, with what belongs to it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis import telemetry
from chassis.clock import now
from chassis.outbox import (
    Change,
    Note,
)
from chassis.records import OutgoingFact, outgoing
from chassis.relay import HINTS_MAX
from chassis.store import Database
from contracts import topics
from contracts.assessment import CycleOpened
from contracts.events import CYCLE_OPENED, EventType
from contracts.fact import Visibility
from services.assessment import catalogue
from tests.chassis.kafka import Kafka
from tests.chassis.owner import LONG_AGO, NEW, Owner, Owners, drained, first_seen, grown, told
from tests.chassis.workshop import Facts, until

pytestmark = pytest.mark.real


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
    await owner.epochs.raise_one(facts.things.name, from_archives=True)
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
    assert sent.name == f"send {facts.things.name}"
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
