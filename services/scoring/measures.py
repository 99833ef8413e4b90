"""What this service counts beside what every service does."""

import asyncio

import structlog
from pymongo.errors import PyMongoError

from chassis.service import Parts
from chassis.store import in_short
from contracts.telemetry import metrics as rows
from services.scoring.store.summaries import Summaries

log = structlog.stdlib.get_logger()

MEASURE_EVERY_S = 15.0


class Measures:
    """Of this process."""

    def __init__(self, parts: Parts) -> None:
        self._regions = parts.telemetry.metrics.gauge(rows.REGIONS)

    async def prepare(self) -> None:
        """Keeps nothing."""

    async def watch(self, summaries: Summaries) -> None:
        """For ever: how many regions have an index on which basis, and with which predicate."""
        while True:
            try:
                predicates = await summaries.predicates()
            except PyMongoError as error:
                log.warning("not measured", error=in_short(error))
            else:
                self._regions.clear()
                for (cycle, basis, predicate), regions in predicates.items():
                    self._regions.labels(cycle, basis, predicate).set(regions)
            await asyncio.sleep(MEASURE_EVERY_S)
