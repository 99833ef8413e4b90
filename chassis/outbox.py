"""The transactional outbox, kept inside the aggregate: state and facts in one single-document compare-and-set.

Every process that commits relays. At once after the commit by a hint, which may be lost; and by a sweeper, which is
the truth. Per aggregate in order: produce, archive in `facts`, then pull from the outbox. A crash between two of these
costs a repeat, never a fact; two relays may race for the same price.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5
from weakref import WeakValueDictionary

import bson
import structlog
from opentelemetry import trace
from pymongo import IndexModel, UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from chassis.clock import now
from chassis.crash import crash_point
from chassis.epochs import Epochs
from chassis.problem import Problem, Unavailable
from chassis.producer import KafkaDown, Producer, Sent
from chassis.records import EPOCH, TRACEPARENT, OutgoingFact
from chassis.store import Collection, Database, Document, claim_due, ensure_indexes, insert_once
from chassis.telemetry import Telemetry, current_traceparent, is_sampled, remote, traceparent_of
from contracts.fact import Visibility
from contracts.topics import PUBLIC

log = structlog.stdlib.get_logger()

OUTBOX_MAX_ENTRIES = 200
"""More pending entries in one aggregate than this: the relay is far behind, and commands are refused for a while."""
OUTBOX_MAX_BYTES = 4_000_000
"""A document holds 16 MB, and its answers need room too."""
REQUESTS_KEPT = 20
REQUEST_NAMESPACE = UUID("8a0c8f0e-31c5-5a53-9a0e-5b8f6ad7a9d1")
CAS_ATTEMPTS = 10
CAS_RETRY_S = 0.004
"""About a write's time. The mean wait after a lost one is half of it, then doubles, up to 128 ms."""
HINTS_MAX = 1_000
ROUND_MAX_AGGREGATES = 100
SWEEP_EVERY_S = 0.5
SWEEP_OLDER_THAN_S = 3.0
"""Younger entries are most likely being relayed by a hint; under load that takes longer than a second."""
BACK_OFF_S = 1.0
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class OutboxFull(Unavailable):
    """The aggregate's facts wait for Kafka and there is no room for more."""

    code, title = "outbox_full", "Earlier changes still wait to be passed on"
    detail = "Nothing was changed. Try again after `Retry-After` seconds; what was done before is safe."
    detail_id = "Tidak ada yang berubah. Coba lagi setelah `Retry-After` detik; perubahan sebelumnya aman."


class Contended(Unavailable):
    """Others changed the aggregate each time, CAS_ATTEMPTS times in a row."""

    code, title = "contended", "Too many changes at once"
    detail = "Nothing was changed. Try again after `Retry-After` seconds."
    detail_id = "Tidak ada yang berubah. Coba lagi setelah `Retry-After` detik."


class KeyReused(Problem):
    """An idempotency key came again with another request."""

    status, code, title = 422, "idempotency_key_reused", "This key was used for another request"
    detail = "Send a new `Idempotency-Key` with a new request; the same one only with a repeat."
    detail_id = "Kirim `Idempotency-Key` baru untuk permintaan baru; yang sama hanya untuk pengulangan."


class AlreadyThere(Exception):
    """The `_id` of a new aggregate is taken."""


@dataclass(frozen=True, slots=True)
class Note:
    """An internal entry: a document for another collection of the same service (history, audit), upserted there."""

    collection: str
    document: Document


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision comes to: fields to set, facts and notes that follow, what an idempotent request is answered."""

    set: Mapping[str, Any]
    facts: Sequence[OutgoingFact] = ()
    notes: Sequence[Note] = ()
    outcome: Document = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Request:
    """An idempotent POST: who asked with which key, as one id, and a hash of what was asked."""

    id: str
    body_hash: str

    @classmethod
    def of(cls, *, actor: str, key: str, asked: Sequence[str]) -> "Request":
        """`asked` is all that makes this request differ from another: two callers' keys never meet."""
        digest = blake2b(json.dumps(list(asked)).encode(), digest_size=16).hexdigest()
        return cls(id=str(uuid5(REQUEST_NAMESPACE, json.dumps([actor, key]))), body_hash=digest)


@dataclass(frozen=True, slots=True)
class Done:
    """The aggregate after the write, and what was answered: now, or to the first request of the same key."""

    document: Document
    outcome: Document
    replayed: bool = False


def _fact_entry(fact: OutgoingFact, *, traceparent: str | None) -> Document:
    envelope = fact.envelope
    return {
        "id": str(envelope.id),
        "at": envelope.time,
        "topic": fact.topic.name,
        "key": fact.key,
        "headers": {name: value.decode() for name, value in envelope.headers()},
        "value": fact.value,
        "bytes": len(fact.value),
        "public": envelope.visibility is Visibility.PUBLIC,
        "aggregate": fact.aggregate,
        "revision": envelope.revision,
        "traceparent": traceparent,
    }


def _note_entry(note: Note) -> Document:
    return {
        "id": str(note.document["_id"]),
        "at": now(),
        "collection": note.collection,
        "document": note.document,
        "bytes": len(bson.encode(note.document)),
    }


def _entries(change: Change) -> list[Document]:
    traceparent = current_traceparent()
    return [_fact_entry(f, traceparent=traceparent) for f in change.facts] + [_note_entry(n) for n in change.notes]


class Outbox:
    """Writes aggregates of one collection together with what follows from them, and relays that."""

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
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def prepare(self) -> None:
        """Indexes and the sweeper's lease."""
        await ensure_indexes(self.aggregates, [IndexModel("outbox.at", name="outbox", sparse=True)])
        await ensure_indexes(self._facts, [IndexModel([("topic", 1), ("aggregate", 1), ("revision", 1)], name="topic")])
        await insert_once(self._leases, {"_id": self._lease, "due_at": LONG_AGO})

    # Writing

    async def create(self, name: str, change: Change, *, request: Request | None = None) -> Done:
        """Insert a new aggregate with what follows from it, at version 1. Raises AlreadyThere, KeyReused."""
        new = {
            "_id": name,
            **change.set,
            "version": 1,
            "outbox": _entries(change),
            "requests": [_remembered(request, change.outcome)] if request else [],
        }
        crash_point("cas.before")
        try:
            await self.aggregates.insert_one(new)
        except DuplicateKeyError as error:
            there = await self.aggregates.find_one({"_id": name})
            if there and (replay := _replay(there, request)):
                return replay
            raise AlreadyThere(name) from error
        crash_point("cas.after")
        self._hint(new)
        return Done(new, change.outcome)

    async def change(
        self,
        load: Callable[[], Awaitable[Document]],
        decide: Callable[[Document], Change],
        *,
        request: Request | None = None,
    ) -> Done:
        """Decide on what is there and write it once; decided again, at most CAS_ATTEMPTS times, when others were first.

        `load` raises what a missing or invisible aggregate deserves, `decide` what a refused command does.
        Raises OutboxFull, Contended, KeyReused.
        """
        before = await load()
        # Here they wait for each other; only between processes does a CAS decide who was first.
        turn = self._turns.setdefault(before["_id"], asyncio.Lock())
        waited = turn.locked()
        async with turn:
            for attempt in range(CAS_ATTEMPTS):
                if attempt or waited:
                    before = await load()
                if done := _replay(before, request) or await self._write(before, decide(before), request):
                    return done
                await asyncio.sleep(random.uniform(0, CAS_RETRY_S * 2 ** min(attempt, 6)))  # noqa: S311 -- no secret
        raise Contended(retry_after_s=1)

    async def _write(self, before: Document, change: Change, request: Request | None) -> Done | None:
        """The compare-and-set; None when others were first."""
        entries = _entries(change)
        pending = before["outbox"] + entries
        if len(pending) > OUTBOX_MAX_ENTRIES or sum(e["bytes"] for e in pending) > OUTBOX_MAX_BYTES:
            raise OutboxFull
        push: Document = {"outbox": {"$each": entries}}
        if request:
            push["requests"] = {"$each": [_remembered(request, change.outcome)], "$slice": -REQUESTS_KEPT}
        crash_point("cas.before")
        done = await self.aggregates.update_one(
            {"_id": before["_id"], "version": before["version"]},
            {"$set": dict(change.set), "$inc": {"version": 1}, "$push": push},
        )
        crash_point("cas.after")
        if not done.matched_count:
            return None
        after = {**before, "version": before["version"] + 1, "outbox": pending}
        _set_paths(after, change.set)
        self._hint(after)
        return Done(after, change.outcome)

    def _hint(self, document: Document) -> None:
        if document["outbox"] and not self._hints.full():
            self._hints.put_nowait(document["_id"])

    # Relaying

    async def relay_hints(self) -> None:
        """For ever: relay what was just committed here."""
        while True:
            names = {await self._hints.get()}
            while not self._hints.empty() and len(names) < ROUND_MAX_AGGREGATES:
                names.add(self._hints.get_nowait())
            await self._try_round({"_id": {"$in": list(names)}})

    async def sweep(self) -> None:
        """For ever: relay what a lost hint or a dead process left behind; one process at a time, by a lease."""
        while True:
            try:
                await self._measure()
                mine = await claim_due(self._leases, {"_id": self._lease}, lease_s=SWEEP_EVERY_S)
            except PyMongoError as error:
                log.warning("outbox sweep waits for the database", error=repr(error))
                await asyncio.sleep(BACK_OFF_S)
                continue
            while mine is not None:
                older_than = datetime.fromtimestamp(now().timestamp() - SWEEP_OLDER_THAN_S, UTC)
                swept = await self._try_round({"outbox.at": {"$lt": older_than}})
                if swept < ROUND_MAX_AGGREGATES:
                    break
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _try_round(self, where: Document) -> int:
        try:
            return await self._round(where)
        except (KafkaDown, PyMongoError) as error:
            log.warning("relay comes again", error=repr(error), retry_s=BACK_OFF_S)
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
        entries: list[Document] = [entry for document in found for entry in document["outbox"]]
        facts = [entry for entry in entries if "topic" in entry]
        sent: list[Sent] = []
        for fact in facts:
            sent += await self._send(fact)
        await self._producer.wait(sent)
        crash_point("relay.acknowledged")
        await self._archive(entries)
        crash_point("relay.archived")
        await self.aggregates.bulk_write(
            [
                UpdateOne({"_id": d["_id"]}, {"$pull": {"outbox": {"id": {"$in": [e["id"] for e in d["outbox"]]}}}})
                for d in found
            ],
            ordered=False,
        )
        crash_point("relay.pulled")
        for fact in facts:
            self._telemetry.metrics.outbox_relayed.labels(fact["topic"]).inc()
        return len(found)

    async def _send(self, entry: Document) -> list[Sent]:
        traceparent: str | None = entry["traceparent"]
        if is_sampled(traceparent):
            with self._telemetry.tracer.start_as_current_span(
                f"publish {entry['topic']}",
                context=remote(traceparent),
                kind=trace.SpanKind.PRODUCER,
                attributes={"messaging.destination.name": entry["topic"], "livinglab.fact.id": entry["id"]},
            ) as span:
                traceparent = traceparent_of(span)
        topics = [entry["topic"]] + ([PUBLIC.name] if entry["public"] else [])
        return [
            await self._producer.send(
                topic,
                key=entry["key"].encode(),
                value=bytes(entry["value"]),
                headers=wire_headers(entry["headers"], traceparent=traceparent, epoch=await self._epochs.of(topic)),
            )
            for topic in topics
        ]

    async def _archive(self, entries: Sequence[Document]) -> None:
        writes: dict[str, list[UpdateOne]] = defaultdict(list)
        for entry in entries:
            if "topic" in entry:
                fact = {k: v for k, v in entry.items() if k not in ("id", "traceparent", "bytes")}
                writes["facts"].append(UpdateOne({"_id": entry["id"]}, {"$setOnInsert": fact}, upsert=True))
            else:
                document = {k: v for k, v in entry["document"].items() if k != "_id"}
                writes[entry["collection"]].append(
                    UpdateOne({"_id": entry["document"]["_id"]}, {"$set": document}, upsert=True)
                )
        for collection, upserts in writes.items():
            await self._database[collection].bulk_write(upserts, ordered=False)

    async def _measure(self) -> None:
        pending = await self.aggregates.count_documents({"outbox.at": {"$gt": LONG_AGO}}, limit=1_000)
        oldest = await self.aggregates.find_one(
            {"outbox.at": {"$gt": LONG_AGO}}, {"outbox.at": 1}, sort=[("outbox.at", 1)]
        )
        age = 0.0
        if oldest and oldest["outbox"]:
            age = max(0.0, now().timestamp() - oldest["outbox"][0]["at"].timestamp())
        self._telemetry.metrics.outbox_pending.set(pending)
        self._telemetry.metrics.outbox_age.set(age)


def wire_headers(headers: Mapping[str, str], *, traceparent: str | None, epoch: int) -> list[tuple[str, bytes]]:
    """The fact's own headers, and beside them where it was caused and how often its topic was rebuilt."""
    wire = [(name, value.encode()) for name, value in headers.items()]
    wire.append((EPOCH, str(epoch).encode()))
    if traceparent:
        wire.append((TRACEPARENT, traceparent.encode()))
    return wire


def _remembered(request: Request, outcome: Document) -> Document:
    return {"id": request.id, "body_hash": request.body_hash, "outcome": outcome}


def _replay(document: Document, request: Request | None) -> Done | None:
    for known in document["requests"] if request else ():
        if request and known["id"] == request.id:
            if known["body_hash"] != request.body_hash:
                raise KeyReused
            return Done(document, known["outcome"], replayed=True)
    return None


def _set_paths(document: Document, changes: Mapping[str, Any]) -> None:
    """What `$set` does with dotted paths, on the copy in memory."""
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = document
        for parent in parents:
            place[parent] = dict(place.get(parent, {}))
            place = place[parent]
        place[last] = value
