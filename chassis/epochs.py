"""How often, and when last, each topic of ours was rebuilt (design: facts on the wire).

Kafka's offsets mean nothing after a topic was deleted and filled again. The owner counts the rebuilds; its relay puts
the count beside each fact; consumers remember it with their offsets and begin anew when it rises.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from typing import Self

from pymongo import ReturnDocument

from chassis.records import header
from chassis.store import Collection, Database, Document

REREAD_AFTER_S = 2.0
EPOCH, REBUILT_AT = "epoch", "rebuilt-at"
"""Headers beside the fact, no part of it. The second, milliseconds since 1970, where a topic's archives filled it."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Of one topic. 0: it was never rebuilt."""

    number: int = 0
    rebuilt_at: datetime | None = None
    """What happened before, had happened then: its state was written."""

    def headers(self) -> list[tuple[str, bytes]]:
        """What is put beside each fact."""
        told = [(EPOCH, b"%d" % self.number)]
        if self.rebuilt_at:
            told.append((REBUILT_AT, b"%d" % round(self.rebuilt_at.timestamp() * 1000)))
        return told

    @classmethod
    def read(cls, headers: Sequence[tuple[str, bytes | None]]) -> Self:
        """As a record tells it; what is no number tells nothing. Only a fact's is to be believed."""
        return cls(_number(header(headers, EPOCH), digits=9), _instant(_number(header(headers, REBUILT_AT), digits=13)))


class Epochs:
    """The epochs of the topics that one service publishes to, from its database, a few seconds old at most."""

    def __init__(self, database: Database) -> None:
        self._collection: Collection = database["epochs"]
        self._known: dict[str, Epoch] = {}
        self._read_at = -REREAD_AFTER_S

    async def of(self, topic: str) -> Epoch:
        """Of a topic."""
        if monotonic() - self._read_at >= REREAD_AFTER_S:
            self._known = {found["_id"]: _epoch(found) for found in await self._collection.find({}).to_list(None)}
            self._read_at = monotonic()
        return self._known.get(topic, Epoch())

    async def raise_one(self, topic: str, *, from_archives: bool) -> int:
        """Count one rebuild more; the new epoch's number.

        from_archives: whether it will be filled with what was archived or pending before. A projection that runs again
        may come to other results, which are news, however old their causes.
        """
        raised = {"epoch": {"$add": [{"$ifNull": ["$epoch", 0]}, 1]}, "at": "$$NOW" if from_archives else None}
        document = await self._collection.find_one_and_update(
            {"_id": topic}, [{"$set": raised}], upsert=True, return_document=ReturnDocument.AFTER
        )
        self._read_at = -REREAD_AFTER_S
        return int(document["epoch"])


def _epoch(found: Document) -> Epoch:
    return Epoch(found["epoch"], found["at"])


def _number(text: str | None, *, digits: int) -> int:
    return int(text[:digits]) if text and text.isascii() and text.isdigit() else 0


@lru_cache(maxsize=64)
def _instant(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC) if milliseconds else None
