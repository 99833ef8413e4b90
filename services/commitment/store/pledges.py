"""Pledges; what follows from supervised scores is read by those who may see these."""

from collections.abc import Callable, Collection
from datetime import datetime

from pymongo import IndexModel

from chassis.outbox import Done, Request
from chassis.service import Parts
from chassis.store import Document
from chassis.viewer import Viewer, sees
from services.commitment.domain.pledge import Pledge
from services.commitment.domain.score import Heard
from services.commitment.store.aggregates import Aggregates, Decided, Kept
from services.commitment.store.scores import Scores


class Pledges:
    """Each derives itself from what was heard of its region."""

    def __init__(self, parts: Parts) -> None:
        self._directory = parts.directory
        self._pledges = Aggregates(parts, "pledges", Pledge, beside=_beside)
        self._scores = Scores(parts)

    async def prepare(self) -> None:
        """Indexes for a region's and a commitment's lists."""
        await self._pledges.prepare(
            IndexModel([("region", 1), ("_id", 1)], name="region"),
            IndexModel([("commitment", 1), ("_id", 1)], name="commitment"),
        )

    async def create(self, decided: Decided[Pledge], *, request: Request) -> Done:
        """Raises AlreadyThere, KeyReused."""
        return await self._pledges.create(decided.state.pledge, decided, request=request)

    async def change(
        self, pledge_id: str, decide: Callable[[Kept[Pledge]], Decided[Pledge]], *, request: Request
    ) -> Done:
        """Raises NotFound, KeyReused, and what `decide` does."""
        return await self._pledges.change({"_id": pledge_id}, decide, request=request)

    async def derive(self, pledge_id: str, decide: Callable[[Pledge, list[Heard]], Decided[Pledge]]) -> None:
        """Decide on the pledge and on all that was heard of its region. Raises NotFound.

        The pledge is read first. Read after the scores, it could be one that another worker has just derived from newer
        scores, and the write of what follows from the older ones would succeed.
        """

        async def load() -> Document:
            kept = await self._pledges.whole({"_id": pledge_id})
            pledge = self._pledges.read(kept).state
            codes = self._directory.onward(pledge.region)
            return {**kept, "heard": await self._scores.of(codes, pledge.target.instrument)}

        await self._pledges.settle(load, lambda read: decide(self._pledges.read(read).state, read["heard"]))

    async def of(self, regions: Collection[str]) -> dict[str, list[str]]:
        """Region → its pledges that are not withdrawn, by id."""
        where = {"region": {"$in": sorted(regions)}, "withdrawn": False}
        found: dict[str, list[str]] = {}
        for document in await self._pledges.collection.find(where, {"region": 1}).to_list(None):
            found.setdefault(document["region"], []).append(document["_id"])
        return found

    async def claim_due(self) -> tuple[str, datetime] | None:
        """The pledge that is due since longest, for LEASE_S, and the time by the database's clock; or None."""
        return await self._pledges.claim_due()

    def read(self, document: Document, *, viewer: Viewer) -> Kept[Pledge]:
        """Of a write, as this viewer may see it."""
        return _seen(self._pledges.read(document), viewer)

    async def get(self, pledge_id: str, *, viewer: Viewer) -> Kept[Pledge]:
        """As this viewer may see it. Raises NotFound."""
        return _seen(await self._pledges.get({"_id": pledge_id}), viewer)

    async def page(
        self, *, region: str | None, commitment: str | None, viewer: Viewer, after: str | None, limit: int
    ) -> list[Kept[Pledge]]:
        """By id, those after `after`, as this viewer may see them."""
        where: Document = {"commitment": commitment} if commitment else {}
        if region:
            where["region"] = {"$in": sorted(self._directory.lineage(region))}
        return [_seen(one, viewer) for one in await self._pledges.page(where, after=after, limit=limit)]


def _seen(kept: Kept[Pledge], viewer: Viewer) -> Kept[Pledge]:
    pledge = kept.state
    if sees(viewer.scores, {"region": pledge.region}, public=None):
        return kept
    return Kept(kept.id, kept.version, pledge.model_copy(update={"full": pledge.public}))


def _beside(pledge: Pledge) -> Document:
    return {
        "region": pledge.region,
        "province": pledge.province,
        "commitment": pledge.commitment,
        "withdrawn": pledge.withdrawn,
    }
