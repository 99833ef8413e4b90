"""Endpoints on loopback that behave as endpoints do, and DNS that answers as a test wants."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from socket import AF_INET, AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult

from services.notify.webhook import Webhooks

Behaviour = Callable[["Receiver", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Receiver:
    """An endpoint on loopback: what came to it, and how it behaves after each request."""

    behave: Behaviour
    tls: ssl.SSLContext | None = None
    connections: int = 0
    open: int = 0
    requests: list[bytes] = field(default_factory=list[bytes])
    server: asyncio.Server | None = None

    async def start(self) -> "Receiver":
        self.server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.tls)
        return self

    @property
    def port(self) -> int:
        assert self.server is not None
        return int(self.server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook?a=%20b"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                await self.behave(self, reader, writer)
        self.open -= 1
        writer.close()

    async def strangers(self) -> int:
        """Connections so far. One of our own comes last, for they are accepted in order."""
        before = self.connections
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await until(lambda: self.connections > before)
        writer.close()
        self.connections -= 1
        return self.connections


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.005)


def says(*pieces: bytes, pause: float = 0) -> Behaviour:
    """Answers so."""

    async def behave(_receiver: Receiver, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def floods(head: bytes, piece: bytes) -> Behaviour:
    """Answers so and never stops."""

    async def behave(_receiver: Receiver, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return behave


def chain(*steps: Behaviour) -> Behaviour:
    """Does one after the other."""

    async def behave(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in steps:
            await step(receiver, reader, writer)

    return behave


async def hangs(_receiver: Receiver, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(1)


async def hangs_up(_receiver: Receiver, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resets(_receiver: Receiver, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


class Names(AbstractResolver):
    """DNS that gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ResolveResult(hostname=host, host=a, port=port, family=family, proto=0, flags=0) for a in answer]

    async def close(self) -> None: ...


class Refusing(Names):
    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        raise OSError("no such name")


Receiving = Callable[..., Awaitable[Receiver]]
Sending = Callable[..., Webhooks]
