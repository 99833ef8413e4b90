"""Records that could not be handled: set aside whole, counted, listed, and retried through the same reaction.

A letter is `open` until an operator asks for a `retry` or discards it, or until the reference it waits for arrives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from aiokafka import ConsumerRecord
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from chassis.clock import now
from chassis.records import TRACEPARENT, header
from chassis.store import Collection, Database, Document, claim_due, ensure_indexes
from chassis.telemetry import Metrics

RawRecord = ConsumerRecord[Any, Any]
"""Key, value and the values of headers are bytes or None, whatever aiokafka's types say of the last."""

RETRY_LEASE_S = 30.0
REFERENCE_RETRY_S = (30, 120, 600, 3_600)
"""A letter that waits for a reference is tried again by itself after these, the last for ever, and when it arrives."""
DETAIL_MAX_CHARS = 1_000
"""The rest of a reason is somebody's input."""
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record was set aside: a stable code, a sentence, and the name of the reference it waits for, if any."""

    code: str
    detail: str
    reference: str | None = None


class DeadLetters:
    """One service's collection `dead_letters`."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._letters: Collection = database["dead_letters"]
        self._metrics = metrics

    async def prepare(self) -> None:
        """Indexes for what is due, and for what waits for a reference."""
        await ensure_indexes(
            self._letters,
            [
                IndexModel([("group", 1), ("status", 1), ("due_at", 1)], name="due"),
                IndexModel([("reference", 1), ("status", 1)], name="reference"),
                IndexModel([("status", 1), ("set_aside_at", 1)], name="status"),
            ],
        )

    async def add(self, record: RawRecord, failure: Failure, *, group: str, epoch: int) -> None:
        """Set a record aside; once, however often it is read again."""
        try:
            new = await self._add(record, failure, group=group, epoch=str(epoch))
        except DuplicateKeyError:
            # Another record had this place: the topic was rebuilt, and nothing on this partition has told us so yet.
            digest = blake2b(repr((record.key, record.value, record.headers)).encode(), digest_size=4).hexdigest()
            new = await self._add(record, failure, group=group, epoch=f"{epoch}-{digest}")
        if new:
            self._metrics.dead_letters.labels(group, failure.code).inc()

    async def _add(self, record: RawRecord, failure: Failure, *, group: str, epoch: str) -> bool:
        """Whether it is open by this call. Raises DuplicateKeyError when another record's letter has its id."""
        at = now()
        letter: Document = {
            "_id": f"{record.topic}/{epoch}/{record.partition}/{record.offset}",
            "key": record.key,
            "value": record.value,
            # Names and values as they came, also where they are no text.
            "headers": [[name, value] for name, value in record.headers],
        }
        more = {
            "group": group,
            "status": "open",
            **_reason(failure),
            "due_at": at + timedelta(seconds=REFERENCE_RETRY_S[0]),
            "tries": 0,
            "traceparent": header(record.headers, TRACEPARENT),
            "recorded_at": _clock_time(record.timestamp),
            "set_aside_at": at,
        }
        done = await self._letters.update_one(letter, {"$setOnInsert": more}, upsert=True)
        if done.upserted_id is None:
            # It was handled after a retry, then read again by other code, after a rewind: open once more.
            done = await self._letters.update_one(
                letter | {"status": "done"}, {"$set": {"status": "open", "set_aside_at": at, **_reason(failure)}}
            )
        return done.upserted_id is not None or bool(done.modified_count)

    async def release(self, references: Sequence[str]) -> None:
        """These references are there now: whatever waits for them is due at once."""
        await self._letters.update_many(
            {"reference": {"$in": list(references)}, "status": "open"},
            {"$set": {"due_at": datetime(2000, 1, 1, tzinfo=UTC)}},
        )

    async def claim(self, group: str) -> Document | None:
        """The next letter of this group to try again, for RETRY_LEASE_S; None when none is due."""
        due: Document = {"$or": [{"status": "retry"}, {"status": "open", "reference": {"$ne": None}}]}
        return await claim_due(self._letters, {"group": group, **due}, lease_s=RETRY_LEASE_S)

    async def done(self, letter: Document) -> None:
        """Handled after all; kept, without being listed as open."""
        await self._letters.update_one({"_id": letter["_id"]}, {"$set": {"status": "done"}, "$inc": {"tries": 1}})

    async def failed_again(self, letter: Document, failure: Failure) -> None:
        """Open again, with the newer reason; one that waits for a reference will be tried later by itself."""
        wait_s = REFERENCE_RETRY_S[min(letter["tries"] + 1, len(REFERENCE_RETRY_S) - 1)]
        reason: Document = _reason(failure)
        again = {"status": "open", "due_at": now() + timedelta(seconds=wait_s)}
        # Released, discarded or asked for again while it was being tried: then `due_at` has changed, and that stands.
        untouched = {"_id": letter["_id"], "due_at": letter["due_at"]}
        done = await self._letters.update_one(untouched, {"$set": {**reason, **again}, "$inc": {"tries": 1}})
        if not done.matched_count:
            await self._letters.update_one({"_id": letter["_id"]}, {"$set": reason, "$inc": {"tries": 1}})

    async def count_open(self) -> int:
        """How many nobody has dealt with."""
        return await self._letters.count_documents({"status": {"$in": ["open", "retry"]}})

    # For operators

    async def list(self, *, status: str, limit: int) -> list[Document]:
        """Letters of a status, the oldest first, without their bytes."""
        return (
            await self._letters.find({"status": status}, {"value": 0, "headers": 0, "key": 0})
            .sort("set_aside_at", 1)
            .limit(limit)
            .to_list(None)
        )

    async def find(self, letter_id: str) -> Document | None:
        """One letter, whole."""
        return await self._letters.find_one({"_id": letter_id})

    async def mark(self, letter_id: str | None, status: str) -> int:
        """Set `retry` or `discarded` on one open letter, or on all; how many."""
        where: Document = {"status": "open"} | ({"_id": letter_id} if letter_id else {})
        change: dict[str, Any] = {"status": status, "due_at": datetime(2000, 1, 1, tzinfo=UTC)}
        done = await self._letters.update_many(where, {"$set": change})
        return done.modified_count


def _reason(failure: Failure) -> Document:
    return {"code": failure.code, "detail": failure.detail[:DETAIL_MAX_CHARS], "reference": failure.reference}


def _clock_time(timestamp_ms: int) -> datetime | None:
    """None for a time that no calendar has: a producer may claim any."""
    try:
        return UNIX_EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return None


def record_of(letter: Document) -> RawRecord:
    """The record again, as it was read."""
    topic, _epoch, partition, offset = letter["_id"].rsplit("/", 3)
    value = None if letter["value"] is None else bytes(letter["value"])
    key = None if letter["key"] is None else bytes(letter["key"])
    headers: Any = tuple((name, None if v is None else bytes(v)) for name, v in letter["headers"])
    return ConsumerRecord(
        topic=topic,
        partition=int(partition),
        offset=int(offset),
        timestamp=int(letter["recorded_at"].timestamp() * 1000) if letter["recorded_at"] else 0,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value or b""),
        headers=headers,
    )
