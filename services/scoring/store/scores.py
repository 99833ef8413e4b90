"""What readers ask of scores; each asks as somebody."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import lru_cache

from bson.decimal128 import Decimal128
from pymongo import IndexModel

from chassis.problem import NotFound
from chassis.service import Parts
from chassis.store import Document, ensure_indexes
from chassis.viewer import Depth, Reach, Viewer, filter_of, sees
from services.scoring.summary import Part, Summary

PUBLIC_FLAG = "public"
NOT_SHOWN = {"digest": 0, "order": 0}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of standings ends: the last index and id, how many came before, the rank of the last."""

    index: str
    name: str
    seen: int
    rank: int


class Scores:
    """Read-only: the newest score of each assessment, those before it, and summaries."""

    def __init__(self, parts: Parts) -> None:
        self._history = parts.collection("history")
        self._current = parts.collection("current")
        self._summaries = parts.collection("summaries")
        self._nations = parts.collection("nations")

    async def prepare(self) -> None:
        """Indexes for a region's history and for standings."""
        await ensure_indexes(self._history, [IndexModel([("assessment", 1), ("revision", 1)], name="assessment")])
        await ensure_indexes(
            self._current,
            [
                IndexModel([("region", 1), ("period", -1)], name="region"),
                IndexModel([("cycle", 1), ("kind", 1), ("order.self", -1), ("_id", 1)], name="standings"),
                IndexModel(
                    [(PUBLIC_FLAG, 1), ("cycle", 1), ("kind", 1), ("order.self", -1), ("_id", 1)],
                    name="public_standings",
                ),
                IndexModel(
                    [("cycle", 1), ("province", 1), ("kind", 1), ("order.self", -1), ("_id", 1)],
                    name="province_standings",
                ),
            ],
        )

    async def of(self, assessment: str, *, viewer: Viewer) -> Document:
        """The newest score of an assessment. Raises NotFound also for what the viewer may not see."""
        found = await self._current.find_one({"$and": [{"_id": assessment}, _visible(viewer)]}, NOT_SHOWN)
        if found is None:
            raise NotFound
        return found

    async def of_region(self, region: str, *, viewer: Viewer) -> list[Document]:
        """The newest scores of a region, the latest period first."""
        visible = {"$and": [{"region": region}, _visible(viewer)]}
        return await self._current.find(visible, NOT_SHOWN).sort("period", -1).limit(50).to_list(None)

    async def history(self, assessment: str, *, viewer: Viewer, limit: int) -> list[Document]:
        """All scores of an assessment, the newest first. Raises NotFound as `of` does."""
        # Who sees the assessment now sees what it was; who sees what is public alone, sees what was public.
        own = sees(viewer.reach(Depth.SCORES), await self.of(assessment, viewer=viewer), public=None)
        found = self._history.find({"assessment": assessment, **({} if own else {PUBLIC_FLAG: True})}, NOT_SHOWN)
        return await found.sort([("revision", -1), ("rule", -1)]).limit(limit).to_list(None)

    async def standings(
        self, *, viewer: Viewer, cycle: str, kind: str, within: Document, after: Place | None, limit: int
    ) -> list[Document]:
        """A page of the regions of one kind, the highest index first; what has no index is not among them."""
        clauses: list[Document] = [{"cycle": cycle, "kind": kind}, within, _visible(viewer)]
        if after is None:
            clauses.append({"order.self": {"$exists": True}})
        else:
            index = Decimal128(after.index)
            same = {"order.self": index, "_id": {"$gt": after.name}}
            clauses.append({"$or": [{"order.self": {"$lt": index}}, same]})
        page = self._current.find({"$and": clauses}, {"digest": 0}).sort([("order.self", -1), ("_id", 1)])
        return await page.limit(limit).to_list(None)

    async def summary_of_province(self, cycle: str, province: str, *, viewer: Viewer) -> Summary:
        """A province's summary; empty unless the viewer sees all its regions."""
        found = await self._summaries.find_one({"cycle": cycle, "province": province}, {"groups": 0})
        visible = found is not None and sees(viewer.reach(Depth.SCORES), found, public=None, region="province")
        return _summary(found if found and visible else {})

    async def summary_of_nation(self, cycle: str, *, viewer: Viewer) -> Summary:
        """The nation's summary; empty unless the viewer sees all regions."""
        found = await self._nations.find_one({"$and": [{"_id": cycle}, filter_of(viewer.scores, public=None)]})
        return _summary(found or {})

    async def summary_of_group(self, cycle: str, regions: frozenset[str], *, viewer: Viewer) -> Summary:
        """The summary of a small group, counted when asked: a group crosses provinces. The caller bounds it."""
        where = {"cycle": cycle, "region": {"$in": sorted(regions)}, "scores.self.index": {"$exists": True}}
        found = await self._current.find({"$and": [where, _visible(viewer)]}).to_list(None)
        groups = [
            {
                "kind": d["kind"],
                "shown": d["scores"]["self"]["index"]["shown"],
                "predicate": d["scores"]["self"]["predicate"],
                "count": 1,
                "total": d["order"]["self"],
            }
            for d in found
        ]
        return _summary({"parts": parts_of(groups), "as_of": max((d["time"] for d in found), default=None)})


def _visible(viewer: Viewer) -> Document:
    return _visible_within(viewer.reach(Depth.SCORES))


@lru_cache(1_024)
def _visible_within(reach: Reach) -> Document:
    # Remembered, because a province with thousands of regions under it is a long list to sort for each request.
    return filter_of(reach, public=PUBLIC_FLAG)


def parts_of(groups: Iterable[Document]) -> Document:
    """Per kind what readers want of groups: counted once when derived, not at each read."""
    parts: Document = {}
    for group in groups:
        part = parts.setdefault(group["kind"], {"shown": Counter[str](), "predicates": Counter[str](), "total": 0})
        part["shown"][group["shown"]] += group["count"]
        part["predicates"][group["predicate"]] += group["count"]
        # Decimals of 10 places add up exactly within the context's 28 digits.
        part["total"] += group["total"].to_decimal()
    return {kind: {**part, "total": Decimal128(part["total"])} for kind, part in parts.items()}


def _summary(document: Document) -> Summary:
    parts: dict[str, Part] = {
        kind: Part(kind, part["shown"], part["predicates"], Fraction(part["total"].to_decimal()))
        for kind, part in document.get("parts", {}).items()
    }
    as_of: datetime | None = document.get("as_of")
    return Summary(parts, as_of)
