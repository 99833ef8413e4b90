"""Hands over what aggregates hold in their outboxes.

At once after the commit by a hint, which may be lost; and by a sweeper, which is the truth: one process at a time, by a
lease on the database's clock. Notes need the database only and never wait for Kafka. Facts, per aggregate in order:
produce, archive in `facts`, then pull from the outbox. A crash between two of these costs a repeat, never a fact; two
relays may race for the same price.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from opentelemetry import trace
from pymongo import IndexModel, UpdateOne
from pymongo.errors import PyMongoError

from chassis.clock import now
from chassis.crash import crash_point
from chassis.epochs import Epoch, Epochs
from chassis.producer import KafkaDown, Producer, Sent
from chassis.records import TRACEPARENT
from chassis.store import Collection, Database, Document, claim_due, ensure_indexes, in_short, insert_once
from chassis.telemetry import Metrics, Telemetry, is_sampled, messaging, remote, traceparent_of
from contracts.topics import PUBLIC

log = structlog.stdlib.get_logger()

HINTS_MAX = 1_000
ROUND_MAX_AGGREGATES = 100
SWEEP_EVERY_S = 0.5
SWEEP_OLDER_THAN_S = 3.0
"""Younger entries are most likely being relayed by a hint; under load that takes longer than a second."""
BACK_OFF_S = 1.0
MEASURE_EVERY_S = 1.0
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Relay:
    """Of the outboxes in one collection of aggregates."""

    def __init__(
        self, database: Database, collection: str, *, producer: Producer, epochs: Epochs, telemetry: Telemetry
    ) -> None:
        self.aggregates: Collection = database[collection]
        self._database = database
        self._facts: Collection = database["facts"]
        self._leases: Collection = database["leases"]
        self._lease = f"outbox/{collection}"
        self._producer = producer
        self._epochs = epochs
        self._telemetry = telemetry
        self._hints: asyncio.Queue[str] = asyncio.Queue(HINTS_MAX)
        self._in_flight: dict[str, list[Sent]] = {}

    async def prepare(self) -> None:
        """Indexes and the sweeper's lease."""
        await ensure_indexes(self.aggregates, [IndexModel("outbox.at", name="outbox", sparse=True)])
        await ensure_indexes(self._facts, [IndexModel([("topic", 1), ("aggregate", 1), ("revision", 1)], name="topic")])
        await insert_once(self._leases, {"_id": self._lease, "due_at": LONG_AGO})

    def hint(self, aggregate: str) -> None:
        """Something was just committed here. May be forgotten: the sweeper finds it."""
        if not self._hints.full():
            self._hints.put_nowait(aggregate)

    async def by_hints(self) -> None:
        """For ever: relay what was just committed here."""
        while True:
            names = {await self._hints.get()}
            while not self._hints.empty() and len(names) < ROUND_MAX_AGGREGATES:
                names.add(self._hints.get_nowait())
            await self._try_round(lambda names=names: {"_id": {"$in": list(names)}})

    async def sweep(self) -> None:
        """For ever: relay what a lost hint or a dead process left behind."""
        while True:
            try:
                mine = await claim_due(self._leases, {"_id": self._lease}, lease_s=SWEEP_EVERY_S)
            except PyMongoError as error:
                log.warning("outbox sweep waits for the database", error=in_short(error))
                await asyncio.sleep(BACK_OFF_S)
                continue
            while mine is not None and await self._try_round(_left_behind) == ROUND_MAX_AGGREGATES:
                pass
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _try_round(self, where: Callable[[], Document]) -> int:
        try:
            return await self._round(where())
        except (KafkaDown, PyMongoError) as error:
            log.warning("relay comes again", error=in_short(error), retry_s=BACK_OFF_S)
            await asyncio.sleep(BACK_OFF_S)
            return 0

    async def _round(self, where: Document) -> int:
        """Hand over the entries of up to ROUND_MAX_AGGREGATES aggregates; how many there were."""
        found = (
            await self.aggregates.find({**where, "outbox.0": {"$exists": True}}, {"outbox": 1})
            .sort("outbox.at", 1)
            .limit(ROUND_MAX_AGGREGATES)
            .to_list(None)
        )
        if not found:
            return 0
        notes = {d["_id"]: [e for e in d["outbox"] if "topic" not in e] for d in found}
        facts = {d["_id"]: [e for e in d["outbox"] if "topic" in e] for d in found}
        # Side by side: notes are filed while Kafka is away, and no fact waits for two writes of its aggregate's notes.
        filing, delivering = self._file(notes), self._deliver([fact for of_one in facts.values() for fact in of_one])
        for outcome in await asyncio.gather(filing, delivering, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        crash_point("relay.acknowledged")
        await self._archive(facts)
        crash_point("relay.archived")
        await self._pull(facts)
        crash_point("relay.pulled")
        for entry in (entry for document in found for entry in document["outbox"]):
            metrics = self._telemetry.metrics
            metrics.outbox_relayed.labels(entry.get("topic") or entry["collection"]).inc()
            if "topic" in entry:
                metrics.arrived("relayed", entry["headers"]["ce_type"], entry["at"], traceparent=entry["traceparent"])
        return len(found)

    async def _deliver(self, facts: Sequence[Document]) -> None:
        """Until Kafka has all. What it is still to acknowledge is not sent again, but waited for again."""
        for fact in facts:
            if fact["id"] not in self._in_flight:
                self._in_flight[fact["id"]] = await self._send(fact)
        sent = [future for fact in facts for future in self._in_flight.get(fact["id"], ())]
        try:
            await self._producer.wait(sent)
        finally:
            for fact in facts:
                if all(future.done() for future in self._in_flight.get(fact["id"], ())):
                    self._in_flight.pop(fact["id"], None)

    async def _send(self, entry: Document) -> list[Sent]:
        traceparent: str | None = entry["traceparent"]
        headers: Mapping[str, str] = entry["headers"]
        if is_sampled(traceparent):
            with self._telemetry.tracer.start_as_current_span(
                f"send {entry['topic']}",
                context=remote(traceparent),
                kind=trace.SpanKind.PRODUCER,
                attributes=messaging(
                    "send",
                    entry["topic"],
                    id=entry["id"],
                    type=headers["ce_type"],
                    subject=headers["ce_subject"],
                    region=headers.get("ce_region"),
                ),
            ) as span:
                traceparent = traceparent_of(span)
        topics = [entry["topic"]] + ([PUBLIC.name] if entry["public"] else [])
        return [
            await self._producer.send(
                topic,
                key=entry["key"].encode(),
                value=bytes(entry["value"]),
                headers=wire_headers(headers, traceparent=traceparent, epoch=await self._epochs.of(topic)),
            )
            for topic in topics
        ]

    async def _archive(self, facts: Mapping[str, Sequence[Document]]) -> None:
        kept = [
            (fact["id"], {k: v for k, v in fact.items() if k not in ("id", "traceparent", "bytes")})
            for of_one in facts.values()
            for fact in of_one
        ]
        if kept:
            upserts = [UpdateOne({"_id": id}, {"$setOnInsert": fact}, upsert=True) for id, fact in kept]
            await self._facts.bulk_write(upserts, ordered=False)

    async def _file(self, notes: Mapping[str, Sequence[Document]]) -> None:
        writes: dict[str, list[UpdateOne]] = defaultdict(list)
        for note in (note for of_one in notes.values() for note in of_one):
            document = {k: v for k, v in note["document"].items() if k != "_id"}
            upsert = UpdateOne({"_id": note["document"]["_id"]}, {"$set": document}, upsert=True)
            writes[note["collection"]].append(upsert)
        for collection, upserts in writes.items():
            await self._database[collection].bulk_write(upserts, ordered=False)
        await self._pull(notes)

    async def _pull(self, entries: Mapping[str, Sequence[Document]]) -> None:
        pulls = [
            UpdateOne({"_id": name}, {"$pull": {"outbox": {"id": {"$in": [entry["id"] for entry in of_one]}}}})
            for name, of_one in entries.items()
            if of_one
        ]
        if pulls:
            await self.aggregates.bulk_write(pulls, ordered=False)

    async def waiting(self) -> tuple[int, float]:
        """How many aggregates hold pending entries (1,000 at most), and the age in seconds of the oldest entry."""
        pending: Document = {"outbox.at": {"$gt": LONG_AGO}}
        count = await self.aggregates.count_documents(pending, limit=1_000)
        oldest = await self.aggregates.find_one(pending, {"outbox.at": 1}, sort=[("outbox.at", 1)])
        if not oldest or not oldest["outbox"]:
            return count, 0.0
        return count, max(0.0, now().timestamp() - oldest["outbox"][0]["at"].timestamp())


def _left_behind() -> Document:
    return {"outbox.at": {"$lt": datetime.fromtimestamp(now().timestamp() - SWEEP_OLDER_THAN_S, UTC)}}


async def measure(relays: Sequence[Relay], metrics: Metrics) -> None:
    """For ever: what waits in all outboxes. A task of its own, so that it tells of a relay that hangs."""
    while True:
        try:
            waiting = [await relay.waiting() for relay in relays]
        except PyMongoError as error:
            log.warning("outboxes not measured", error=in_short(error))
        else:
            metrics.outbox_pending.set(sum(count for count, _ in waiting))
            metrics.outbox_age.set(max((age for _, age in waiting), default=0.0))
        await asyncio.sleep(MEASURE_EVERY_S)


def wire_headers(headers: Mapping[str, str], *, traceparent: str | None, epoch: Epoch) -> list[tuple[str, bytes]]:
    """The fact's own headers, and beside them where it was caused and how often its topic was rebuilt."""
    wire = [(name, value.encode()) for name, value in headers.items()]
    wire += epoch.headers()
    if traceparent:
        wire.append((TRACEPARENT, traceparent.encode()))
    return wire
