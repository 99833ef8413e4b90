"""What people find in their inbox: judged once more when it is read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from chassis.viewer import Viewer
from contracts.regions import Directory
from contracts.roles import Role
from services.notify.domain.right import may_be_told, right_of
from services.notify.domain.wording import Line, line
from services.notify.store.events import Events, about
from services.notify.store.inbox import Inbox
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions


@dataclass(frozen=True, slots=True)
class Item:
    """One event in an inbox."""

    id: str
    role: Role
    came_at: datetime
    read_at: datetime | None
    line: Line
    event: dict[str, Any]
    """As CloudEvents' JSON has it."""


@dataclass(frozen=True, slots=True)
class Page:
    """`last` is the place to go on from, None at the end."""

    items: list[Item]
    unread: int
    last: tuple[datetime, str] | None


async def look(
    *,
    viewer: Viewer,
    role: Role | None,
    unread: bool,
    before: tuple[datetime, str] | None,
    limit: int,
    inbox: Inbox,
    events: Events,
    rights: Rights,
    subscriptions: Subscriptions,
    directory: Directory,
) -> Page:
    """What came for the viewer's roles, the latest first. What they may not be told any more is left out."""
    found = await inbox.page(viewer=viewer, role=role, unread=unread, before=before, limit=limit + 1)
    more, found = len(found) > limit, found[:limit]
    told = await events.many({one["event"] for one in found})
    made = await subscriptions.many({one["subscription"] for one in found})
    organization = viewer.organization or ""
    given, own = (await rights.many([organization]))[organization], right_of(viewer)
    items: list[Item] = []
    for one in found:
        event, subscription = told.get(one["event"]), made.get(one["subscription"])
        if event is None or subscription is None:
            continue
        by = (given, own, subscription.right)
        if may_be_told(about(event), organization=organization, rights=by, subscription=subscription.id):
            body = orjson.loads(event["body"])
            words = line(body, directory)
            items.append(Item(one["_id"], Role(one["inbox"]), one["created_at"], one.get("read_at"), words, body))
    last = (found[-1]["created_at"], found[-1]["_id"]) if more else None
    return Page(items, await inbox.unread(viewer=viewer, role=role), last)
