"""Inboxes: what was handed over to the people of a role, within their organization."""

from collections.abc import Collection
from datetime import datetime

from pymongo import IndexModel

from chassis.clock import now
from chassis.service import Parts
from chassis.store import Document, ensure_indexes
from chassis.viewer import Viewer
from contracts.roles import Role
from services.notify.store.deliveries import DELIVERED

UNREAD_MAX = 1_000
"""More of them are not counted."""
_SHOWN: Document = {"event": 1, "inbox": 1, "created_at": 1, "read_at": 1, "subscription": 1}


class Inbox:
    """Deliveries to inboxes. Each query asks as somebody who has the role; whoever reads, reads for all who have it."""

    def __init__(self, parts: Parts) -> None:
        self._deliveries = parts.collection("deliveries")

    async def prepare(self) -> None:
        """What is there, and what of it is unread, the latest first."""
        place = [("organization", 1), ("inbox", 1)]
        latest = [("created_at", -1), ("_id", -1)]
        here: Document = {"inbox": {"$exists": True}}
        await ensure_indexes(
            self._deliveries,
            [
                IndexModel([*place, ("status", 1), *latest], name="inbox", partialFilterExpression=here),
                IndexModel([*place, ("read_at", 1), *latest], name="inbox_unread", partialFilterExpression=here),
            ],
        )

    async def page(
        self, *, viewer: Viewer, role: Role | None, unread: bool, before: tuple[datetime, str] | None, limit: int
    ) -> list[Document]:
        """The latest first, those before `before`."""
        clauses: list[Document] = [_visible(viewer, role), {"read_at": None} if unread else {}]
        if before is not None:
            at, name = before
            clauses.append({"$or": [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$lt": name}}]})
        found = self._deliveries.find({"$and": clauses}, _SHOWN)
        return await found.sort([("created_at", -1), ("_id", -1)]).limit(limit).to_list(None)

    async def unread(self, *, viewer: Viewer, role: Role | None) -> int:
        """How many nobody has read yet, UNREAD_MAX at most."""
        where: Document = {"$and": [_visible(viewer, role), {"read_at": None}]}
        return await self._deliveries.count_documents(where, limit=UNREAD_MAX)

    async def mark(
        self,
        *,
        viewer: Viewer,
        role: Role | None,
        items: Collection[str] | None,
        until: datetime | None,
        read: bool,
    ) -> int:
        """As read, or as unread again: these items, or all that came until a time. How many changed."""
        which: Document = {"_id": {"$in": list(items)}} if items is not None else {"created_at": {"$lte": until}}
        other: Document = {"read_at": None} if read else {"read_at": {"$ne": None}}
        change: Document = {"$set": {"read_at": now()}} if read else {"$unset": {"read_at": ""}}
        done = await self._deliveries.update_many({"$and": [_visible(viewer, role), which, other]}, change)
        return done.modified_count


def _visible(viewer: Viewer, role: Role | None) -> Document:
    place = viewer.organization
    roles = [one.value for one in viewer.roles if role in (None, one)] if place else []
    return {"organization": place, "inbox": {"$in": sorted(roles)}, "status": DELIVERED}
