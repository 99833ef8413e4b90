"""What several operations are asked with, and the stores that they ask."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Request
from pydantic import AwareDatetime, Field, TypeAdapter

from chassis import outbox
from chassis.auth import CurrentViewer
from chassis.conditional import IdempotencyKey, IfMatch
from chassis.references import InvalidCursor
from chassis.service import provided
from chassis.settings import Settings
from contracts.regions import Directory
from services.notify.keys import Keys
from services.notify.letters import Letters
from services.notify.post import Post
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import Deliveries
from services.notify.store.endpoints import Endpoints
from services.notify.store.events import Events
from services.notify.store.inbox import Inbox
from services.notify.store.lanes import Lanes
from services.notify.store.log import Log
from services.notify.store.replays import Replays
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions
from services.notify.usecases import subscribe as usecases
from services.notify.usecases.deliver import Stores
from services.notify.usecases.judge import Judge

SubscriptionStore = Annotated[Subscriptions, provided(Subscriptions)]
EndpointStore = Annotated[Endpoints, provided(Endpoints)]
EventStore = Annotated[Events, provided(Events)]
InboxStore = Annotated[Inbox, provided(Inbox)]
LaneStore = Annotated[Lanes, provided(Lanes)]
LogStore = Annotated[Log, provided(Log)]
ReplayStore = Annotated[Replays, provided(Replays)]
RightStore = Annotated[Rights, provided(Rights)]
Regions = Annotated[Directory, provided(Directory)]
SubscriptionId = Annotated[str, Path(max_length=40, examples=["6d0f2f4e-4f0a-5d5e-9f6e-0e5f3f7b8a11"])]


async def _settings(settings: Annotated[Settings, provided(Settings)]) -> NotifySettings:
    assert isinstance(settings, NotifySettings)
    return settings


OwnSettings = Annotated[NotifySettings, Depends(_settings)]


async def _keys(settings: OwnSettings) -> Keys:
    return Keys(settings)


OwnKeys = Annotated[Keys, Depends(_keys)]


async def _letters(settings: OwnSettings, keys: OwnKeys, directory: Regions) -> Letters:
    return Letters(settings, keys, directory)


OwnLetters = Annotated[Letters, Depends(_letters)]


async def _post(letters: OwnLetters, settings: OwnSettings) -> Post:
    return Post(letters, settings)


OwnPost = Annotated[Post, Depends(_post)]


async def _stores(
    events: EventStore,
    subscriptions: SubscriptionStore,
    rights: RightStore,
    deliveries: Annotated[Deliveries, provided(Deliveries)],
    lanes: LaneStore,
) -> Stores:
    return Stores(events, subscriptions, rights, deliveries, lanes)


OwnStores = Annotated[Stores, Depends(_stores)]


async def _judge(events: EventStore, rights: RightStore, subscriptions: SubscriptionStore) -> Judge:
    return Judge(events, rights, subscriptions)


OwnJudge = Annotated[Judge, Depends(_judge)]


async def _command(
    subscription_id: SubscriptionId,
    viewer: CurrentViewer,
    expected: IfMatch,
    key: IdempotencyKey,
    subscriptions: SubscriptionStore,
    request: Request,
) -> usecases.Command:
    asked = [request.method, request.url.path, (await request.body()).decode()]
    return usecases.Command(
        subscription_id,
        viewer=viewer,
        expected=expected,
        request=outbox.Request.of(actor=viewer.actor, key=key, asked=asked),
        subscriptions=subscriptions,
    )


Command = Annotated[usecases.Command, Depends(_command)]
"""A POST on a subscription, with `If-Match` (its `ETag`) and `Idempotency-Key`."""
TAGGED: dict[str, Any] = {"header.If-Match": "$response.header.ETag"}
_CURSOR = TypeAdapter(tuple[AwareDatetime, Annotated[str, Field(max_length=40)]])


def cursor_of(at: datetime, name: str) -> str:
    """Where a page, the latest first, ended."""
    return urlsafe_b64encode(orjson.dumps([at, name])).decode()


def place_of(cursor: str | None) -> tuple[datetime, str] | None:
    """Where the next one begins. Raises InvalidCursor."""
    if cursor is None:
        return None
    try:
        return _CURSOR.validate_json(urlsafe_b64decode(cursor))
    except ValueError as error:
        raise InvalidCursor(field="cursor") from error
