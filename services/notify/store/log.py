"""The log: what was handed over to whom, each query asked as somebody of the owner's organization."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo import IndexModel

from chassis.problem import NotFound
from chassis.service import Parts
from chassis.store import Document, aggregate, ensure_indexes
from chassis.viewer import Viewer
from services.notify.store.subscriptions import may_manage

STATISTICS_OF = 1_000
_SHOWN: Document = {"outbox": 0, "requests": 0, "order": 0, "lane": 0, "version": 0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the log is asked for; None: whatever it is."""

    subscription: str | None = None
    event_id: str | None = None
    region: str | None = None
    status: str | None = None


class Log:
    """Reads of deliveries and their attempts, the latest first."""

    def __init__(self, parts: Parts) -> None:
        self._deliveries = parts.collection("deliveries")

    async def prepare(self) -> None:
        """An index for each question."""
        latest = [("created_at", -1), ("_id", -1)]
        await ensure_indexes(
            self._deliveries,
            [
                IndexModel("event_id", name="event"),
                IndexModel([("organization", 1), *latest], name="organization"),
                IndexModel([("organization", 1), ("region", 1), *latest], name="region"),
                IndexModel([("organization", 1), ("status", 1), *latest], name="status"),
                IndexModel([("subscription", 1), *latest], name="subscription"),
            ],
        )

    async def page(
        self, wanted: Wanted, *, viewer: Viewer, before: tuple[datetime, str] | None, limit: int
    ) -> list[Document]:
        """The latest first, those before `before`."""
        asked = {
            "subscription": wanted.subscription,
            "event_id": wanted.event_id,
            "region": wanted.region,
            "status": wanted.status,
        }
        clauses: list[Document] = [_visible(viewer), {k: v for k, v in asked.items() if v is not None}]
        if before is not None:
            at, name = before
            clauses.append({"$or": [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$lt": name}}]})
        found = self._deliveries.find({"$and": clauses}, _SHOWN)
        return await found.sort([("created_at", -1), ("_id", -1)]).limit(limit).to_list(None)

    async def get(self, delivery: str, *, viewer: Viewer) -> Document:
        """Raises NotFound, also for what the viewer may not see."""
        found = await self._deliveries.find_one({"$and": [{"_id": delivery}, _visible(viewer)]}, _SHOWN)
        if found is None:
            raise NotFound
        return found

    async def statistics(self, subscription: str, *, viewer: Viewer) -> Sequence[Document]:
        """Of its latest STATISTICS_OF deliveries: status → how many, how many attempts, how long the last one took."""
        return await aggregate(
            self._deliveries,
            [
                {"$match": {"$and": [{"subscription": subscription}, _visible(viewer)]}},
                {"$sort": {"created_at": -1, "_id": -1}},
                {"$limit": STATISTICS_OF},
                {
                    "$group": {
                        "_id": "$status",
                        "deliveries": {"$sum": 1},
                        "attempts": {"$sum": {"$size": "$attempts"}},
                        "ms": {"$push": {"$last": "$attempts.ms"}},
                    }
                },
                {"$sort": {"_id": 1}},
            ],
        )


def _visible(viewer: Viewer) -> Document:
    return {"organization": viewer.organization} if may_manage(viewer) else {"_id": {"$in": []}}
