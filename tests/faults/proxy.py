"""A TCP proxy that forwards the request and cuts the answer: what was asked for is done, and nobody is told."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

READ_BYTES = 64 * 1024


class Proxy:
    """Stands on `port` before `upstream` (both on loopback). Lives in a running event loop."""

    def __init__(self, port: int, *, upstream: int) -> None:
        self.port = port
        self.cuts = 0
        """How many answers nobody got."""
        self.loses: Callable[[], bool] = lambda: False
        """Asked for each piece of an answer: whether it is lost, and the connection with it."""
        self._upstream = upstream
        self._marker: bytes | None = None
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def hold(self, marker: bytes) -> None:
        """Keep the answers to requests that contain `marker` back, and all after them on their connections."""
        self._marker = marker
        self._released.clear()

    def release(self) -> None:
        """Let them through."""
        self._marker = None
        self._released.set()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        to_server: asyncio.StreamWriter | None = None
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
            asked = asyncio.Event()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(client, to_server, asked))
                both.create_task(self._answers(server, to_client, asked))
        except (OSError, ExceptionGroup):
            pass  # the server is down, or one side hung up: the finally below tells the other
        finally:
            self._connections.discard(task)
            for side in (to_client, to_server):
                if side is not None:
                    side.transport.abort()

    async def _requests(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await source.read(READ_BYTES):
            if self._marker and self._marker in data:
                asked.set()
            target.write(data)
            await target.drain()
        raise ConnectionResetError("the client is done")

    async def _answers(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, asked: asyncio.Event) -> None:
        while data := await source.read(READ_BYTES):
            if asked.is_set():
                await self._released.wait()
                asked.clear()
            if self.loses():
                self.cuts += 1
                break
            target.write(data)
            await target.drain()
        raise ConnectionResetError("the server is done, or its answer is lost")
