"""Signed checkpoints of all trails, by number: two workers can't make the same one."""

from datetime import datetime, timedelta

from pymongo import IndexModel

from chassis.clock import now
from chassis.service import Parts
from chassis.store import Document, aggregate, claim_due, ensure_indexes, insert_once
from services.commitment.domain.checkpoint import Checkpoint
from services.commitment.domain.trail import Head

LEASE_S = 60.0
TURN = "turn"


class Checkpoints:
    """And the keys that sign them, and when the next one is due."""

    def __init__(self, parts: Parts) -> None:
        self._checkpoints = parts.collection("checkpoints")
        self._keys = parts.collection("checkpoint_keys")
        self._turns = parts.collection("checkpoint_turns")
        self._commitments = parts.collection("commitments")

    async def prepare(self) -> None:
        """The first is due at once."""
        await ensure_indexes(self._turns, [IndexModel("due_at", name="due")])
        await self._turns.update_one(
            {"_id": TURN}, [{"$set": {"due_at": {"$ifNull": ["$due_at", "$$NOW"]}}}], upsert=True
        )

    async def claim_due(self) -> bool:
        """Whether this process is to make the next one; if it dies, another is in LEASE_S."""
        return await claim_due(self._turns, {"_id": TURN}, lease_s=LEASE_S) is not None

    async def due_again(self, after: timedelta) -> None:
        """The next one, by the database's clock."""
        later = {"$add": ["$$NOW", round(after.total_seconds() * 1_000)]}
        await self._turns.update_one({"_id": TURN}, [{"$set": {"due_at": later}}])

    async def overdue_s(self) -> float:
        """Since when the next one is due and nobody makes it; 0.0 where it is not due. By our clock: an indicator."""
        turn = await self._turns.find_one({"_id": TURN})
        return max(0.0, (now() - turn["due_at"]).total_seconds()) if turn else 0.0

    async def note_key(self, public_key: str) -> None:
        """What checkpoints are signed with from now on; a repeat changes nothing."""
        await insert_once(self._keys, {"_id": public_key, "since": now()})

    async def keys(self) -> list[tuple[str, datetime]]:
        """Public keys, the first first: old ones stay, for the checkpoints that they signed."""
        found = await self._keys.find().sort("since", 1).to_list(None)
        return [(one["_id"], one["since"]) for one in found]

    async def all(self) -> list[Checkpoint]:
        """By number."""
        found = await self._checkpoints.find().sort("_id", 1).to_list(None)
        return [Checkpoint.model_validate(document) for document in found]

    async def last(self) -> Checkpoint | None:
        """The newest."""
        found = await self._checkpoints.find_one(sort=[("_id", -1)])
        return Checkpoint.model_validate(found) if found else None

    async def heads(self) -> dict[str, Head]:
        """Where each trail ends now. Also those of drafts: their acts are acts."""
        pipeline: list[Document] = [{"$project": {"trail": "$state.trail"}}]
        return {one["_id"]: Head.model_validate(one["trail"]) for one in await aggregate(self._commitments, pipeline)}

    async def keep(self, one: Checkpoint) -> bool:
        """False when another has its number: it was made elsewhere meanwhile."""
        return await insert_once(self._checkpoints, {"_id": one.number, **one.model_dump(mode="json")})
