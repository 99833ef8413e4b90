"""Is this process alive, and may traffic come?

Alive: the event loop answers; a worker also moves forward while there is lag and its dependencies answer (aiokafka can
live on without ever rejoining its group). Ready: MongoDB answers; for an api never Kafka, whose absence the outbox
bridges; a worker that stands still on purpose is not ready.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from fastapi import APIRouter, Response
from pymongo.errors import PyMongoError

from chassis.intake import Intake
from chassis.store import Database, ping

NO_PROGRESS_S = 120.0
FRESH_S = 30.0
"""A lag measured longer ago says nothing: Kafka does not answer."""


class Health:
    """What the probes look at. `failed` names a background task that ended, which none may."""

    def __init__(self, database: Database, intakes: Sequence[Intake[Any]], *, consuming: Callable[[], bool]) -> None:
        self._database = database
        self.intakes = intakes
        self._consuming = consuming
        self.failed: str | None = None

    async def trouble_alive(self) -> str | None:
        """Why this process should be restarted, or None."""
        if self.failed:
            return f"{self.failed} ended"
        stuck = [intake.group for intake in self.intakes if _is_stuck(intake)]
        if stuck and self._consuming() and await self._database_answers():
            return f"no progress: {', '.join(stuck)}"
        return None

    async def trouble_ready(self) -> str | None:
        """Why no traffic should come, or None."""
        if not await self._database_answers():
            return "MongoDB does not answer"
        if self.intakes and not self._consuming():
            return "Kafka is not there yet"
        still = [f"{i.group} ({i.trouble})" for i in self.intakes if i.trouble]
        return f"standing still: {', '.join(still)}" if still else None

    async def _database_answers(self) -> bool:
        try:
            await ping(self._database)
        except PyMongoError:
            return False
        return True


def _is_stuck(intake: Intake[Any]) -> bool:
    now = monotonic()
    kafka_answers = now - intake.offsets.measured_at < FRESH_S
    idle_s = now - intake.progressed_at
    return bool(kafka_answers and intake.offsets.waiting and not intake.trouble and idle_s > NO_PROGRESS_S)


def routes(health: Callable[[], Health]) -> APIRouter:
    """`/livez` and `/readyz`: 200 or 503, with the reason as text."""
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> Response:
        return _answer(await health().trouble_alive())

    @router.get("/readyz")
    async def readyz() -> Response:
        return _answer(await health().trouble_ready())

    return router


def _answer(trouble: str | None) -> Response:
    return Response(trouble or "ok", status_code=503 if trouble else 200, media_type="text/plain")
