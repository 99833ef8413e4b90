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

UNREAD_MAX = 200
"""More of them are not counted, and not marked by one request: each is judged."""
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
                IndexModel(
                    [*place, ("status", 1), ("read_at", 1), *latest], name="inbox_unread", partialFilterExpression=here
                ),
            ],
        )

    async def page(
        self,
        *,
        viewer: Viewer,
        role: Role | None,
        unread: bool,
        limit: int,
        before: tuple[datetime, str] | None = None,
        until: datetime | None = None,
    ) -> list[Document]:
        """The latest first: those before `before`, and not later than `until`."""
        clauses: list[Document] = [_visible(viewer, role), {"read_at": None} if unread else {}]
        if before is not None:
            at, name = before
            clauses.append({"$or": [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$lt": name}}]})
        if until is not None:
            clauses.append({"created_at": {"$lte": until}})
        found = self._deliveries.find({"$and": clauses}, _SHOWN)
        return await found.sort([("created_at", -1), ("_id", -1)]).limit(limit).to_list(None)

    async def some(self, items: Collection[str], *, viewer: Viewer, role: Role | None) -> list[Document]:
        """Those of these that are there."""
        where: Document = {"$and": [_visible(viewer, role), {"_id": {"$in": list(items)}}]}
        return await self._deliveries.find(where, _SHOWN).to_list(None)

    async def mark(self, items: Collection[str], *, viewer: Viewer, role: Role | None, read: bool) -> int:
        """As read, or as unread again; how many changed."""
        other: Document = {"read_at": None} if read else {"read_at": {"$ne": None}}
        change: Document = {"$set": {"read_at": now()}} if read else {"$unset": {"read_at": ""}}
        where: Document = {"$and": [_visible(viewer, role), {"_id": {"$in": list(items)}}, other]}
        return (await self._deliveries.update_many(where, change)).modified_count


def _visible(viewer: Viewer, role: Role | None) -> Document:
    place = viewer.organization
    roles = [one.value for one in viewer.roles if role in (None, one)] if place else []
    return {"organization": place, "inbox": {"$in": sorted(roles)}, "status": DELIVERED}
