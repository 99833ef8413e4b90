"""Receivers of every kind that there is, and what must become of what is sent to them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from tests.faults.traps import ONE_MACHINE, own_addresses
from tests.notify.office import Endpoint, listening
from tests.notify.receiver import Behaviour, Receiver, chain, floods, hangs, hangs_up, resets, says, until

Answers = Callable[[str, int], Awaitable[web.StreamResponse]]


class Fate(StrEnum):
    """What must become of its events."""

    TAKEN = "taken"
    REPORTED = "reported"
    """Exhausted, or its subscription disabled."""
    PUT_OFF = "put off"
    """By the receiver, for hours."""
    FORBIDDEN = "forbidden"
    """Reported too, and no connection is ever opened."""


@dataclass
class Party:
    """A receiver and its subscription, whose id is the name."""

    name: str
    fate: Fate
    url: str
    ordered: bool = False
    regions: tuple[str, ...] = ("32",)
    endpoint: Endpoint | None = None
    receiver: Receiver | None = None

    @property
    def came(self) -> Sequence[tuple[str, bytes]]:
        """(id, bytes) of what came, each time."""
        if self.endpoint is not None:
            return self.endpoint.came
        return [_read(request) for request in self.receiver.requests] if self.receiver is not None else []

    @property
    def taken(self) -> Sequence[str]:
        """Ids that it said yes to, in their order, each time."""
        if self.endpoint is not None:
            return self.endpoint.taken
        return [name for name, _ in self.came] if self.fate is Fate.TAKEN else []


@dataclass
class Crowd:
    """All of them, and the names that some of their URLs hold."""

    parties: list[Party] = field(default_factory=list[Party])
    names: dict[str, list[list[str]]] = field(default_factory=dict[str, list[list[str]]])

    def of(self, *fates: Fate) -> list[Party]:
        return [party for party in self.parties if party.fate in fates]


def refuses_first(count: int, retry_after: str) -> Answers:
    """429 to so many requests; then it takes what comes."""

    async def answer(_name: str, so_many: int) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": retry_after}) if so_many <= count else _taken()

    return answer


def refuses(status: int, **headers: str) -> Answers:
    """Always so."""

    async def answer(_name: str, _count: int) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def stumbles() -> Answers:
    """500 to some of those that come for the first time; between them it always takes others."""
    seen: set[str] = set()

    async def answer(name: str, count: int) -> web.StreamResponse:
        refused = name not in seen and count % 3 == 0
        seen.add(name)
        return web.Response(status=500) if refused else _taken()

    return answer


def _taken() -> web.Response:
    return web.Response(status=204)


ENDLESS = b"Content-Length: 99999999999\r\n\r\n"
RAW: Mapping[str, tuple[Fate, Behaviour]] = {
    **{f"hangs-{n}": (Fate.REPORTED, hangs) for n in range(6)},
    "drips-status": (Fate.REPORTED, says(*[bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" * 9], pause=1)),
    "drips-headers": (Fate.REPORTED, says(b"HTTP/1.1 200 OK\r\nA: ", *[b"a"] * 90, pause=1)),
    "drips-body": (Fate.TAKEN, says(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n", *[b"a"] * 90, pause=1)),
    "endless-headers": (Fate.REPORTED, floods(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1_000)),
    "endless-header": (Fate.REPORTED, floods(b"HTTP/1.1 200 OK\r\nA: ", b"a" * 65_536)),
    "endless-interim": (Fate.REPORTED, floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)),
    "huge-body": (Fate.TAKEN, floods(b"HTTP/1.1 200 OK\r\n" + ENDLESS, b"a" * 65_536)),
    "huge-refusal": (Fate.REPORTED, floods(b"HTTP/1.1 503 No\r\n" + ENDLESS, b"a" * 65_536)),
    "hangs-up": (Fate.REPORTED, hangs_up),
    "resets": (Fate.REPORTED, resets),
    "no-http": (Fate.REPORTED, chain(says(b"220 mail.example ESMTP\r\n"), hangs_up)),
}
ODD_AND_PASSING = {
    "negative": "-30",
    "past": "Sun, 06 Nov 1994 08:49:37 GMT",
    "garbage": 'soon; or "never" 1e9',
    "hex": "0x7fffffff",
}
ODD_AND_LASTING = {"huge": "9" * 300, "far": "Fri, 31 Dec 9999 23:59:59 GMT"}
UNROUTED = ("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::7f00:1]", "169.254.169.254")
"""127.0.0.1 in other clothes, and a cloud's metadata: nothing here listens on them, so their failure is looked at."""


@asynccontextmanager
async def a_crowd(*, trap: int, beside: int, one_region: str) -> AsyncGenerator[Crowd]:
    """All at once. `trap` and `beside` are the ports of `trapped`."""
    crowd = Crowd()
    async with AsyncExitStack() as stack:

        async def add(
            name: str, fate: Fate, answers: Answers | None = None, at: str = "", ordered: bool = False
        ) -> None:
            port = beside if at else 0
            endpoint = await stack.enter_async_context(listening(Endpoint(answers=answers), at or "127.0.0.1", port))
            crowd.parties.append(Party(name, fate, endpoint.url, ordered, endpoint=endpoint))

        for n in range(6):
            await add(f"healthy-{n}", Fate.TAKEN)
            await add(f"healthy-ordered-{n}", Fate.TAKEN, ordered=True)
        await add("stumbles", Fate.TAKEN, stumbles())
        await add("stumbles-ordered", Fate.TAKEN, stumbles(), ordered=True)
        for kind, value in ODD_AND_PASSING.items():
            await add(f"retry-after-{kind}", Fate.TAKEN, refuses_first(6, value))
            await add(f"retry-after-{kind}-ordered", Fate.TAKEN, refuses_first(6, value), ordered=True)
        for kind, value in ODD_AND_LASTING.items():
            await add(f"retry-after-{kind}", Fate.PUT_OFF, refuses(429, Retry_After=value))
            await add(f"retry-after-{kind}-ordered", Fate.PUT_OFF, refuses(429, Retry_After=value), ordered=True)
        for n, status in enumerate((301, 302, 303, 307, 308)):
            host = "127.0.0.1" if n % 2 else "0.0.0.0"
            await add(f"redirects-{status}", Fate.REPORTED, refuses(status, Location=f"http://{host}:{trap}/"))
        await add("gone", Fate.REPORTED, refuses(410))
        await add("gone-ordered", Fate.REPORTED, refuses(410), ordered=True)
        for name, (fate, behave) in RAW.items():
            receiver = await Receiver(behave).start()
            stack.push_async_callback(_close, receiver)
            crowd.parties.append(Party(name, fate, receiver.url, receiver=receiver))
        for ordered in (False, True):  # so few that every attempt is made before they are given up
            receiver = await Receiver(hangs_up).start()
            stack.push_async_callback(_close, receiver)
            name = f"hangs-up-few{'-ordered' * ordered}"
            crowd.parties.append(Party(name, Fate.REPORTED, receiver.url, ordered, (one_region,), receiver=receiver))

        # A name is looked up to be judged, and may be looked up again to be connected to: each answer is the other one.
        inside = [*ONE_MACHINE, *(address for address in own_addresses() if ":" not in address)]
        for n, address in enumerate(inside, 2):
            good = f"127.0.0.{n}"
            await add(f"turns-{n}", Fate.TAKEN, at=good)
            _name(crowd, [[address], [good]], beside)
        good = f"127.0.0.{len(inside) + 2}"
        await add("mixed", Fate.TAKEN, at=good)
        _name(crowd, [[*inside, good, *UNROUTED[3:]]], beside)
        crowd.parties.append(Party("inside", Fate.FORBIDDEN, ""))
        _name(crowd, [[address] for address in inside], beside)
        yield crowd


def forbidden(addresses: Sequence[tuple[str, int]]) -> list[Party]:
    """Subscriptions of a past state: their URLs hold these, and those that lead nowhere."""
    reached = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address, port in addresses]
    authorities = dict.fromkeys([*reached, *(f"{host}:80" for host in UNROUTED)])
    return [Party(f"forbidden-{n}", Fate.FORBIDDEN, f"http://{one}/") for n, one in enumerate(authorities)]


def _name(crowd: Crowd, addresses: list[list[str]], port: int) -> None:
    """The latest party is known by a name."""
    party = crowd.parties[-1]
    crowd.names[f"{party.name}.example"] = addresses
    party.url = f"http://{party.name}.example:{port}/"


def _read(request: bytes) -> tuple[str, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    _, _, rest = head.partition(b"webhook-id: ")
    return rest.partition(b"\r\n")[0].decode(), body


async def _close(receiver: Receiver) -> None:
    assert receiver.server is not None
    receiver.server.close()
    await until(lambda: not receiver.open)
