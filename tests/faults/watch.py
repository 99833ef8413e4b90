"""Looks at the views all the time: none may ever go back, not for a moment."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from pymongo.errors import PyMongoError

from tests.faults.ground import Ground

LOOKS_EVERY_S = 0.02
WAITS_FOR_S = 90.0


@dataclass(slots=True)
class Watch:
    """What was seen. `back` must stay empty."""

    looks: int = 0
    revisions: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    back: list[str] = field(default_factory=list[str])

    async def look(self, ground: Ground) -> None:
        """Compare each view with what it was."""
        for view in await ground.scoring["current"].find({}, {"revision": 1, "rule": 1}).to_list(None):
            now, before = (view["revision"], view["rule"]), self.revisions.get(view["_id"], (0, 0))
            if now < before:
                self.back.append(f"{view['_id']} went from {before} back to {now}")
            self.revisions[view["_id"]] = max(now, before)
        self.looks += 1


@asynccontextmanager
async def watching(ground: Ground) -> AsyncGenerator[Watch]:
    """Look until the block ends; an outage of mongod is sat out. Raises AssertionError if a view went back."""
    watch = Watch()

    async def keep_looking() -> None:
        while True:
            try:
                await watch.look(ground)
            except PyMongoError:
                await asyncio.sleep(10 * LOOKS_EVERY_S)
            await asyncio.sleep(LOOKS_EVERY_S)

    looking = asyncio.create_task(keep_looking())
    try:
        yield watch
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    await watch.look(ground)
    assert not watch.back, watch.back


async def eventually(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds. Raises AssertionError naming what never did."""
    deadline = monotonic() + WAITS_FOR_S
    while not await holds():
        assert monotonic() < deadline, f"not within {WAITS_FOR_S:.0f} s: {what}"
        await asyncio.sleep(0.05)
