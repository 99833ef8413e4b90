"""A TCP proxy that a test can cut, so that a part is away for one process and there for all others."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Proxy:
    """Forwards connections to one address while it is not cut."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._cut = False
        self.port = 0

    def cut(self) -> None:
        """Break every connection, and each new one at once."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Forward again."""
        self._cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self._cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._upstream)
        ends = {writer, back}
        self._open |= ends
        await asyncio.gather(_forward(reader, back), _forward(there, writer))
        self._open -= ends


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    except OSError:
        pass  # cut: both sides are told by their own ends
    finally:
        target.transport.abort()


@asynccontextmanager
async def proxy(host: str, port: int) -> AsyncGenerator[Proxy]:
    """A proxy on a free loopback port."""
    forwarding = Proxy(host, port)
    server = await asyncio.start_server(forwarding.serve, "127.0.0.1", 0)
    forwarding.port = server.sockets[0].getsockname()[1]
    try:
        yield forwarding
    finally:
        forwarding.cut()
        server.close()
        await server.wait_closed()
