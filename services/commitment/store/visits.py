"""Study visits; who was met is read by those who were there, and by those who supervise."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pymongo import IndexModel

from chassis.outbox import AlreadyThere, Change, Done, Outbox, Request
from chassis.problem import NotFound
from chassis.service import Parts
from chassis.store import Document, claim_due, ensure_indexes
from chassis.viewer import Viewer
from services.commitment.domain.rights import belongs_to, supervises
from services.commitment.domain.visit import Visit
from services.commitment.store.aggregates import Aggregates, Decided, Kept

LEASE_S = 20.0
"""Carrying 2,000 visits takes about 6 s. Who outlives the lease is joined by another, which costs repeats."""


class Visits:
    """Visits, and the imports that brought some of them."""

    def __init__(self, parts: Parts) -> None:
        self._directory = parts.directory
        self._visits = Aggregates(parts, "visits", Visit, beside=self._beside)
        self._imports: Outbox = parts.outbox("imports")

    async def prepare(self) -> None:
        """Indexes for a visitor's and a host's lists."""
        await self._visits.prepare(
            IndexModel([("organization", 1), ("_id", 1)], name="organization"),
            IndexModel([("host", 1), ("_id", 1)], name="host"),
        )
        await ensure_indexes(self._imports.aggregates, [IndexModel("due_at", name="due", sparse=True)])

    async def create(self, visit: Visit, decided: Decided[Visit], *, request: Request | None = None) -> Done:
        """Raises AlreadyThere, KeyReused."""
        return await self._visits.create(visit.visit, decided, request=request)

    async def change(self, visit_id: str, decide: Callable[[Kept[Visit]], Decided[Visit]], *, request: Request) -> Done:
        """Raises NotFound, KeyReused, and what `decide` does."""
        return await self._visits.change({"_id": visit_id}, decide, request=request)

    def read(self, document: Document) -> Kept[Visit]:
        """Of a write."""
        return self._visits.read(document)

    async def get(self, visit_id: str, *, viewer: Viewer) -> Kept[Visit]:
        """As this viewer may see it. Raises NotFound."""
        return self._seen(await self._visits.get({"_id": visit_id}), viewer)

    async def page(
        self, *, organization: str | None, host: str | None, viewer: Viewer, after: str | None, limit: int
    ) -> list[Kept[Visit]]:
        """By id, those after `after`, as this viewer may see them."""
        asked = (("organization", organization), ("host", host))
        where = {name: {"$in": sorted(self._directory.lineage(value))} for name, value in asked if value}
        return [self._seen(one, viewer) for one in await self._visits.page(where, after=after, limit=limit)]

    async def accept(
        self, import_id: str, visits: Sequence[Visit], *, by: str, at: datetime, outcome: Document, request: Request
    ) -> Done:
        """One write takes them all over; the rest follows from it, whoever dies. Raises KeyReused."""
        document = {
            "by": by,
            "at": at,
            "visits": [visit.model_dump(mode="json") for visit in visits],
            "carried": False,
            "due_at": at,
        }
        return await self._imports.create(import_id, Change(set=document, outcome=outcome), request=request)

    async def imported(self, import_id: str, *, viewer: Viewer) -> Document:
        """An import without its rows, for whoever sent it. Raises NotFound."""
        where = {"_id": import_id, "by": viewer.actor}
        found = await self._imports.aggregates.find_one(where, {"visits": 0, "requests": 0, "outbox": 0})
        if found is None or not viewer.actor:
            raise NotFound
        return found

    async def carry(self, decide: Callable[[Visit, datetime], Decided[Visit]]) -> bool:
        """Record what the import that is longest due brought; whether one was. A repeat changes nothing."""
        claimed = await claim_due(self._imports.aggregates, {"carried": False}, lease_s=LEASE_S)
        if claimed is None:
            return False
        for document in claimed["visits"]:
            visit = Visit.model_validate(document)
            try:
                await self._visits.create(visit.visit, decide(visit, claimed["at"]))
            except AlreadyThere:
                continue  # recorded before, by whomever; what was corrected since stays
        await self._imports.aggregates.update_one(
            {"_id": claimed["_id"]}, {"$set": {"carried": True}, "$unset": {"due_at": "", "claim": ""}}
        )
        return True

    def _seen(self, kept: Kept[Visit], viewer: Viewer) -> Kept[Visit]:
        visit = kept.state
        region = self._directory.find(visit.organization)
        if belongs_to(viewer, visit.organization, visit.host) or supervises(viewer, region.province if region else ""):
            return kept
        return Kept(kept.id, kept.version, visit.model_copy(update={"met": ()}))

    def _beside(self, visit: Visit) -> Document:
        return {"organization": visit.organization, "host": visit.host}
