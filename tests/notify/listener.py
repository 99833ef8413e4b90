"""Somebody at a live stream, who reads it as browsers do (WHATWG HTML, section 9.2.6)."""

import json
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
    """Of one stream. `last` is what a browser would send as `Last-Event-ID`; `pings` counts comments."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.last = ""
        self.retry = 0
        self.pings = 0

    async def __aiter__(self) -> AsyncIterator[Message]:
        async for piece in self._pieces:
            self._rest += piece
            *blocks, self._rest = self._rest.split(b"\n\n")
            for block in blocks:
                if message := self._read(block.decode()):
                    yield message

    async def take(self, count: int) -> list[Message]:
        """The next so many."""
        taken: list[Message] = []
        async for message in self:
            taken.append(message)
            if len(taken) == count:
                break
        return taken

    async def until_id(self) -> None:
        """Until it knows where it is."""
        async for piece in self._pieces:
            self._read(piece.decode().strip("\n"))
            if self.last:
                return

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
                    self.last = value
                case "retry":
                    self.retry = int(value)
                case "":
                    self.pings += 1
                case _:
                    raise AssertionError(line)
        return Message(event, self.last, json.loads("\n".join(data))) if data else None
