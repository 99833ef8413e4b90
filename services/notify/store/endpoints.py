"""How endpoints are doing: of those that fail. One that takes what it is sent is not in here."""

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Histogram
from pymongo import DeleteOne, UpdateOne

from chassis.service import Parts
from chassis.store import Document
from chassis.telemetry import SECONDS
from services.notify.domain.endpoint import Health
from services.notify.store.recorder import Recorder


class Endpoints:
    """By subscription."""

    def __init__(self, parts: Parts) -> None:
        self._endpoints = parts.collection("endpoints")
        self._recorder = Recorder(self._endpoints)
        registry = parts.telemetry.metrics.registry
        self._attempts = Counter(
            "livinglab_webhook_attempts_total", "Attempts, by what came of them", ["outcome"], registry=registry
        )
        self._seconds = Histogram("livinglab_webhook_seconds", "Time of an attempt", buckets=SECONDS, registry=registry)

    async def prepare(self) -> None:
        """Read by `_id` alone."""

    async def many(self, subscriptions: Iterable[str]) -> Mapping[str, Health]:
        """Those that fail."""
        found = await self._endpoints.find({"_id": {"$in": list(subscriptions)}}).to_list(None)
        return {one["_id"]: Health(one["failures"], one["failing_since"], one["open_until"]) for one in found}

    def observe(self, outcome: str, *, seconds: float) -> None:
        """Count an attempt."""
        self._attempts.labels(outcome).inc()
        self._seconds.observe(seconds)

    async def failed(self, subscription: str, health: Health) -> None:
        """Several workers may see an endpoint fail: since the first of them did."""
        told: Document = {"failures": health.failures, "open_until": health.open_until}
        change: Document = {"$set": told, "$min": {"failing_since": health.failing_since}}
        await self._recorder.write(UpdateOne({"_id": subscription}, change, upsert=True))

    async def recovered(self, subscription: str) -> None:
        """It took something."""
        await self._recorder.write(DeleteOne({"_id": subscription}))
