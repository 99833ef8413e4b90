"""What people find in their inbox: judged once more when it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from chassis.store import Document
from chassis.viewer import Viewer
from contracts.regions import Directory
from contracts.roles import Role
from services.notify.domain.wording import Line, line
from services.notify.store.inbox import UNREAD_MAX, Inbox
from services.notify.usecases.judge import Judge


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


@dataclass(frozen=True, slots=True)
class Desk:
    """Who reads, in the inbox of which of their roles (None: of all), and where it is kept."""

    viewer: Viewer
    role: Role | None
    inbox: Inbox
    judge: Judge
    directory: Directory

    async def look(self, *, unread: bool, before: tuple[datetime, str] | None, limit: int) -> Page:
        """What came, the latest first. What they may not be told, or not any more, is left out."""
        found = await self._page(unread=unread, before=before, limit=limit + 1)
        more, found = len(found) > limit, found[:limit]
        items = [
            self._item(one, event) for one, event in await self.judge.tellable(found, viewer=self.viewer, bodies=True)
        ]
        last = (found[-1]["created_at"], found[-1]["_id"]) if more else None
        return Page(items, await self.unread(), last)

    async def unread(self) -> int:
        """How many nobody has read yet, of the latest UNREAD_MAX."""
        return len(await self.judge.tellable(await self._page(unread=True, limit=UNREAD_MAX), viewer=self.viewer))

    async def mark(self, *, items: Sequence[str] | None, until: datetime | None, read: bool) -> int:
        """As read, or as unread again: these items, or the latest UNREAD_MAX that came until a time. How many changed.

        Only what they may be told: what a colleague alone may see stays the colleague's to read.
        """
        viewer, role, inbox = self.viewer, self.role, self.inbox
        if items is not None:
            found = await inbox.some(items, viewer=viewer, role=role)
        else:
            found = await self._page(unread=read, until=until, limit=UNREAD_MAX)
        names = [one["_id"] for one, _ in await self.judge.tellable(found, viewer=viewer)]
        return await inbox.mark(names, viewer=viewer, role=role, read=read)

    async def _page(self, **asked: Any) -> list[Document]:
        return await self.inbox.page(viewer=self.viewer, role=self.role, **asked)

    def _item(self, one: Document, event: Document) -> Item:
        body = orjson.loads(event["body"])
        words = line(body, self.directory)
        return Item(one["_id"], Role(one["inbox"]), one["created_at"], one.get("read_at"), words, body)
