"""Within one process those who sign the same paper wait in order; between processes the commitment's state decides."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import structlog

from chassis.problem import Problem

log = structlog.stdlib.get_logger()

T = TypeVar("T")
FINISH_WITHIN_S = 10.0
"""What is under way when the service ends is waited for so long; then a worker finds its turn, as after a crash."""


class Turns:
    """Waiting lines by paper, and signatures that are under way."""

    def __init__(self) -> None:
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: set[asyncio.Task[Any]] = set()

    async def prepare(self) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Let finish what is under way."""
        if self._running:
            await asyncio.wait(self._running, timeout=FINISH_WITHIN_S)

    def line(self, paper: str) -> asyncio.Lock:
        """To be acquired by whoever wants to sign this paper."""
        return self._lines.setdefault(paper, asyncio.Lock())

    def carry(self, work: Coroutine[Any, Any, T], line: asyncio.Lock) -> "asyncio.Task[T]":
        """Begin what goes on when nobody waits for it any more; whoever comes next in line waits for its end."""
        task = asyncio.create_task(work)
        self._running.add(task)

        def ended(task: "asyncio.Task[T]") -> None:
            line.release()
            self._running.discard(task)
            with suppress(asyncio.CancelledError):
                error = task.exception()
                if error and not isinstance(error, Problem):
                    log.error("a signature was not carried through", exc_info=error)

        task.add_done_callback(ended)
        return task
