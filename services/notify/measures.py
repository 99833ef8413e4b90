"""What this service counts beside what every service does."""

import asyncio
from collections.abc import Sequence

import structlog
from pymongo.errors import PyMongoError

from chassis.service import Parts
from chassis.store import Document, in_short
from chassis.telemetry import from_zero
from contracts.telemetry import metrics as rows
from services.notify.domain.schedule import Verdict
from services.notify.domain.subscription import Channel
from services.notify.store.deliveries import DELIVERED, EXHAUSTED, WITHHELD, Deliveries
from services.notify.store.lanes import Lanes

log = structlog.stdlib.get_logger()

MEASURE_EVERY_S = 15.0


class Measures:
    """Of this process."""

    def __init__(self, parts: Parts) -> None:
        self._metrics = parts.telemetry.metrics
        self._attempts = self._metrics.counter(rows.ATTEMPTS)
        self._seconds = self._metrics.histogram(rows.ATTEMPT_SECONDS)
        self._ended = self._metrics.counter(rows.DELIVERIES)
        channels = [channel.value for channel in Channel]
        from_zero(self._attempts, channels, [verdict.value for verdict in Verdict])
        from_zero(self._ended, channels, ("first", "later", EXHAUSTED, WITHHELD))
        self._pending = self._metrics.gauge(rows.DELIVERIES_PENDING)
        self._waiting = self._metrics.gauge(rows.DELIVERIES_WAITING)

    async def prepare(self) -> None:
        """Keeps nothing."""

    def attempted(self, channel: Channel, outcome: str, *, seconds: float) -> None:
        """An attempt was made, of one delivery or of a letter with several."""
        self._attempts.labels(channel.value, outcome).inc()
        self._seconds.labels(channel.value).observe(seconds)

    def delivered(self, channel: Channel, deliveries: Sequence[Document], events: Sequence[Document]) -> None:
        """They were taken. What was asked for again does not tell how fast we are."""
        for delivery, event in zip(deliveries, events, strict=True):
            self._ended.labels(channel.value, "later" if delivery["attempts"] else "first").inc()
            if channel is Channel.WEBHOOK and not delivery.get("replay"):
                self._metrics.arrived("webhook", event["type"], event["time"], traceparent=event["traceparent"])

    def ended(self, channel: Channel, status: str) -> None:
        """It will not be taken: exhausted or withheld. Of an inbox: it lies there."""
        self._ended.labels(channel.value, "first" if status == DELIVERED else status).inc()

    async def watch(self, deliveries: Deliveries, lanes: Lanes) -> None:
        """For ever: what waits."""
        while True:
            try:
                self._pending.set(await deliveries.count_pending())
                self._waiting.set(await lanes.longest_wait_s())
            except PyMongoError as error:
                log.warning("deliveries not measured", error=in_short(error))
            await asyncio.sleep(MEASURE_EVERY_S)
