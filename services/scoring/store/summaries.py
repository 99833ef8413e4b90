"""Summaries, derived by the worker: `api` may not import this module (pyproject.toml). They are read in `scores`."""

import asyncio

from pymongo import IndexModel

from chassis.service import Parts
from chassis.store import Document, aggregate, claim_due, clear_mark, ensure_indexes, raise_marks
from services.scoring.domain.summary import ALL_KINDS, Audience, Tally
from services.scoring.store.counts import document_of, tally_of
from services.scoring.store.scores import COUNTED, count

PROVINCE_LEASE_S = 30.0
NATION_LEASE_S = 2.0
"""Also the pause until a nation's summary is derived again while provinces under it are still to be derived."""
PAGE = 200
"""Regions counted before the event loop gets its turn: some 20 ms."""


class Summaries:
    """Of each province and cycle, and of the nation in each cycle. Marks say what is to be derived again."""

    def __init__(self, parts: Parts) -> None:
        self._current = parts.collection("current")
        self._summaries = parts.collection("summaries")
        self._nations = parts.collection("nations")

    async def prepare(self) -> None:
        """Indexes for summaries that are due, and for the provinces of a nation."""
        await ensure_indexes(
            self._summaries,
            [IndexModel("due_at", name="due", sparse=True), IndexModel([("cycle", 1), ("province", 1)], name="cycle")],
        )
        await ensure_indexes(self._nations, [IndexModel("due_at", name="due", sparse=True)])

    async def derive_province(self) -> bool:
        """Count the regions of a province and cycle that is due, once, whatever number of facts raised its mark.

        Returns whether one was due. The nation's mark is raised before the province's is cleared: whoever dies between
        them does both again.
        """
        claimed = await claim_due(self._summaries, {"raised": {"$gt": 0}}, lease_s=PROVINCE_LEASE_S)
        if claimed is None:
            return False
        scope = {"cycle": claimed["cycle"], "province": claimed["province"]}
        tally = Tally()
        cursor = self._current.find(scope, COUNTED)
        while page := await cursor.to_list(PAGE):
            for document in page:
                count(document, tally)
            await asyncio.sleep(0)
        await raise_marks(self._nations, {claimed["cycle"]: 1}, {claimed["cycle"]: {}})
        await clear_mark(self._summaries, claimed, document_of(tally))
        return True

    async def predicates(self) -> dict[tuple[str, str, str], int]:
        """Of the nation's regions, published or not: (cycle, basis, predicate) → how many."""
        all_regions = f"$$part.v.{Audience.SUPERVISED.value}.{ALL_KINDS}.predicates"
        bases: Document = {"$objectToArray": {"$ifNull": ["$parts", {}]}}
        told: Document = {"$map": {"input": bases, "as": "part", "in": {"basis": "$$part.k", "of": all_regions}}}
        return {
            (nation["_id"], part["basis"], predicate): regions
            for nation in await aggregate(self._nations, [{"$project": {"parts": told}}])
            for part in nation["parts"]
            for predicate, regions in part.get("of", {}).items()
        }

    async def derive_nation(self) -> bool:
        """Merge the provinces' counts of a cycle that is due; returns whether one was due.

        At write and not at read: 38 full histograms take 50 times as long to read as the one that they add up to.
        """
        claimed = await claim_due(self._nations, {"raised": {"$gt": 0}}, lease_s=NATION_LEASE_S)
        if claimed is None:
            return False
        cycle = claimed["_id"]
        # Asked before anything is counted: a province that is clear here is counted with what cleared it.
        unsettled = await self._summaries.find_one({"cycle": cycle, "raised": {"$gt": 0}}, {"_id": 1})
        tally = Tally()
        async for province in self._summaries.find({"cycle": cycle}):
            tally.merge(tally_of(province))
            await asyncio.sleep(0)
        result = document_of(tally)
        if unsettled:  # it stays claimed, and comes up again when the lease is over
            await self._nations.update_one({"_id": cycle, "claim": claimed["claim"]}, {"$set": result})
        else:
            await clear_mark(self._nations, claimed, result)
        return True
