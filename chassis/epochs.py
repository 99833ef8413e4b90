"""How often each topic of ours was rebuilt (design: facts on the wire).

Kafka's offsets mean nothing after a topic was deleted and filled again. The owner counts the rebuilds; its relay puts
the count beside each fact; consumers remember it with their offsets and begin anew when it rises.
"""

from time import monotonic

from pymongo import ReturnDocument

from chassis.store import Collection, Database

REREAD_AFTER_S = 2.0


class Epochs:
    """The epochs of the topics that one service publishes to, from its database, a few seconds old at most."""

    def __init__(self, database: Database) -> None:
        self._collection: Collection = database["epochs"]
        self._known: dict[str, int] = {}
        self._read_at = -REREAD_AFTER_S

    async def of(self, topic: str) -> int:
        """0 for a topic that was never rebuilt."""
        if monotonic() - self._read_at >= REREAD_AFTER_S:
            self._known = {d["_id"]: d["epoch"] for d in await self._collection.find({}).to_list(None)}
            self._read_at = monotonic()
        return self._known.get(topic, 0)

    async def raise_one(self, topic: str) -> int:
        """Count one rebuild more; the new epoch."""
        document = await self._collection.find_one_and_update(
            {"_id": topic}, {"$inc": {"epoch": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        self._read_at = -REREAD_AFTER_S
        return int(document["epoch"])
