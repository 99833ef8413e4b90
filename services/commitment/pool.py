"""Child processes: a few that are kept for our own documents, a fresh one for each of a stranger."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import structlog

from chassis.problem import Unavailable
from services.commitment.papers.child import CONTEXT, PRELOADED, Overdone, begin, confined
from services.commitment.settings import CommitmentSettings

log = structlog.stdlib.get_logger()

T = TypeVar("T")


class Busy(Unavailable):
    """Too many at once."""

    code, title = "busy", "Too many documents are being looked at right now"
    detail = "Try again after `Retry-After` seconds."
    detail_id = "Coba lagi setelah `Retry-After` detik."


class ChildDied(Unavailable):
    """A child that worked on one of our own documents was killed: for want of memory, say."""

    code, title = "child_died", "The document could not be worked on"
    detail = "Nothing was changed. Try again after `Retry-After` seconds."
    detail_id = "Tidak ada yang berubah. Coba lagi setelah `Retry-After` detik."


class Pool:
    """What takes CPU, or must not bring the service down with it."""

    def __init__(self, settings: CommitmentSettings) -> None:
        self._processes = settings.signing_processes
        self._strangers = settings.verification_processes
        self._looking = 0
        self._executor: ProcessPoolExecutor | None = None

    async def prepare(self) -> None:
        """The first call of a child takes a second; so none of a signer's is the first."""
        await self.run(_nothing)

    async def close(self) -> None:
        """Let them finish, and end them."""
        executor, self._executor = self._executor, None
        if executor:
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)

    async def run(self, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """The result of a call in a child; arguments and results are pickled. Raises ChildDied, and what it raises."""
        executor = self._executor = self._executor or self._made()
        try:
            # A stuck child is waited for: what it works on is ours, and of known size.
            return await asyncio.wrap_future(executor.submit(function, *args, **named))
        except BrokenProcessPool as error:
            log.error("a child died", function=function.__qualname__)
            if self._executor is executor:
                self._executor = None
            raise ChildDied from error

    async def confined(self, function: Callable[..., T], *args: Any) -> T:
        """The result of a call on a stranger's document. Raises Busy, Overdone."""
        if self._looking >= self._strangers:
            raise Busy(retry_after_s=2)
        self._looking += 1
        try:
            return await asyncio.to_thread(confined, function, *args)
        finally:
            self._looking -= 1

    def _made(self) -> ProcessPoolExecutor:
        CONTEXT.set_forkserver_preload(PRELOADED)
        return ProcessPoolExecutor(self._processes, mp_context=CONTEXT, initializer=begin)


def _nothing() -> None:
    """To have begun."""


__all__ = ["Busy", "ChildDied", "Overdone", "Pool"]
