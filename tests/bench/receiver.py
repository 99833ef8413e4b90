"""An endpoint that takes everything at once, so that what is measured is the sender: counts POSTs, tells how many.

`python -m tests.bench.receiver PORT`. `GET` answers with the count; any `OPTIONS` is agreed to.
"""

import asyncio
import sys
from typing import Any

import uvloop

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
AGREED = b"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nContent-Length: 0\r\n\r\n"
LENGTH = b"content-length:"


class Endpoint(asyncio.Protocol):
    """One connection. Reads just as much HTTP as aiohttp's client writes."""

    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's own is no subclass of asyncio's
        self._sent = b""

    def data_received(self, data: bytes) -> None:
        self._sent += data
        while (end := self._sent.find(b"\r\n\r\n")) >= 0:
            head = self._sent[:end].lower()
            place = head.find(LENGTH)
            length = int(head[place + len(LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self._sent) < end + 4 + length:
                return
            self.answer(head)
            self._sent = self._sent[end + 4 + length :]

    def answer(self, head: bytes) -> None:
        """A request with this head, in small letters, is there as a whole."""
        method = head.split(b" ", 1)[0]
        if method == b"post":
            Endpoint.taken += 1
            self._transport.write(NO_CONTENT)
        elif method == b"options":
            self._transport.write(AGREED)
        else:
            told = str(Endpoint.taken).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))


async def main(port: int) -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
