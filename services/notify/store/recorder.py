"""Group commit: the writes of many coroutines in few round trips."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pymongo import DeleteOne, UpdateOne

from chassis.store import Collection

BATCH_MAX = 500
Change = UpdateOne | DeleteOne


class Recorder:
    """Whatever comes while one bulk write is on its way goes with the next; nobody waits for company."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._waiting: list[tuple[Sequence[Change], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, *changes: Change) -> None:
        """Until they are written, in no order: together in one bulk write with others' changes. Raises PyMongoError."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                outcome: BaseException | None = None
                try:
                    requests: list[Any] = [change for changes, _ in batch for change in changes]
                    await self._collection.bulk_write(requests, ordered=False)
                except BaseException as error:
                    outcome = error
                for _, done in batch:
                    if done.cancelled():
                        continue
                    if outcome is None:
                        done.set_result(None)
                    else:
                        done.set_exception(outcome)
                if isinstance(outcome, asyncio.CancelledError):
                    raise outcome
        finally:
            self._writing = None
