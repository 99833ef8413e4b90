"""A receiver in the bench's own process, so that one clock tells when an event left and when it came."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bench.drain import WrongResult
from tests.bench.receiver import Endpoint

NAME = b"webhook-id:"
ASK_AGAIN_S = 0.005


@dataclass(slots=True)
class Hearing:
    """What came: (path, event's id) → when first, in seconds of `time.perf_counter`."""

    url: str = ""
    came: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    hanging: set[str] = field(default_factory=set[str])
    """Paths on which every message is taken, and never answered."""
    hung: list[float] = field(default_factory=list[float])
    """When a message came to one of these."""

    awaited: dict[tuple[str, str], asyncio.Future[None]] = field(
        default_factory=dict[tuple[str, str], asyncio.Future[None]]
    )

    def take(self, path: str, name: str, *, at: float) -> None:
        """Note that a message came."""
        self.came.setdefault((path, name), at)
        if awaited := self.awaited.pop((path, name), None):
            awaited.set_result(None)

    async def one(self, path: str, name: str) -> None:
        """Until this one came, whenever that was."""
        if (path, name) not in self.came:
            await self.awaited.setdefault((path, name), asyncio.get_running_loop().create_future())

    async def until(self, count: int, *, within_s: float) -> None:
        """Until so many different messages came. Raises WrongResult."""
        deadline = time.monotonic() + within_s
        while len(self.came) < count:
            if time.monotonic() > deadline:
                raise WrongResult(f"{len(self.came)} of {count} came in {within_s:.0f} s")
            await asyncio.sleep(ASK_AGAIN_S)


class _Ear(Endpoint):
    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing

    def answer(self, head: bytes) -> None:
        at = time.perf_counter()
        method, path, _ = head.split(b" ", 2)
        if method == b"post":
            name = head.partition(NAME)[2].split(b"\r\n", 1)[0].strip().decode()
            if path.decode() in self._hearing.hanging:
                self._hearing.hung.append(at)
                return
            self._hearing.take(path.decode(), name, at=at)
        super().answer(head)


@asynccontextmanager
async def hearing() -> AsyncGenerator[Hearing]:
    """On a port of its own. Of paths, write small letters."""
    heard = Hearing()
    server: Any = await asyncio.get_running_loop().create_server(lambda: _Ear(heard), "127.0.0.1", 0, backlog=4_096)
    heard.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield heard
    finally:
        server.close()
