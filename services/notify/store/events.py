"""What was heard, for as long as it may be delivered or replayed."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime

from pymongo import IndexModel

from chassis.service import Parts
from chassis.store import Document, ensure_indexes, keep_first
from contracts.fact import Visibility
from services.notify.domain.event import TEST_TYPE
from services.notify.domain.right import About

PAGE = 500


class Events:
    """Each under (noun, aggregate, revision, rule), so that a second history of an aggregate is noticed."""

    def __init__(self, parts: Parts) -> None:
        self._events = parts.collection("events")

    async def prepare(self) -> None:
        """Indexes: by id, by time, by aggregate; and the one that forgets."""
        await ensure_indexes(
            self._events,
            [
                IndexModel("id", name="id"),
                IndexModel([("time", 1), ("_id", 1)], name="time"),
                IndexModel([("aggregate", 1), ("time", 1), ("_id", 1)], name="aggregate"),
                IndexModel("expires_at", name="expires", expireAfterSeconds=0),
            ],
        )

    async def keep(self, heard: Sequence[Document]) -> list[str]:
        """Keep those that are new; the names of those that differ from what was heard before: forks."""
        return sorted(document["_id"] for document in await keep_first(self._events, heard))

    async def many(self, names: Iterable[str], *, bodies: bool = True) -> Mapping[str, Document]:
        """By name, whole, or without their bodies."""
        shown: Document | None = None if bodies else {"body": 0}
        found = await self._events.find({"_id": {"$in": list(names)}}, shown).to_list(None)
        return {document["_id"]: document for document in found}

    async def between(
        self, start: datetime, end: datetime, *, aggregate: str | None = None, event: str | None = None
    ) -> AsyncGenerator[list[Document]]:
        """Pages of those with a time in [start, end), oldest first, without their bodies."""
        last: Document | None = None
        asked = {"aggregate": aggregate, "id": event}
        where: list[Document] = [
            {"time": {"$gte": start, "$lt": end}, "type": {"$ne": TEST_TYPE}},
            {name: value for name, value in asked.items() if value is not None},
        ]
        while True:
            after: list[Document] = []
            if last is not None:
                same = {"time": last["time"], "_id": {"$gt": last["_id"]}}
                after = [{"$or": [{"time": {"$gt": last["time"]}}, same]}]
            found = self._events.find({"$and": [*where, *after]}, {"body": 0})
            page = await found.sort([("time", 1), ("_id", 1)]).limit(PAGE).to_list(None)
            if page:
                yield page
            if len(page) < PAGE:
                return
            last = page[-1]


def about(event: Document) -> About:
    """What decides who may be told of it."""
    return About(
        visibility=Visibility(event["visibility"]),
        within=frozenset(event["within"]),
        assessors=event["assessors"],
        owner=event["owner"],
        subscription=event["about_subscription"],
    )
