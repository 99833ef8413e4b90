"""What readers ask of scores; each asks as somebody."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from bson.decimal128 import Decimal128
from pymongo import IndexModel

from chassis.problem import NotFound
from chassis.service import Parts
from chassis.store import Document, ensure_indexes
from chassis.viewer import Depth, National, Reach, Regions, Viewer, clauses_of, filter_of, sees
from contracts.regions import Kind
from contracts.scoring import Basis
from services.scoring.domain.summary import Audience, Figured, Leaders, Scope, Summary, Tally
from services.scoring.store.counts import part_of, ranking_of

PUBLIC_FLAG = "public"
NO_LEVEL = "-"
NOT_SHOWN = {"digest": 0, "order": 0, "outbox": 0, "requests": 0, "version": 0}
COUNTED = {
    "kind": 1, "region": 1, "time": 1, PUBLIC_FLAG: 1, "order": 1, "levels": 1,
    **{f"scores.{basis}.index.shown": 1 for basis in Basis}, **{f"scores.{basis}.predicate": 1 for basis in Basis},
}  # fmt: skip
"""What `count` reads."""
_PUBLIC_ONLY = {PUBLIC_FLAG: True}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of standings ends: the last index and id, how many came before, the rank of the last."""

    index: str
    name: str
    seen: int
    rank: int


class Scores:
    """Read-only: the newest score of each assessment, official results, those before them, and summaries."""

    def __init__(self, parts: Parts) -> None:
        self._history = parts.collection("history")
        self._current = parts.collection("current")
        self._summaries = parts.collection("summaries")
        self._nations = parts.collection("nations")
        self._averages = parts.collection("averages")

    async def prepare(self) -> None:
        """Indexes for a region's history, for standings on each basis, and for exports."""
        await ensure_indexes(self._history, [IndexModel([("assessment", 1), ("revision", 1)], name="assessment")])
        exported = IndexModel(
            [(PUBLIC_FLAG, 1), ("cycle", 1), ("_id", 1)], name="export", partialFilterExpression=_PUBLIC_ONLY
        )
        await ensure_indexes(
            self._current,
            [
                IndexModel([("region", 1), ("period", -1)], name="region"),
                IndexModel([("cycle", 1), ("province", 1)], name="province"),
                IndexModel("assessors", name="assessors"),
                exported,
                *(index for basis in Basis for index in _standings(basis)),
            ],
        )

    async def of(self, assessment: str, *, viewer: Viewer) -> Document:
        """The newest score of an assessment, or an official result. Raises NotFound also for what is hidden."""
        found = await self._current.find_one({"$and": [{"_id": assessment}, _visible(viewer)]}, NOT_SHOWN)
        if found is None:
            raise NotFound
        return found

    async def of_region(self, codes: Collection[str], *, viewer: Viewer) -> list[Document]:
        """The newest scores of a region under all codes that it had, the latest period first."""
        visible = {"$and": [{"region": {"$in": sorted(codes)}}, _visible(viewer)]}
        return await self._current.find(visible, NOT_SHOWN).sort([("period", -1), ("_id", 1)]).limit(50).to_list(None)

    async def compared(self, regions: Sequence[str], *, cycle: str, basis: Basis, viewer: Viewer) -> list[Document]:
        """The newest scores of some regions in a cycle, those that have an index on this basis."""
        where = {"region": {"$in": list(regions)}, "cycle": cycle, f"order.{basis}": {"$exists": True}}
        return await self._current.find({"$and": [where, _visible(viewer)]}).limit(len(regions)).to_list(None)

    async def having(
        self, regions: Sequence[str], *, cycle: str, basis: Basis, scope: Scope, viewer: Viewer
    ) -> set[str]:
        """Which of these regions have an index on this basis that counts in the viewer's summary of the scope."""
        where = {"region": {"$in": list(regions)}, "cycle": cycle, f"order.{basis}": {"$exists": True}}
        found = self._current.find(where | _audible(audience_of(viewer, scope)), {"_id": 0, "region": 1})
        return {document["region"] for document in await found.to_list(None)}

    async def history(self, assessment: str, *, viewer: Viewer, limit: int) -> list[Document]:
        """All scores of an assessment, the newest first. Raises NotFound as `of` does."""
        # Who sees the assessment now sees what it was; who sees what is public alone, sees what was public.
        own = sees(viewer.reach(Depth.SCORES), await self.of(assessment, viewer=viewer), public=None)
        found = self._history.find({"assessment": assessment, **({} if own else _PUBLIC_ONLY)}, NOT_SHOWN)
        return await found.sort([("revision", -1), ("rule", -1)]).limit(limit).to_list(None)

    async def standings(
        self, *, viewer: Viewer, cycle: str, kind: str, basis: Basis, within: Document, after: Place | None, limit: int
    ) -> list[Document]:
        """A page of the regions of one kind, the highest index first; what has no index is not among them.

        A query for each way in which the viewer may see something, each on an index of its own: asked at once, a
        viewer of few regions among many would cost all of them.
        """
        order = f"order.{basis}"
        asked: list[Document] = [{"cycle": cycle, "kind": kind, order: {"$exists": True}}, within]
        if after is not None:
            index = Decimal128(after.index)
            # Both: the first bounds the index, the second tells equals apart.
            asked.append({order: {"$lte": index}})
            asked.append({"$or": [{order: {"$lt": index}}, {order: index, "_id": {"$gt": after.name}}]})
        shown = ("index", "predicate", "decree", "decree_date", "predicate_stated")
        wanted = {"region": 1, "order": 1, **{f"scores.{basis}.{field}": 1 for field in shown}}
        pages = [
            await self._current.find({"$and": [*asked, clause]}, wanted)
            .sort([(order, -1), ("_id", 1)])
            .limit(limit)
            .to_list(None)
            for clause in _clauses_within(viewer.reach(Depth.SCORES))
        ]
        return pages[0] if len(pages) == 1 else _merged(pages, basis)[:limit]

    async def published(self, cycle: str, *, after: str, limit: int) -> list[Document]:
        """A page of all that everybody may see of a cycle, by id."""
        where = {**_PUBLIC_ONLY, "cycle": cycle, "_id": {"$gt": after}}
        return await self._current.find(where, NOT_SHOWN).sort("_id", 1).limit(limit).to_list(None)

    async def averages(self, cycle: str) -> list[Document]:
        """The averages that were published of a cycle, as they were published; everybody may see them."""
        return await self._averages.find({"cycle": cycle}).sort("_id", 1).to_list(None)

    async def summary(self, scope: Scope, *, cycle: str, basis: Basis, viewer: Viewer) -> Summary:
        """Of all its regions for who sees all of them, else of what is public."""
        audience = audience_of(viewer, scope)
        if scope.members is not None:
            tally = await self._tally(cycle, scope.members, audience)
            parts = {kind: part for (b, a, kind), part in tally.parts.items() if (b, a) == (basis, audience)}
            return Summary(audience, parts, tally.as_of.get((basis, audience)))
        document = await self._derived(cycle, scope, f"parts.{basis}.{audience}")
        kinds = document.get("parts", {}).get(basis, {}).get(audience, {})
        return Summary(
            audience, {kind: part_of(part) for kind, part in kinds.items()}, _as_of(document, basis, audience)
        )

    async def leaders(self, scope: Scope, *, cycle: str, basis: Basis, kind: Kind, viewer: Viewer) -> Leaders:
        """Per indicator, of one kind, as `summary`."""
        audience = audience_of(viewer, scope)
        if scope.members is not None:
            tally = await self._tally(cycle, scope.members, audience)
            return Leaders(
                audience, tally.rankings.get((basis, audience, kind), {}), tally.as_of.get((basis, audience))
            )
        document = await self._derived(cycle, scope, f"leaders.{basis}.{audience}.{kind}")
        found: Mapping[str, Document] = document.get("leaders", {}).get(basis, {}).get(audience, {}).get(kind, {})
        rankings = {int(number): ranking_of(ranking) for number, ranking in found.items()}
        return Leaders(audience, rankings, _as_of(document, basis, audience))

    async def _derived(self, cycle: str, scope: Scope, wanted: str) -> Document:
        fields = {wanted: 1, "as_of": 1}
        if scope.province is None:
            return await self._nations.find_one({"_id": cycle}, fields) or {}
        return await self._summaries.find_one({"_id": f"{cycle}/{scope.province}"}, fields) or {}

    async def _tally(self, cycle: str, regions: frozenset[str], audience: Audience) -> Tally:
        """Of a small group, counted when asked: a group crosses provinces, and is bounded by its list."""
        where = {"cycle": cycle, "region": {"$in": sorted(regions)}, **_audible(audience)}
        tally = Tally()
        for document in await self._current.find(where, COUNTED).to_list(None):
            count(document, tally)
        return tally


def _as_of(document: Document, basis: Basis, audience: Audience) -> datetime | None:
    return document.get("as_of", {}).get(basis, {}).get(audience)


def audience_of(viewer: Viewer, scope: Scope) -> Audience:
    """Who sees every region of a scope is told of all of them, everybody else of what is public."""
    reach = viewer.reach(Depth.SCORES)
    if isinstance(reach, National):
        return Audience.SUPERVISED
    if not isinstance(reach, Regions):
        return Audience.PUBLIC
    whole = scope.province in reach.provinces if scope.members is None else scope.members <= reach.codes
    return Audience.SUPERVISED if whole else Audience.PUBLIC


def count(document: Document, tally: Tally) -> None:
    """Each basis that has an index; what is incomplete has none, and is missing rather than counted as 0."""
    for basis, order in document["order"].items():
        score = document["scores"][basis]
        figured = Figured(
            region=document["region"],
            kind=document["kind"],
            basis=basis,
            public=document[PUBLIC_FLAG],
            shown=score["index"]["shown"],
            exact=order.to_decimal(),
            predicate=score["predicate"],
            levels=levels_of(document, basis),
        )
        tally.add(figured, at=document["time"])


def levels_of(document: Document, basis: str) -> list[str | None]:
    """By indicator number from 1 on; empty where the basis has none."""
    line: str = document.get("levels", {}).get(basis, "")
    return [None if level == NO_LEVEL else level for level in line.split()]


def _standings(basis: Basis) -> list[IndexModel]:
    """Partial, so that a basis costs nothing until somebody has an index on it."""
    order = f"order.{basis}"
    found: list[IndexModel] = []
    for public in (False, True) if basis is not Basis.OFFICIAL else (False,):  # official results all are
        there = {order: {"$exists": True}, **(_PUBLIC_ONLY if public else {})}
        for scope in ("", "province"):
            fields = [*([PUBLIC_FLAG] if public else []), "cycle", *([scope] if scope else []), "kind"]
            keys = [*((field, 1) for field in fields), (order, -1), ("_id", 1)]
            name = "_".join([*([PUBLIC_FLAG] if public else []), *([scope] if scope else []), "standings", basis])
            found.append(IndexModel(keys, name=name, partialFilterExpression=there))
    return found


def _merged(pages: Sequence[Sequence[Document]], basis: Basis) -> list[Document]:
    found = sorted({document["_id"]: document for page in pages for document in page}.items())
    return sorted((d for _, d in found), key=lambda d: d["order"][basis].to_decimal(), reverse=True)  # it is stable


def _audible(audience: Audience) -> Document:
    return _PUBLIC_ONLY if audience is Audience.PUBLIC else {}


def _visible(viewer: Viewer) -> Document:
    return _visible_within(viewer.reach(Depth.SCORES))


@lru_cache(1_024)
def _clauses_within(reach: Reach) -> list[Document]:
    return clauses_of(reach, public=PUBLIC_FLAG)


@lru_cache(1_024)
def _visible_within(reach: Reach) -> Document:
    # Remembered, because a province with thousands of regions under it is a long list to sort for each request.
    return filter_of(reach, public=PUBLIC_FLAG)
