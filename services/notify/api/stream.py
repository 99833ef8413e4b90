"""The live stream: server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header, Query
from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

from chassis.auth import BelievedUntil, CurrentViewer
from chassis.openapi import routes
from chassis.problems import problems
from chassis.service import provided
from contracts.roles import Role
from services.notify.api.parameters import OwnKeys, OwnSettings, Regions, RightStore, SubscriptionStore
from services.notify.domain.matching import PLACES_MAX, TYPES_MAX
from services.notify.streams import Streams
from services.notify.tail import Source
from services.notify.usecases import stream as usecases
from services.notify.usecases.stream import Desk, Wanted

log = structlog.stdlib.get_logger()

router = routes("notify")
TAKEN_WITHIN_S = 10.0
"""A reader that takes nothing for so long is left: what the system's own buffers hold is some megabytes."""


class EventStream(StreamingResponse):
    """Ends by itself, also towards a reader that takes nothing."""

    media_type = "text/event-stream"

    def __init__(self, pieces: AsyncIterator[bytes], *, taken_within_s: float = TAKEN_WITHIN_S) -> None:
        # Neither kept by caches nor gathered by proxies (nginx).
        super().__init__(pieces, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._taken_within_s = taken_within_s

    async def stream_response(self, send: Send) -> None:
        """As the base class does, but each piece in time."""

        async def within(message: Message) -> None:
            async with asyncio.timeout(self._taken_within_s):
                await send(message)

        try:
            await super().stream_response(within)
        except TimeoutError:
            log.info("a stream's reader takes nothing")


async def _desk(
    streams: Annotated[Streams, provided(Streams)],
    rights: RightStore,
    subscriptions: SubscriptionStore,
    keys: OwnKeys,
    settings: OwnSettings,
    directory: Regions,
) -> Desk:
    return Desk(streams, Source(settings, directory), keys, rights, subscriptions, settings)


async def _pieces(
    viewer: CurrentViewer,
    until: BelievedUntil,
    desk: Annotated[Desk, Depends(_desk)],
    type: Annotated[
        list[Annotated[str, Query(max_length=60)]],
        Query(max_length=TYPES_MAX, description="Names of events, `assessment.*` for all of a noun. None: all."),
    ] = [],  # noqa: B006 -- FastAPI copies it
    region: Annotated[
        list[Annotated[str, Query(max_length=16)]],
        Query(max_length=PLACES_MAX, description="Each with all that lies in it. Neither regions nor groups: all."),
    ] = [],  # noqa: B006
    group: Annotated[list[Annotated[str, Query(max_length=80)]], Query(max_length=PLACES_MAX)] = [],  # noqa: B006
    inbox: Annotated[
        Role | None,
        Query(description="What comes into the inbox of this one of your roles, beside what else is named."),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=4_096,
            description="The last `id` received: go on behind it, on whichever replica. Without: from now on.",
        ),
    ] = None,
) -> AsyncGenerator[AsyncIterator[bytes]]:
    wanted = Wanted(
        viewer=viewer, until=until, types=type, regions=region, groups=group, inbox=inbox, since=last_event_id
    )
    async with usecases.listen(wanted, desk) as pieces:
        yield pieces


DESCRIBED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "Messages of three kinds. An event: `event` is its type, `data` the CloudEvent as in webhooks (JSON, "
            "structured mode). `reset`: something may be missing; read the state by the other operations, the stream "
            "goes on from now; `data` has the `reason`: `rebuilt`, `too_far_behind`. `end`, the last one; its "
            "`reason`: `token_expired` (come again with a new one), `rights_changed`, `too_slow`, `stopping`, "
            "`unavailable`. Come again with the last `id` as `Last-Event-ID`: nothing is missed, and what comes twice "
            "has the same `id` in its `data`. The message's own `id` is opaque; one without data only moves it on. "
            "Order holds per region and noun."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/stream", status_code=200, response_class=EventStream, responses=DESCRIBED | problems(400, 401, 403, 422, 429, 503)
)
async def stream(pieces: Annotated[AsyncIterator[bytes], Depends(_pieces)]) -> EventStream:
    """Events as they happen, those that your organization may be told of, until your token expires."""
    return EventStream(pieces)
