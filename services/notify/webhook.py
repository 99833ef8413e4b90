"""Sends to addresses that strangers gave: nowhere that is forbidden, and never more time or memory than is set."""

import asyncio
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import ip_network
from typing import Any

from aiohttp import (
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from services.notify.domain.address import Network, forbidden

USER_AGENT = "livinglab-webhooks/1"
BODY_MAX_BYTES = 16 * 1024
"""Of an answer; the rest is not read."""
HEADERS_MAX = 128
HEADER_MAX_BYTES = 8 * 1024
ANSWER_MAX_BYTES = 64 * 1024
"""All together, whatever it is: interim answers, chunk extensions and empty lines are endless otherwise."""
ADDRESSES_MAX = 8
"""Of a name: a connection is tried to each, a quarter of a second apart."""
POOLS_MAX = 64
"""Sets of allowed networks whose connections are kept; more only while all of them are in use."""
LOOKUP_THREADS_MAX = 32
LOOKUP_KEPT_S = 10
"""Merges the look-ups of a burst. What is kept has been judged, and is judged again before connecting."""
KEEPALIVE_S = 4
"""Shorter than servers wait (uvicorn and Node: 5 s): a POST that meets a closed connection is a failed delivery."""

_OF_USE = ("retry-after", "webhook-allowed-origin", "webhook-allowed-rate")


@dataclass(frozen=True, slots=True)
class Answer:
    """Of an endpoint, or why there is none.

    With a status line there is an answer, and its status stands even if its body then breaks off, drips or never ends:
    `body` is what came of it, BODY_MAX_BYTES at most, as sent (not decompressed). Otherwise `status` is None and
    `failure` a stable code: `timeout`, `dns`, `forbidden_address`, `connect`, `tls`, `disconnected` (it may have been
    received; also after ANSWER_MAX_BYTES without an answer), `protocol` (not HTTP/1.1, or too many headers).

    `headers` are those that we use, in lower case. `seconds` from the first look-up or byte to the last.
    """

    status: int | None
    failure: str | None
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class Webhooks:
    """One client for all endpoints. Follows no redirect, keeps no cookie, asks no proxy; speaks HTTP/1.1 alone.

    `timeout_s` is for everything: look-up, connecting, TLS, sending, the answer to its last byte. At most
    `in_flight_max` requests are under way, others wait without being timed. `lab` also opens loopback.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 15,
        lab: bool = False,
        in_flight_max: int = 512,
        ssl_context: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._lab = lab
        self._places = asyncio.Semaphore(in_flight_max)
        self._ssl = ssl_context or True  # aiohttp's own checks certificates and host names
        self._resolver = resolver or _ThreadedResolver()
        self._pools: OrderedDict[tuple[str, ...], _Pool] = OrderedDict()

    async def close(self) -> None:
        """Every connection, with it every request under way, and the resolver."""
        while self._pools:
            await self._pools.popitem()[1].session.close()
        await self._resolver.close()

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str], allowed: tuple[str, ...] = ()) -> Answer:
        """Deliver once, to a URL as `check_url` returned it; `allowed` are networks as in `forbidden`.

        Never raises for what the endpoint or the network does. aiohttp sends a POST once: it repeats only idempotent
        methods when a kept connection turns out closed (RFC 9112 §9.3.1), so what we do not know of is never sent.
        """
        return await self._request("POST", url, body, headers, allowed)

    async def options(self, url: str, *, headers: Mapping[str, str], allowed: tuple[str, ...] = ()) -> Answer:
        """Ask whether the endpoint wants events at all (CloudEvents' web hook specification §4); as `post`."""
        return await self._request("OPTIONS", url, None, headers, allowed)

    async def _request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], allowed: tuple[str, ...]
    ) -> Answer:
        async with self._places:
            pool = self._acquire(allowed)
            begun = time.monotonic()
            status: int | None = None
            failure: str | None = None
            of_use: dict[str, str] = {}
            beginning = b""
            try:
                if len(self._pools) > POOLS_MAX:
                    await self._close_idle()
                async with (
                    asyncio.timeout(self._timeout_s),
                    pool.session.request(
                        method, _parsed(url), data=body, headers=headers, allow_redirects=False
                    ) as response,
                ):
                    status = response.status
                    # What is not ASCII, aiohttp gives as surrogates, which no JSON and no database takes.
                    of_use = {
                        name: value for name in _OF_USE if (value := response.headers.get(name)) and value.isascii()
                    }
                    # Whoever sends more finds the connection closed: leaving the context with the body half read does.
                    while wanted := BODY_MAX_BYTES - len(beginning):
                        if not (piece := await response.content.read(wanted)):
                            break
                        beginning += piece
            except (ClientError, OSError) as error:
                failure = None if status else _failure(error)
            finally:
                pool.in_use -= 1
            return Answer(status, failure, of_use, beginning, time.monotonic() - begun)

    def _acquire(self, allowed: tuple[str, ...]) -> "_Pool":
        """The connections of exactly these networks: one that they opened is of no use to who lacks them."""
        pool = self._pools.get(allowed)
        if pool is None:
            pool = self._pools[allowed] = self._opened(tuple(ip_network(network) for network in allowed))
        self._pools.move_to_end(allowed)
        pool.in_use += 1
        return pool

    async def _close_idle(self) -> None:
        """Of the pools without a request, the one that was used longest ago."""
        idle = next((allowed for allowed, pool in self._pools.items() if not pool.in_use), None)
        if idle is not None:
            await self._pools.pop(idle).session.close()

    def _opened(self, allowed: tuple[Network, ...]) -> "_Pool":
        why_not = partial(forbidden, allowed=allowed, lab=self._lab)

        def socket_for(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
            # The last gate, and for an address in the URL the only one: this is what is connected to, whatever was
            # looked up or kept before.
            family, kind, protocol, _, (address, *_) = info
            if reason := why_not(address):
                raise _ForbiddenAddress(reason)
            return socket.socket(family, kind, protocol)

        connector = _Connector(
            resolver=_PermittedResolver(self._resolver, why_not),
            ttl_dns_cache=LOOKUP_KEPT_S,
            socket_factory=socket_for,
            ssl=self._ssl,
            keepalive_timeout=KEEPALIVE_S,
            limit=0,  # `in_flight_max` is the limit, of all pools together
        )
        session = ClientSession(
            connector=connector,
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, sock_connect=None),  # `timeout_s`: aiohttp's own rounds to seconds
            trust_env=False,
            auto_decompress=False,
            read_bufsize=BODY_MAX_BYTES,
            max_line_size=HEADER_MAX_BYTES,
            max_field_size=HEADER_MAX_BYTES,
            max_headers=HEADERS_MAX,
        )
        return _Pool(session)


@dataclass(slots=True)
class _Pool:
    session: ClientSession
    in_use: int = 0


class _Connector(TCPConnector):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # aiohttp 3.14 has no public way; tests of endless interim answers fail when this one goes.
        self._factory = partial(_BoundedHandler, loop=self._loop)


class _BoundedHandler(ResponseHandler):
    """Ends the connection after ANSWER_MAX_BYTES; what is complete by then is an answer."""

    _left = ANSWER_MAX_BYTES

    def set_response_params(self, **params: Any) -> None:
        self._left = ANSWER_MAX_BYTES
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        super().data_received(data[: self._left])
        self._left -= len(data)
        if self._left <= 0 and self.transport is not None:
            self.force_close()
            self.transport.abort()


class _ForbiddenAddress(OSError):
    """Of this kind because aiohttp passes on what a resolver or a socket factory raises as OSError."""


class _PermittedResolver(AbstractResolver):
    """Passes on the addresses that may be connected to."""

    def __init__(self, resolver: AbstractResolver, why_not: "partial[str | None]") -> None:
        self._resolver = resolver
        self._why_not = why_not

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not found:
            raise OSError("the name has no address")
        permitted = [each for each in found if self._why_not(each["host"]) is None]
        if not permitted:
            raise _ForbiddenAddress(self._why_not(found[0]["host"]))
        return permitted[:ADDRESSES_MAX]

    async def close(self) -> None:
        """The resolver is shared."""


class _ThreadedResolver(AbstractResolver):
    """getaddrinfo on threads of its own: uvloop has 4 for all, and names whose servers never answer would hold them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS_MAX, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        look_up = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=4096)
def _parsed(url: str) -> URL:
    return URL(url, encoded=True)  # a path is sent as the subscriber spelled it


def _failure(error: ClientError | OSError) -> str:
    match error:
        case TimeoutError():
            return "timeout"
        case ClientConnectorError(os_error=_ForbiddenAddress()):
            return "forbidden_address"
        case ClientConnectorDNSError():
            return "dns"
        case ClientSSLError():
            return "tls"
        case ClientConnectorError():
            return "connect"
        case ServerDisconnectedError() | OSError():
            return "disconnected"
        case _:
            return "protocol"
