"""Replays: one write accepts what somebody wants again, and whoever finds it makes the deliveries."""

from datetime import datetime

from pymongo import IndexModel

from chassis.outbox import Change, Done, Outbox, Request
from chassis.problem import NotFound
from chassis.service import Parts
from chassis.store import Document, claim_due, ensure_indexes
from contracts.fact import Frozen
from services.notify.domain.right import Right

LEASE_S = 30.0


class Replay(Frozen):
    """Of one event, of an aggregate, or of a time: those of [start, end)."""

    id: str
    subscription: str
    by: str
    right: Right
    """Of whoever asked: it narrows the subscription's, which may be a colleague's."""
    at: datetime
    event: str | None
    aggregate: str | None
    start: datetime
    end: datetime


class Replays:
    """Those that were accepted."""

    def __init__(self, parts: Parts) -> None:
        self._outbox: Outbox = parts.outbox("replays")

    async def prepare(self) -> None:
        """Indexes for what is due; and the one that forgets."""
        await ensure_indexes(
            self._outbox.aggregates,
            [
                IndexModel("due_at", name="due", sparse=True),
                IndexModel("expires_at", name="expires", expireAfterSeconds=0),
            ],
        )

    async def accept(self, wanted: Replay, *, expires_at: datetime, request: Request) -> Done:
        """One write; the rest follows from it, whoever dies. Raises KeyReused."""
        fields = wanted.model_dump(exclude={"id"})
        fields["right"]["kind"] = wanted.right.kind.value
        change = Change(
            set={**fields, "carried": False, "made": 0, "due_at": wanted.at, "expires_at": expires_at},
            outcome={"replay": wanted.id},
        )
        return await self._outbox.create(wanted.id, change, request=request)

    async def get(self, replay: str, *, subscription: str) -> Document:
        """Of a subscription that was found as a viewer. Raises NotFound."""
        found = await self._outbox.aggregates.find_one({"_id": replay, "subscription": subscription})
        if found is None:
            raise NotFound
        return found

    async def claim(self) -> Replay | None:
        """The one that is longest due."""
        found = await claim_due(self._outbox.aggregates, {"carried": False}, lease_s=LEASE_S)
        return None if found is None else Replay.model_validate({**found, "id": found["_id"]})

    async def carried(self, replay: str, *, made: int) -> None:
        """All its deliveries are there."""
        done: Document = {"$set": {"carried": True, "made": made}, "$unset": {"due_at": "", "claim": ""}}
        await self._outbox.aggregates.update_one({"_id": replay}, done)
