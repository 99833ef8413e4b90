"""Listeners where no webhook may go: each address is one on which a connection that was wrongly opened is noticed."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import psutil

ONE_MACHINE = ("0.0.0.0", "::ffff:127.0.0.1")
"""Both lead to 127.0.0.1; the lab's leave is for loopback as it is written, not for ways around."""
KNOCKS_WITHIN_S = 20.0


def own_addresses() -> list[str]:
    """Of this machine, private or otherwise not of the Internet, and not loopback: none where it has none."""
    found = [one.address for all_ in psutil.net_if_addrs().values() for one in all_ if one.family in _FAMILIES]
    routed = [address for address in found if "%" not in address]  # a zone has no place in a URL
    return [a for a in routed if not ip_address(a).is_global and not ip_address(a).is_loopback]


_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Traps:
    """What they caught. `caught` must stay 0 until `knock`."""

    def __init__(self) -> None:
        self.caught = 0
        self.places: list[tuple[str, int]] = []
        """(address, port) where a connection would be noticed, and is forbidden."""

    async def set(self, sockets: Sequence[socket.socket], addresses: Sequence[str]) -> Sequence[asyncio.Server]:
        """Listen on these, of one port, to which all these addresses lead."""
        self.places += [(address, sockets[0].getsockname()[1]) for address in addresses]
        return [await asyncio.start_server(self._connected, sock=one) for one in sockets]

    async def _connected(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.caught += 1
        writer.close()

    async def knock(self) -> int:
        """Connections so far. Then one of our own to each place, which must be noticed: they are accepted in order."""
        before = self.caught
        async with asyncio.timeout(KNOCKS_WITHIN_S):
            for number, (address, port) in enumerate(self.places, 1):
                _, writer = await asyncio.open_connection(address, port)
                while self.caught < before + number:
                    await asyncio.sleep(0.005)
                writer.close()
        return self.caught - len(self.places)


@asynccontextmanager
async def trapped(traps: Traps, *, beside: int) -> AsyncGenerator[int]:
    """A port all of whose addresses are trapped; and on port `beside` 127.0.0.1 and our own, but no other loopback."""
    own = own_addresses()
    if socket.has_dualstack_ipv6():
        everywhere = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        own_4 = [f"::ffff:{address}" for address in own if ":" not in address]
        addresses = [*ONE_MACHINE, "::", *own, *own_4]
    else:
        everywhere = socket.create_server(("", 0))
        addresses = [*ONE_MACHINE, *(address for address in own if ":" not in address)]
    of_4 = [address for address in own if ":" not in address]
    narrow = [socket.create_server((address, beside)) for address in ("127.0.0.1", *of_4)]
    servers = [*await traps.set([everywhere], addresses), *await traps.set(narrow, [*ONE_MACHINE, *of_4])]
    try:
        yield int(everywhere.getsockname()[1])
    finally:
        for server in servers:
            server.close()
