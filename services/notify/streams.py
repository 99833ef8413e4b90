"""The live streams that are open in this process: who listens, what they may be told, what waits to be sent to them."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import orjson
from fastapi.sse import format_sse_event

from chassis.epochs import Epoch
from chassis.problem import Problem, Unavailable
from chassis.service import Parts
from contracts.telemetry import metrics as rows
from services.notify.domain.place import Place
from services.notify.domain.right import About, Right, may_be_told
from services.notify.settings import NotifySettings

RETRY_AFTER_S = 5


class TooManyStreams(Problem):
    """Of one organization."""

    status, code, title = 429, "too_many_streams", "Your organization has too many streams open"
    detail = "Close one, or share one among your systems. Try again after `Retry-After` seconds."
    detail_id = "Tutup salah satu, atau pakai satu aliran bersama. Coba lagi setelah `Retry-After` detik."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(RETRY_AFTER_S)})


class Busy(Unavailable):
    """As many as this process bears."""

    code, title = "streams_busy", "No further stream can be opened right now"
    detail = "Try again after `Retry-After` seconds, with the same `Last-Event-ID`: nothing is missed."
    detail_id = "Coba lagi setelah `Retry-After` detik, dengan `Last-Event-ID` yang sama: tidak ada yang terlewat."


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """An event, decoded once for all streams. `tokens` as in `domain.matching`, `body` as in `domain.event`."""

    type: str
    tokens: frozenset[str]
    about: About
    body: bytes
    epoch: Epoch
    past: bool
    """Sent again since its topic was rebuilt: streams were told of it, or told by `reset` to read the state."""

    def message(self, sealed: str) -> bytes:
        """On the wire; `sealed` is the place after it."""
        return format_sse_event(event=self.type, data_str=self.body.decode(), id=sealed)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens, for what. `given` is the organization's right, `own` the token's; both must reach."""

    organization: str
    manages: bool
    """Whether they may know what becomes of their organization's subscriptions."""
    tokens: frozenset[str]
    given: Right
    own: Right

    def wants(self, heard: Heard) -> bool:
        """Whether it was asked for and may be told."""
        return not self.tokens.isdisjoint(heard.tokens) and self.may_hear(heard)

    def may_hear(self, heard: Heard) -> bool:
        """Whether it may be told."""
        owner = self.organization if self.manages else ""
        return may_be_told(heard.about, organization=owner, rights=(self.given, self.own), subscription="")


class Stream:
    """What waits to be sent to one listener, never more than `buffer_bytes`; `ended` says why nothing more comes."""

    def __init__(self, listener: Listener, *, buffer_bytes: int) -> None:
        self.listener = listener
        self.ended: str | None = None
        self._buffer_bytes = buffer_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()

    def put(self, message: bytes) -> None:
        """To be sent. One message always fits; a reader who lets more gather than the buffer holds is cut off."""
        if self.ended:
            return
        if self._waiting and self._bytes + len(message) > self._buffer_bytes:
            self.end("too_slow")
            return
        self._waiting.append(message)
        self._bytes += len(message)
        self._woken.set()

    def end(self, why: str) -> None:
        """Nothing more comes, and what waits is dropped: whoever comes again with their last id gets it then."""
        self.ended = self.ended or why
        self._waiting.clear()
        self._woken.set()

    async def take(self, *, wait_s: float) -> tuple[int, bytes]:
        """All that waits, how many messages and their bytes; nothing when it has ended, or after `wait_s`."""
        with suppress(TimeoutError):  # something may have come all the same, just now
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        count, taken = len(self._waiting), b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        if not self.ended:
            self._woken.clear()
        return count, taken


class Streams:
    """Those of this process. `place` is how far it has read; None while it has not begun."""

    def __init__(self, parts: Parts) -> None:
        self.place: Place | None = None
        self.refusing = False
        self._open: set[Stream] = set()
        self._asking: dict[str, set[Stream]] = defaultdict(set)
        self._of: Counter[str] = Counter()
        self._catching_up = 0
        metrics = parts.telemetry.metrics
        self._count = metrics.gauge(rows.STREAMS_OPEN)
        self._catch_ups = metrics.gauge(rows.STREAMS_CATCHING_UP)
        self.sent = metrics.counter(rows.STREAM_MESSAGES)
        self._ends = metrics.counter(rows.STREAMS_ENDED)

    async def prepare(self) -> None:
        """Keeps nothing."""

    @contextmanager
    def opened(self, listener: Listener, settings: NotifySettings) -> Generator[Stream]:
        """It hears all that comes from this moment on. Raises Busy, TooManyStreams."""
        if self.refusing or self.place is None or len(self._open) >= settings.streams_max:
            raise Busy(retry_after_s=RETRY_AFTER_S)
        if self._of[listener.organization] >= settings.streams_per_organization_max:
            raise TooManyStreams
        stream = Stream(listener, buffer_bytes=settings.stream_buffer_bytes)
        self._open.add(stream)
        self._of[listener.organization] += 1
        for token in listener.tokens:
            self._asking[token].add(stream)
        self._count.set(len(self._open))
        try:
            yield stream
        finally:
            self._open.discard(stream)
            self._of -= Counter([listener.organization])  # forgets those without any
            for token in listener.tokens:
                self._asking[token].discard(stream)
                if not self._asking[token]:
                    del self._asking[token]
            self._count.set(len(self._open))
            self._ends.labels(stream.ended or "left").inc()

    @contextmanager
    def catching_up(self, *, at_most: int) -> Generator[None]:
        """A place among those that read what they missed. Raises Busy."""
        if self._catching_up >= at_most:
            raise Busy(retry_after_s=RETRY_AFTER_S)
        self._catching_up += 1
        self._catch_ups.set(self._catching_up)
        try:
            yield
        finally:
            self._catching_up -= 1
            self._catch_ups.set(self._catching_up)

    def listening(self, heard: Heard) -> list[Stream]:
        """Those that it is for."""
        asking: set[Stream] = set()
        for token in heard.tokens & self._asking.keys():
            asking |= self._asking[token]
        return [stream for stream in asking if stream.listener.may_hear(heard)]

    def reset(self, why: str, sealed: str) -> None:
        """Tell all that something may be missing."""
        message = reset(why, sealed)
        for stream in self._open:
            stream.put(message)

    def organizations(self) -> set[str]:
        """Of those that are open."""
        return set(self._of)

    def end_where_changed(self, rights: Mapping[str, Right]) -> None:
        """Those whose organization's right is another now: they come again, and are told what they may be."""
        self.end(
            [s for s in self._open if rights.get(s.listener.organization, s.listener.given) != s.listener.given],
            "rights_changed",
        )

    def end_all(self, why: str) -> None:
        """All that are open now."""
        self.end(self._open, why)

    @staticmethod
    def end(streams: Iterable[Stream], why: str) -> None:
        """These."""
        for stream in streams:
            stream.end(why)


def reset(why: str, sealed: str) -> bytes:
    """A message: read the state by the other operations, and go on from here."""
    return format_sse_event(event="reset", data_str=_reason(why), id=sealed)


def ended(why: str) -> bytes:
    """The last message; without an id, so that whoever comes again does so with that of the last event."""
    return format_sse_event(event="end", data_str=_reason(why))


def _reason(why: str) -> str:
    return orjson.dumps({"reason": why}).decode()
