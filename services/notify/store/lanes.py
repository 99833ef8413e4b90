"""Lanes: what workers claim. One per subscription, or per subscription and aggregate where order was asked for.

A lane is due when something in it may be sent. Whoever claims it is alone with it until the lease ends, by the
database's clock; `raised` counts what was put into it, so that nothing that comes while it is served is overlooked.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from pymongo import IndexModel, ReturnDocument, UpdateOne

from chassis.clock import now
from chassis.service import Parts
from chassis.store import Document, ensure_indexes, upsert_all
from services.notify.store.recorder import Recorder

IDLE_KEPT_S = 86_400
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
WAITS: Document = {"due_at": {"$exists": True}}
_NOW = {"$set": {"due_at": "$$NOW"}}


def lane_of(subscription: str, *, aggregate: str | None) -> str:
    """Where a delivery waits: beside all others of its subscription, or behind those of its aggregate."""
    return subscription if aggregate is None else f"{subscription}/{aggregate}"


class Lanes:
    """Those in which something waits."""

    def __init__(self, parts: Parts) -> None:
        self._lanes = parts.collection("lanes")
        self._recorder = Recorder(self._lanes)
        self._stirred = {mail: asyncio.Event() for mail in (False, True)}

    async def prepare(self) -> None:
        """Indexes for what is due, and for a subscription's; and the one that forgets lanes that are idle."""
        await ensure_indexes(
            self._lanes,
            [
                IndexModel(
                    [("mail", 1), ("due_at", 1)], name="due", partialFilterExpression={"due_at": {"$exists": True}}
                ),
                IndexModel("subscription", name="subscription"),
                IndexModel("idle_at", name="idle", expireAfterSeconds=IDLE_KEPT_S),
            ],
        )

    async def put(self, lanes: Mapping[str, Document]) -> None:
        """Something was put into each of these, which are due at once.

        lanes: name → its `subscription`, whether it is `ordered`, whether it goes by `mail`.
        """
        claimed = {"$eq": [{"$type": "$claim"}, "string"]}
        due = {"$cond": [claimed, "$due_at", {"$min": [{"$ifNull": ["$due_at", "$$NOW"]}, "$$NOW"]}]}
        raised = {"$add": [{"$ifNull": ["$raised", 0]}, 1]}
        await upsert_all(
            self._lanes,
            [
                UpdateOne(
                    {"_id": name},
                    [
                        {"$set": {**{k: {"$literal": v} for k, v in fields.items()}, "raised": raised, "due_at": due}},
                        {"$unset": "idle_at"},
                    ],
                    upsert=True,
                )
                for name, fields in lanes.items()
            ],
        )
        for mail in {fields["mail"] for fields in lanes.values()}:
            self._stirred[mail].set()

    async def longest_wait_s(self) -> float:
        """How long the lane that is due longest waits for a worker; 0.0 where none does. By our clock: an indicator."""
        at = now()
        found = [
            await self._lanes.find_one({"mail": mail, "due_at": {"$lte": at}}, {"due_at": 1}, sort=[("due_at", 1)])
            for mail in (False, True)
        ]
        return max(((at - one["due_at"]).total_seconds() for one in found if one), default=0.0)

    async def wake(self, subscription: str) -> None:
        """All of a subscription are due: it is active again."""
        # First those that are claimed, which found it inactive, perhaps: they are looked at once more. The other way
        # round, a lane that is given back between the two would be missed by both.
        await self._lanes.update_many({"subscription": subscription}, {"$inc": {"raised": 1}})
        unclaimed = {"subscription": subscription, "claim": {"$exists": False}, "idle_at": {"$exists": False}}
        await self._lanes.update_many(unclaimed, [_NOW])
        for stirred in self._stirred.values():
            stirred.set()

    async def stirred(self, *, mail: bool, wait_s: float) -> None:
        """Until this process put something into a lane of this way, or the time is over: others put too."""
        try:
            await asyncio.wait_for(self._stirred[mail].wait(), wait_s)
        except TimeoutError:
            return
        finally:
            self._stirred[mail].clear()

    async def claim(self, *, mail: bool, limit: int, lease_s: float) -> list[Document]:
        """Up to `limit` of this way that are due, the longest due first, for `lease_s` seconds.

        Who outlives the lease is joined by another, which costs repeats.
        """
        claim = uuid4().hex
        due: Document = {"mail": mail, "due_at": {"$gt": LONG_AGO}, "$expr": {"$lte": ["$due_at", "$$NOW"]}}
        lease = {"$set": {"due_at": {"$add": ["$$NOW", round(lease_s * 1000)]}, "claim": claim}}
        if limit == 1:
            return await self._claim_one(due, lease)
        found = await self._lanes.find(due).sort("due_at", 1).limit(limit).to_list(None)
        names = [lane["_id"] for lane in found]
        if not names:
            return []
        done = await self._lanes.update_many({"_id": {"$in": names}, **due}, [lease])
        if done.modified_count == len(found):  # what was put into one between the two reads as having come meanwhile
            return [{**lane, "claim": claim} for lane in found]
        return await self._lanes.find({"_id": {"$in": names}, "claim": claim}).to_list(None)

    async def _claim_one(self, due: Document, lease: Document) -> list[Document]:
        """In one round trip, where several take two."""
        order, after = [("due_at", 1)], ReturnDocument.AFTER
        lane = await self._lanes.find_one_and_update(due, [lease], sort=order, return_document=after)
        return [lane] if lane else []

    async def leave(self, lane: Document) -> None:
        """Nothing waits in it any more, unless something came meanwhile: then it is due."""
        await self._release(lane, {"due_at": "$$REMOVE", "idle_at": "$$NOW"})

    async def put_off(self, lane: Document, until: datetime | None) -> None:
        """What waits in it may be sent at `until`, None: when its subscription is active again. Or at once, if
        something came meanwhile.
        """
        await self._release(lane, {"due_at": "$$REMOVE" if until is None else until})

    async def _release(self, lane: Document, fields: Document) -> None:
        same = {"$eq": ["$raised", lane["raised"]]}
        again = {"due_at": "$$NOW", "idle_at": "$$REMOVE"}
        told = {name: {"$cond": [same, value, again[name]]} for name, value in fields.items()}
        change: Sequence[Document] = [{"$set": told}, {"$unset": "claim"}]
        await self._recorder.write(UpdateOne({"_id": lane["_id"], "claim": lane["claim"]}, list(change)))
