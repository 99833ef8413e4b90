"""Deliveries: each event to hand over to a subscription, with every attempt to do so."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import IndexModel, UpdateOne

from chassis.outbox import Change, Outbox
from chassis.problem import NotFound
from chassis.records import OutgoingFact
from chassis.service import Parts
from chassis.store import Document, aggregate, ensure_indexes, insert_new
from services.notify.store.recorder import Recorder

PENDING, DELIVERED, EXHAUSTED, WITHHELD = "pending", "delivered", "exhausted", "withheld"
"""What became of it. Withheld: before it was sent the right to be told was withdrawn, or the subscription closed."""
CLOCKS_APART_MAX = timedelta(minutes=1)
LOAD_MAX = 256
"""Deliveries loaded at once, of all lanes that were claimed together."""
COUNTED_MAX = 10_000
IN_ORDER_MAX = 16
"""Of one lane in order: what waits behind a head that is blocked is not read with it."""


class Deliveries:
    """What workers write. People ask `store.log`."""

    def __init__(self, parts: Parts) -> None:
        self._outbox: Outbox = parts.outbox("deliveries")
        self._deliveries = self._outbox.aggregates
        self._recorder = Recorder(self._deliveries)

    async def prepare(self) -> None:
        """Indexes: what waits in a lane, by time and by order; and the one that forgets."""
        waits: Document = {"status": PENDING}
        await ensure_indexes(
            self._deliveries,
            [
                IndexModel([("lane", 1), ("due_at", 1)], name="due", partialFilterExpression=waits),
                IndexModel([("lane", 1), ("order", 1)], name="order", partialFilterExpression=waits),
                IndexModel("expires_at", name="expires", expireAfterSeconds=0),
            ],
        )

    async def add(self, made: Sequence[Document]) -> None:
        """Those that are new; what was made before stays as it is."""
        await insert_new(self._deliveries, [{**one, "version": 1, "outbox": [], "requests": []} for one in made])

    async def due(self, lanes: Collection[str], *, now: datetime) -> list[Document]:
        """What may be sent now from these lanes, the longest due first, LOAD_MAX at most.

        By the database's clock, as lanes are; ours only bounds how far the index is read.
        """
        due: Document = {"due_at": {"$lte": now + CLOCKS_APART_MAX}, "$expr": {"$lte": ["$due_at", "$$NOW"]}}
        where: Document = {"lane": {"$in": list(lanes)}, "status": PENDING, **due}
        return await self._deliveries.find(where, _SENT).sort("due_at", 1).limit(LOAD_MAX).to_list(None)

    async def in_order(self, lanes: Collection[str]) -> list[Document]:
        """What waits in these lanes, due or not, in each in its order, IN_ORDER_MAX of each at most."""
        first, *others = [_head_of(lane) for lane in lanes]
        name = self._deliveries.name
        return await aggregate(
            self._deliveries, [*first, *({"$unionWith": {"coll": name, "pipeline": one}} for one in others)]
        )

    async def next_due(self, lane: str) -> datetime | None:
        """When the next of a lane may be sent; None where nothing waits."""
        found = await self._deliveries.find_one({"lane": lane, "status": PENDING}, {"due_at": 1}, sort=[("due_at", 1)])
        return found["due_at"] if found else None

    async def count_pending(self) -> int:
        """What was not handed over yet, COUNTED_MAX at most."""
        # The lane makes it the partial index's question.
        return await self._deliveries.count_documents({"status": PENDING, "lane": {"$gt": ""}}, limit=COUNTED_MAX)

    async def record(self, delivery: str, attempt: Document | None, *, status: str, due_at: datetime | None) -> None:
        """An attempt and what follows from it. One that was settled by another meanwhile stays settled."""
        waits = {"$eq": ["$status", PENDING]}
        fields: dict[str, Any] = {
            "status": {"$cond": [waits, status, "$status"]},
            "due_at": {"$cond": [waits, "$$REMOVE" if due_at is None else due_at, "$due_at"]},
            "version": {"$add": ["$version", 1]},
        }
        if attempt is not None:
            fields["attempts"] = {"$concatArrays": ["$attempts", [{"$literal": attempt}]]}
        await self._recorder.write(UpdateOne({"_id": delivery}, [{"$set": fields}]))

    async def withhold(self, lane: str) -> None:
        """All that waits in it: its subscription was closed."""
        change: Document = {"$set": {"status": WITHHELD}, "$unset": {"due_at": ""}, "$inc": {"version": 1}}
        await self._deliveries.update_many({"lane": lane, "status": PENDING}, change)

    async def exhaust(self, delivery: str, attempt: Document, fact: Callable[[Document], OutgoingFact]) -> None:
        """The last attempt failed: said so, in the write that records it."""

        def change(before: Document) -> Change:
            attempts = [*before["attempts"], attempt]
            if before["status"] != PENDING:
                return Change(set={"attempts": attempts})
            after: Document = {"attempts": attempts, "status": EXHAUSTED, "due_at": None}
            told = {**before, **after, "revision": before.get("revision", 0) + 1}
            return Change(set={**after, "revision": told["revision"]}, facts=[fact(told)])

        await self._outbox.change(lambda: self._find(delivery), change)

    async def _find(self, delivery: str) -> Document:
        found = await self._deliveries.find_one({"_id": delivery})
        if found is None:
            raise NotFound
        return found


def _head_of(lane: str) -> list[Document]:
    where: Document = {"lane": lane, "status": PENDING}
    return [{"$match": where}, {"$sort": {"order": 1}}, {"$limit": IN_ORDER_MAX}, {"$project": _SENT}]


_SENT: Document = {"outbox": 0, "requests": 0, "attempts.said": 0}
