"""The transactional outbox, kept inside the aggregate: state and facts in one single-document compare-and-set.

Every process that commits relays: `chassis.relay`.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5
from weakref import WeakValueDictionary

import bson
import structlog
from pymongo.errors import DuplicateKeyError

from chassis.clock import now
from chassis.crash import crash_point
from chassis.epochs import Epochs
from chassis.problem import Problem, Unavailable
from chassis.producer import Producer
from chassis.records import OutgoingFact
from chassis.relay import Relay
from chassis.store import Collection, Database, Document
from chassis.telemetry import Telemetry, current_traceparent
from contracts.fact import Visibility

log = structlog.stdlib.get_logger()

OUTBOX_MAX_ENTRIES = 200
"""More pending entries in one aggregate than this: the relay is far behind, and commands are refused for a while."""
OUTBOX_MAX_BYTES = 4_000_000
"""A document holds 16 MB, and its answers need room too."""
REQUESTS_KEPT = 20
REQUEST_NAMESPACE = UUID("8a0c8f0e-31c5-5a53-9a0e-5b8f6ad7a9d1")
CAS_ATTEMPTS = 30
"""Beside two other processes that write without a pause six in ten are lost, so ten in a row in one write of 5,000."""
CAS_RETRY_S = 0.004
"""About a write's time. The mean wait after a lost one is half of it, then doubles, up to 32 ms."""
TURN_WAIT_S = 5.0
"""While the database hangs, those who wait behind another are told so, not one after the other."""


class OutboxFull(Unavailable):
    """The aggregate's facts wait for Kafka and there is no room for more."""

    code, title = "outbox_full", "Earlier changes still wait to be passed on"
    detail = "Nothing was changed. Try again after `Retry-After` seconds; what was done before is safe."
    detail_id = "Tidak ada yang berubah. Coba lagi setelah `Retry-After` detik; perubahan sebelumnya aman."


class Contended(Unavailable):
    """Others changed the aggregate each time, CAS_ATTEMPTS times in a row, or one of them took too long."""

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
    """Writes aggregates of one collection together with what follows from them; its relay hands that over."""

    def __init__(
        self, database: Database, collection: str, *, producer: Producer, epochs: Epochs, telemetry: Telemetry
    ) -> None:
        self.aggregates: Collection = database[collection]
        self.relay = Relay(database, collection, producer=producer, epochs=epochs, telemetry=telemetry)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def prepare(self) -> None:
        """Indexes and the sweeper's lease."""
        await self.relay.prepare()

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
        try:
            await asyncio.wait_for(turn.acquire(), TURN_WAIT_S)
        except TimeoutError as error:
            raise Contended(retry_after_s=1) from error
        try:
            for attempt in range(CAS_ATTEMPTS):
                if attempt or waited:
                    before = await load()
                if done := _replay(before, request) or await self._write(before, decide(before), request):
                    return done
                await asyncio.sleep(random.uniform(0, CAS_RETRY_S * 2 ** min(attempt, 4)))  # noqa: S311 -- no secret
        finally:
            turn.release()
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
        if document["outbox"]:
            self.relay.hint(document["_id"])


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
