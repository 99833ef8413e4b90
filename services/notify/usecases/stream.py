"""One live stream, from its request to its end; and what keeps all of them within their rights."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from time import time

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from chassis.ending import Ending
from chassis.problem import Forbidden, Problem
from chassis.producer import KafkaDown
from chassis.viewer import Viewer
from contracts.roles import Role
from services.notify.domain.matching import EVERYTHING, asked_tokens
from services.notify.domain.place import Place
from services.notify.domain.right import right_of
from services.notify.keys import Keys, Purpose
from services.notify.settings import NotifySettings
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions, may_manage
from services.notify.streams import Listener, Stream, Streams, ended, reset
from services.notify.tail import Rebuilt, Source
from services.notify.usecases.subscribe import check_wanted

FIELDS = ("type", "region", "group")
RETRY_MS = (3_000, 5_000)
"""How long a client waits before it comes again: chance spreads those that were cut off together."""


class InvalidLastEventId(Problem):
    """An id that no stream gave."""

    status, code, title = 400, "invalid_last_event_id", "This is not an id that a stream gave"
    detail = "Send `Last-Event-ID` exactly as the last `id` that you received, or leave it out to begin from now."
    detail_id = "Kirim `Last-Event-ID` persis seperti `id` terakhir yang diterima, atau kosongkan untuk mulai sekarang."


@dataclass(frozen=True, slots=True)
class Desk:
    """What every stream is made of."""

    streams: Streams
    source: Source
    keys: Keys
    rights: Rights
    subscriptions: Subscriptions
    settings: NotifySettings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody listens for, since where (`Last-Event-ID`), and until when at most (seconds since 1970)."""

    viewer: Viewer
    until: float
    types: Sequence[str] = ()
    regions: Sequence[str] = ()
    groups: Sequence[str] = ()
    inbox: Role | None = None
    """What comes into the inbox of this role too."""
    since: str | None = None


@asynccontextmanager
async def listen(wanted: Wanted, desk: Desk) -> AsyncGenerator[AsyncIterator[bytes]]:
    """What to send, piece by piece, for as long as the context lasts.

    At least once and in order per partition, from `since` on without a gap, or with a `reset` where there may be one.
    Raises InvalidLastEventId, Forbidden, Busy, TooManyStreams, and what `check_wanted` does.
    """
    check_wanted(wanted.types, wanted.regions, wanted.groups, directory=desk.source.directory, fields=FIELDS)
    place = _place_of(wanted.since, desk.keys)
    organization = wanted.viewer.organization or ""
    listener = Listener(
        organization=organization,
        manages=may_manage(wanted.viewer),
        tokens=await _tokens(wanted, desk.subscriptions),
        given=(await desk.rights.many([organization]))[organization],
        own=right_of(wanted.viewer),
    )
    with desk.streams.opened(listener, desk.settings) as stream, ExitStack() as catching_up:
        now = desk.streams.place
        assert now is not None  # else it was refused
        now = now.copy()  # what comes later waits in the stream
        why, missed = None, 0
        if place:
            why = "rebuilt" if place.older(now) else None
            missed = sum(place.missed(now).values())
            if missed > desk.settings.stream_catch_up_records_max:
                why = why or "too_far_behind"
            if missed and not why:
                catching_up.enter_context(desk.streams.catching_up(at_most=desk.settings.stream_catch_ups_max))
        pieces = _pieces(_Open(stream, desk, wanted.until, now), place if missed else None, why, catching_up)
        async with aclosing(pieces):
            yield pieces


async def _tokens(wanted: Wanted, subscriptions: Subscriptions) -> frozenset[str]:
    """What it asks with; what comes into the inbox is as it was subscribed when the stream was opened."""
    tokens: set[str] = set()
    if wanted.inbox:
        if wanted.inbox not in wanted.viewer.roles:
            raise Forbidden
        for one in await subscriptions.of_inboxes([wanted.inbox], viewer=wanted.viewer):
            tokens.update(asked_tokens(one.types, one.regions, one.groups))
    if wanted.inbox is None or wanted.types or wanted.regions or wanted.groups:
        tokens.update(asked_tokens(wanted.types or (EVERYTHING,), wanted.regions, wanted.groups))
    return frozenset(tokens)


def _place_of(since: str | None, keys: Keys) -> Place | None:
    if not since:
        return None
    try:
        return Place.decoded(keys.open_for(Purpose.PLACE, since))
    except ValueError as error:
        raise InvalidLastEventId(field="Last-Event-ID") from error


@dataclass(frozen=True, slots=True)
class _Open:
    stream: Stream
    desk: Desk
    until: float
    begun: Place
    """Everything after it waits in the stream, or will."""

    def sealed(self, place: Place) -> str:
        return self.desk.keys.seal_for(Purpose.PLACE, place.encoded())

    def over(self) -> str | None:
        """Why nothing more may be sent."""
        if time() >= self.until:
            self.stream.end("token_expired")
        return self.stream.ended


async def _pieces(it: _Open, place: Place | None, why: str | None, catching_up: ExitStack) -> AsyncGenerator[bytes]:
    yield format_sse_event(retry=random.randint(*RETRY_MS))  # noqa: S311 -- spreads load, keeps no secret
    if place and not why:
        try:
            async with aclosing(it.desk.source.missed(place, it.begun)) as missed:
                async for heard in missed:
                    if it.over():
                        break
                    if it.stream.listener.wants(heard):
                        it.desk.streams.sent.inc()
                        yield heard.message(it.sealed(place))
        except Rebuilt:
            why = "rebuilt"
        except KafkaDown:
            it.stream.end("unavailable")
        catching_up.close()
    if why:
        yield reset(why, it.sealed(it.begun))
    elif not it.over():
        yield format_sse_event(id=it.sealed(it.begun))  # without data it is no event, but where to come again
    heartbeat_s = it.desk.settings.stream_heartbeat_s
    while not it.over():
        count, piece = await it.stream.take(wait_s=min(heartbeat_s, max(0.0, it.until - time())))
        if piece:
            it.desk.streams.sent.inc(count)
            yield piece
        elif not it.over() and (now := it.desk.streams.place):
            # Sealed anew each time: whether anything happened that they may not be told of, it does not tell.
            yield KEEPALIVE_COMMENT[:-1] + format_sse_event(id=it.sealed(now))
    yield ended(it.stream.ended or "")


async def keep_rights(streams: Streams, rights: Rights, ending: Ending, *, every_s: float) -> None:
    """For ever: end the streams whose rights changed, or can't be read; and all when the process ends."""
    while not ending.is_set():
        try:
            async with asyncio.timeout(every_s):
                await ending.wait()
        except TimeoutError:
            if organizations := streams.organizations():
                try:
                    streams.end_where_changed(await rights.many(organizations))
                except Exception:
                    streams.end_all("unavailable")  # nobody is told by a right that may have been withdrawn
                    raise
    streams.refusing = True
    streams.end_all("stopping")
    await asyncio.Event().wait()
