"""How the aggregates of this service are kept: a frozen model as `state`, and beside it what queries ask for."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from pymongo import IndexModel

from chassis.conditional import etag
from chassis.outbox import Change, Done, Note, Outbox, Request
from chassis.problem import NotFound
from chassis.records import OutgoingFact
from chassis.service import Parts
from chassis.store import Document, aggregate, claim_due, ensure_indexes
from contracts.fact import Frozen

T = TypeVar("T", bound=Frozen)
LEASE_S = 20.0
"""Whoever claimed what is due and does nothing for so long has died; then it is due again."""
NOT_READ: Document = {"outbox": 0, "requests": 0}


@dataclass(frozen=True, slots=True)
class Decided(Generic[T]):
    """What a decision comes to."""

    state: T
    facts: Sequence[OutgoingFact] = ()
    notes: Sequence[Note] = ()
    due_at: datetime | None = None
    """When a worker must look at it again, whatever else happens."""
    outcome: Document = field(default_factory=dict[str, Any])


class AsItWas(Exception):
    """A decision for which nothing is to be written."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """An aggregate as it is kept."""

    id: str
    version: int
    state: T
    at: datetime | None = None
    """When it was read for a change, by the database's clock."""

    @property
    def tag(self) -> str:
        """Its ETag."""
        return etag(self.id, self.version)


class Aggregates(Generic[T]):
    """All of one noun. `beside` says what queries need to know of a state."""

    def __init__(self, parts: Parts, collection: str, of: type[T], *, beside: Callable[[T], Document]) -> None:
        self._outbox: Outbox = parts.outbox(collection)
        self._of = of
        self._beside = beside
        self.collection = self._outbox.aggregates

    async def prepare(self, *indexes: IndexModel) -> None:
        """Those indexes, and one for what is due."""
        await ensure_indexes(self.collection, [*indexes, IndexModel("due_at", name="due", sparse=True)])

    async def create(self, name: str, decided: Decided[T], *, request: Request | None = None) -> Done:
        """Raises AlreadyThere, KeyReused."""
        return await self._outbox.create(name, self._change(decided), request=request)

    async def change(
        self, where: Document, decide: Callable[[Kept[T]], Decided[T]], *, request: Request | None = None
    ) -> Done:
        """Decide on what is there. Raises NotFound, KeyReused, and what `decide` does."""

        async def load() -> Document:
            return await self._find(where)

        return await self._outbox.change(
            load, lambda document: self._change(decide(self.read(document))), request=request
        )

    async def settle(self, load: Callable[[], Awaitable[Document]], decide: Callable[[Document], Decided[T]]) -> None:
        """What follows from others' facts or from time: `decide` raises AsItWas where nothing does.

        `load` may read more than the aggregate; it reads the aggregate first.
        """
        with suppress(AsItWas):
            await self._outbox.change(load, lambda document: self._change(decide(document)))

    async def whole(self, where: Document) -> Document:
        """The document, for `settle` to decide on. Raises NotFound."""
        return await self._find(where)

    async def get(self, where: Document) -> Kept[T]:
        """Raises NotFound."""
        found = await self.collection.find_one(where, NOT_READ)
        if found is None:
            raise NotFound
        return self.read(found)

    async def part(self, where: Document, projection: Document) -> Document:
        """Of a document, what a projection names. Raises NotFound."""
        found = await self.collection.find_one(where, projection)
        if found is None:
            raise NotFound
        return found

    async def page(self, where: Document, *, after: str | None, limit: int) -> list[Kept[T]]:
        """By id, those after `after`."""
        clauses = [where, {"_id": {"$gt": after}}] if after else [where]
        found = self.collection.find({"$and": clauses}, NOT_READ).sort("_id", 1).limit(limit)
        return [self.read(document) for document in await found.to_list(None)]

    async def claim_due(self) -> tuple[str, datetime] | None:
        """The one that is due since longest, for LEASE_S, and the time by the database's clock; or None."""
        claimed = await claim_due(self.collection, {}, lease_s=LEASE_S)
        return (claimed["_id"], claimed["due_at"] - timedelta(seconds=LEASE_S)) if claimed else None

    def read(self, document: Document) -> Kept[T]:
        """The model that a document holds."""
        state = self._of.model_validate(document["state"])
        return Kept(document["_id"], document["version"], state, document.get("read_at"))

    async def _find(self, where: Document) -> Document:
        found = await aggregate(self.collection, [{"$match": where}, {"$limit": 1}, {"$set": {"read_at": "$$NOW"}}])
        if not found:
            raise NotFound
        return found[0]

    def _change(self, decided: Decided[T]) -> Change:
        state = decided.state.model_dump(mode="json")
        return Change(
            set={"state": state, "due_at": decided.due_at, **self._beside(decided.state)},
            facts=decided.facts,
            notes=decided.notes,
            outcome=decided.outcome,
        )
