"""Somebody at a live stream, who reads it as browsers do (WHATWG HTML, section 9.2.6)."""

import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One that was dispatched; `id` is the last event id at that moment."""

    event: str
    id: str
    data: Any

    @property
    def name(self) -> str:
        """The event's own id, which stays the same however often it comes."""
        return self.data["id"]

    @property
    def about(self) -> tuple[str, int]:
        """(aggregate, revision)."""
        return self.data["subject"], self.data["revision"]


class Listener:
    """Of one stream. `last`: the id of what was taken last, to be sent as `Last-Event-ID`. `pings` counts comments."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self._messages: deque[Message] = deque()
        self._last = ""
        self.last = ""
        self.retry = 0
        self.pings = 0

    async def take(self, count: int) -> list[Message]:
        """The next so many; fewer where it ends."""
        taken: list[Message] = []
        while len(taken) < count and (self._messages or await self._more()):
            if self._messages:
                taken.append(self._messages.popleft())
                self.last = taken[-1].id
        return taken

    async def until_id(self) -> None:
        """Until it knows where it is."""
        while not self._last and await self._more():
            pass
        self.last = self.last or self._last

    async def until_silent(self, times: int) -> None:
        """Until it was told so often that nothing happens; there it is then."""
        while self.pings < times and await self._more():
            pass
        self.last = self._last

    async def _more(self) -> bool:
        async for piece in self._pieces:
            *blocks, self._rest = (self._rest + piece).split(b"\n\n")
            self._messages += filter(None, [self._read(block.decode()) for block in blocks])
            return True
        return False

    def _read(self, block: str) -> Message | None:
        event, data = "message", list[str]()
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match field:
                case "event":
                    event = value
                case "data":
                    data.append(value)
                case "id":
                    self._last = value
                case "retry":
                    self.retry = int(value)
                case "":
                    self.pings += 1
                case _:
                    raise AssertionError(line)
        return Message(event, self._last, json.loads("\n".join(data))) if data else None
