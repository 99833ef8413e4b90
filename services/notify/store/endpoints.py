"""How endpoints are doing: of those that fail. One that takes what it is sent is not in here."""

from collections.abc import Iterable, Mapping

from pymongo import DeleteOne, UpdateOne

from chassis.service import Parts
from chassis.store import Document
from services.notify.domain.endpoint import Health
from services.notify.store.recorder import Recorder


class Endpoints:
    """By subscription."""

    def __init__(self, parts: Parts) -> None:
        self._endpoints = parts.collection("endpoints")
        self._recorder = Recorder(self._endpoints)

    async def prepare(self) -> None:
        """Read by `_id` alone."""

    async def many(self, subscriptions: Iterable[str]) -> Mapping[str, Health]:
        """Those that fail."""
        found = await self._endpoints.find({"_id": {"$in": list(subscriptions)}}).to_list(None)
        return {one["_id"]: Health(one["failures"], one["failing_since"], one["open_until"]) for one in found}

    async def failed(self, subscription: str, health: Health) -> None:
        """Several workers may see an endpoint fail: since the first of them did."""
        told: Document = {"failures": health.failures, "open_until": health.open_until}
        change: Document = {"$set": told, "$min": {"failing_since": health.failing_since}}
        await self._recorder.write(UpdateOne({"_id": subscription}, change, upsert=True))

    async def recovered(self, subscription: str) -> None:
        """It took something."""
        await self._recorder.write(DeleteOne({"_id": subscription}))
