"""Which life of its topic a group has read: the epoch of each partition, and rewinds asked for by operators."""

from aiokafka import TopicPartition

from chassis.store import Collection, Database


class Positions:
    """One service's collection `positions`. Offsets themselves stay with Kafka."""

    def __init__(self, database: Database) -> None:
        self._positions: Collection = database["positions"]

    async def of(self, group: str, tp: TopicPartition) -> tuple[int, int]:
        """(epoch, rewind) of a partition; zeros for one that was never begun anew."""
        document = await self._positions.find_one({"_id": f"{group}/{tp.topic}/{tp.partition}"})
        return (document["epoch"], document["rewind"]) if document else (0, 0)

    async def remember(self, group: str, tp: TopicPartition, *, epoch: int, rewind: int) -> None:
        """The partition was begun anew."""
        await self._positions.update_one(
            {"_id": f"{group}/{tp.topic}/{tp.partition}"},
            {"$set": {"epoch": epoch, "rewind": rewind}},
            upsert=True,
        )

    async def rewind_asked(self, group: str) -> int:
        """How often operators asked this group to read its topic again from the beginning."""
        document = await self._positions.find_one({"_id": group})
        return int(document["asked"]) if document else 0

    async def ask_rewind(self, group: str) -> None:
        """Ask all workers of the group to read the topic again from the beginning: a projection is run again."""
        await self._positions.update_one({"_id": group}, {"$inc": {"asked": 1}}, upsert=True)
