"""Scores as they were heard, every fact of them, and copies of the instruments that they rest on."""

from collections.abc import Collection, Sequence

from pymongo import IndexModel

from chassis.service import Parts
from chassis.store import Document, ensure_indexes, keep_first, put_if_newer
from chassis.viewer import Viewer, sees
from contracts.fact import Frozen
from services.commitment.domain.score import Heard


class Instrument(Frozen):
    """What is kept of an instrument."""

    instrument: str
    predicates: tuple[str, ...]
    """The best first."""
    indicators: tuple[int, ...]


class Scores:
    """Every fact of a score, from which its pledges follow; and beside it the newest of each, for the answer."""

    def __init__(self, parts: Parts) -> None:
        self._heard = parts.collection("history")
        self._newest = parts.collection("scores")
        self._instruments = parts.collection("instruments")

    async def prepare(self) -> None:
        """An index for a region's scores."""
        await ensure_indexes(self._heard, [IndexModel([("region", 1), ("instrument", 1)], name="region")])
        await ensure_indexes(
            self._newest, [IndexModel("all", name="audience"), IndexModel([("region", 1), ("all", 1)], name="region")]
        )

    async def keep(self, facts: Sequence[tuple[Heard, str]]) -> list[str]:
        """Keep facts with their digests, in any order and however often; the scores that forked, if any."""
        documents = [
            {"_id": f"{one.score}/{one.revision}/{one.rule}", "digest": digest, **one.model_dump(mode="json")}
            for one, digest in facts
        ]
        forks = sorted({fork["score"] for fork in await keep_first(self._heard, documents)})
        if not forks:
            # Twice each: as anybody may know it, and as it is. What is put again by a repeat changes nothing.
            whole = [document | {"_id": document["score"], "all": True} for document in documents]
            public = [one | {"_id": f"{one['score']}/public", "all": False} for one in whole if one["public"]]
            await put_if_newer(self._newest, [*whole, *public])
        return forks

    async def of(self, codes: Collection[str], instrument: str) -> list[Heard]:
        """All that was heard of a region, under these codes of it, under an instrument, in no order."""
        found = await self._heard.find({"region": {"$in": list(codes)}, "instrument": instrument}).to_list(None)
        return [Heard.model_validate(document) for document in found]

    async def counting(self, *, public: bool) -> list[Heard]:
        """Of each score the newest fact that anybody may know, or the newest of all, where it counts."""
        found = self._newest.find({"all": not public, "counted": {"$ne": None}})
        return [Heard.model_validate(document) for document in await found.to_list(None)]

    async def counting_of(self, codes: Collection[str], *, viewer: Viewer) -> list[Heard]:
        """The same of one region, under all codes that it had, as far as this viewer may know it."""
        seen = all(sees(viewer.scores, {"region": code}, public=None) for code in codes)
        found = self._newest.find({"region": {"$in": sorted(codes)}, "all": seen, "counted": {"$ne": None}})
        return [Heard.model_validate(document) for document in await found.to_list(None)]

    async def instruments(self) -> list[Instrument]:
        """All that were published."""
        return [Instrument.model_validate(document) for document in await self._instruments.find().to_list(None)]

    async def keep_instrument(self, instrument: Instrument, *, digest: str) -> bool:
        """False when another one has its id."""
        document: Document = {"_id": instrument.instrument, "digest": digest, **instrument.model_dump(mode="json")}
        return not await keep_first(self._instruments, [document])

    async def instrument(self, instrument: str) -> Instrument | None:
        """By id, or None while nobody told us of it."""
        found = await self._instruments.find_one({"_id": instrument})
        return Instrument.model_validate(found) if found else None
