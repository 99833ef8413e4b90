"""Who is in a signing room: organizations and offices, forgotten a moment after their last sign of life."""

from pymongo import IndexModel

from chassis.service import Parts
from chassis.store import Document, ensure_indexes

PRESENT_FOR_S = 25
"""Rooms are polled every 2 s; a browser in the background may pause for longer."""


class Presence:
    """Never an event, never logged."""

    def __init__(self, parts: Parts) -> None:
        self._present = parts.collection("presence")

    async def prepare(self) -> None:
        """Forgets by itself."""
        await ensure_indexes(
            self._present,
            [IndexModel("until", name="until", expireAfterSeconds=0), IndexModel("commitment", name="commitment")],
        )

    async def note(self, commitment: str, organization: str, actor: str) -> None:
        """This actor is here, by the database's clock."""
        until = {"$add": ["$$NOW", PRESENT_FOR_S * 1_000]}
        kept: Document = {"commitment": commitment, "organization": organization, "until": until}
        await self._present.update_one({"_id": f"{commitment}/{actor}"}, [{"$set": kept}], upsert=True)

    async def here(self, commitment: str) -> list[str]:
        """Organizations of those who are here now."""
        where = {"commitment": commitment, "$expr": {"$gt": ["$until", "$$NOW"]}}
        found = await self._present.find(where, {"organization": 1}).to_list(None)
        return sorted({one["organization"] for one in found})
