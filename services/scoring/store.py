"""All queries of the scoring service."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any

import orjson
from bson.decimal128 import Decimal128
from pymongo import IndexModel

from chassis.intake import UnknownReference
from chassis.problem import NotFound
from chassis.records import Fact, OutgoingFact
from chassis.service import Parts
from chassis.store import (
    Document,
    aggregate,
    claim_due,
    clear_mark,
    ensure_indexes,
    keep_first,
    put_if_newer,
    raise_marks,
)
from chassis.viewer import Depth, Reach, Viewer, filter_of, sees
from contracts import topics
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.regions import Region
from services.scoring.domain import Instrument
from services.scoring.summary import Part, Summary

PUBLIC_FLAG = "public"
SUMMARY_LEASE_S = 30.0
NATION_LEASE_S = 2.0
"""Also the pause until a nation's summary is derived again while provinces under it are still to be derived."""
NOT_SHOWN = {"digest": 0, "order": 0}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of standings ends: the last index and id, how many came before, the rank of the last."""

    index: str
    name: str
    seen: int
    rank: int


class Instruments:
    """Copies of what the assessment service published: instruments and cycles, both immutable."""

    def __init__(self, parts: Parts) -> None:
        self._instruments = parts.collection("instruments")
        self._cycles = parts.collection("cycles")
        self._known: dict[str, Instrument] = {}

    async def prepare(self) -> None:
        """Read by `_id` alone: no index is missing."""

    async def keep(self, published: InstrumentPublished, *, digest: str) -> bool:
        """Keep an instrument; False when another one has its id."""
        # The texts of the levels are the assessment service's to show; the arithmetic does not need 330 kB of them.
        slim = published.model_copy(
            update={"indicators": tuple(i.model_copy(update=_WITHOUT_TEXTS) for i in published.indicators)}
        )
        document = {"_id": published.instrument, "digest": digest, "body": slim.model_dump_json()}
        return not await keep_first(self._instruments, [document])

    async def keep_cycle(self, opened: CycleOpened, *, digest: str) -> bool:
        """Keep a cycle; False when another one has its id."""
        document = {"_id": opened.cycle, "digest": digest, "body": opened.model_dump_json()}
        return not await keep_first(self._cycles, [document])

    async def get(self, instrument: str) -> Instrument:
        """By id. Raises UnknownReference while nobody told us of it."""
        known = self._known.get(instrument)
        if known is None:
            document = await self._instruments.find_one({"_id": instrument})
            if document is None:
                raise UnknownReference(topics.INSTRUMENT, instrument)
            known = Instrument.of(InstrumentPublished.model_validate_json(document["body"]))
            self._known[instrument] = known
        return known

    async def cycle(self, cycle: str) -> CycleOpened | None:
        """By id, or None."""
        document = await self._cycles.find_one({"_id": cycle})
        return CycleOpened.model_validate_json(document["body"]) if document else None


_WITHOUT_TEXTS: Mapping[str, Any] = {
    "question_id": None,
    "description_id": None,
    "assessment_rule_id": None,
    "evidence_examples_id": None,
    "levels": None,
}


class Scores:
    """Every score there ever was (`history`), the newest of each assessment (`current`), and summaries of these."""

    def __init__(self, parts: Parts) -> None:
        self._history = parts.collection("history")
        self._current = parts.collection("current")
        self._summaries = parts.collection("summaries")
        self._nations = parts.collection("nations")

    async def prepare(self) -> None:
        """Indexes for a region's history, for standings, and for summaries that are due."""
        await ensure_indexes(self._history, [IndexModel([("assessment", 1), ("revision", 1)], name="assessment")])
        await ensure_indexes(
            self._current,
            [
                IndexModel([("region", 1), ("period", -1)], name="region"),
                IndexModel([("cycle", 1), ("kind", 1), ("order.self", -1), ("_id", 1)], name="standings"),
                IndexModel(
                    [("cycle", 1), ("province", 1), ("kind", 1), ("order.self", -1), ("_id", 1)],
                    name="province_standings",
                ),
            ],
        )
        await ensure_indexes(
            self._summaries,
            [IndexModel("due_at", name="due", sparse=True), IndexModel([("cycle", 1), ("province", 1)], name="cycle")],
        )
        await ensure_indexes(self._nations, [IndexModel("due_at", name="due", sparse=True)])

    # What the worker writes

    async def record(self, scored: Sequence[tuple[Fact[AssessmentState], OutgoingFact, Region]]) -> list[str]:
        """Keep what a batch came to, in any order and however often; the assessments that forked, if any.

        History first, then the newest, then the marks: whoever dies between them does all again.
        """
        documents = [_document(fact, follows, region) for fact, follows, region in scored]
        forks = await keep_first(
            self._history, [{**d, "_id": f"{d['_id']}/{d['revision']}/{d['rule']}"} for d in documents]
        )
        if forks:
            return sorted({fork["assessment"] for fork in forks})
        await put_if_newer(self._current, documents)
        scopes = [
            (f"{d['cycle']}/{d['province']}", {"cycle": d["cycle"], "province": d["province"]}) for d in documents
        ]
        await raise_marks(self._summaries, Counter(name for name, _ in scopes), dict(scopes))
        return []

    async def derive_province(self) -> bool:
        """Count the regions of a province and cycle that is due, once, whatever number of facts raised its mark.

        Returns whether one was due. The nation's mark is raised before the province's is cleared: whoever dies between
        them does both again.
        """
        claimed = await claim_due(self._summaries, {"raised": {"$gt": 0}}, lease_s=SUMMARY_LEASE_S)
        if claimed is None:
            return False
        cycle = claimed["cycle"]
        scope = {"cycle": cycle, "province": claimed["province"], "scores.self.index": {"$exists": True}}
        counted = await aggregate(
            self._current,
            [
                {"$match": scope},
                {
                    "$group": {
                        "_id": {
                            "kind": "$kind",
                            "shown": "$scores.self.index.shown",
                            "predicate": "$scores.self.predicate",
                        },
                        "count": {"$sum": 1},
                        "total": {"$sum": "$order.self"},
                        "as_of": {"$max": "$time"},
                    }
                },
                {"$sort": {"_id": 1}},
            ],
        )
        groups = [
            {**group["_id"], "count": group["count"], "total": Decimal128(str(group["total"]))} for group in counted
        ]
        as_of = max((group["as_of"] for group in counted), default=None)
        await raise_marks(self._nations, {cycle: 1}, {cycle: {}})
        await clear_mark(self._summaries, claimed, {"groups": groups, "parts": _parts(groups), "as_of": as_of})
        return True

    async def derive_nation(self) -> bool:
        """Merge the provinces' histograms of a cycle that is due; returns whether one was due.

        At write and not at read: 38 full histograms take 50 times as long to read as the one that they add up to.
        """
        claimed = await claim_due(self._nations, {"raised": {"$gt": 0}}, lease_s=NATION_LEASE_S)
        if claimed is None:
            return False
        cycle = claimed["_id"]
        # Asked before anything is counted: a province that is clear here is counted with what cleared it.
        unsettled = await self._summaries.find_one({"cycle": cycle, "raised": {"$gt": 0}}, {"_id": 1})
        same = {"kind": "$groups.kind", "shown": "$groups.shown", "predicate": "$groups.predicate"}
        merged = await aggregate(
            self._summaries,
            [
                {"$match": {"cycle": cycle}},
                {"$unwind": "$groups"},
                {
                    "$group": {
                        "_id": same,
                        "count": {"$sum": "$groups.count"},
                        "total": {"$sum": "$groups.total"},
                        "as_of": {"$max": "$as_of"},
                    }
                },
                {"$sort": {"_id": 1}},
            ],
        )
        parts = _parts([{**group["_id"], "count": group["count"], "total": group["total"]} for group in merged])
        result = {"parts": parts, "as_of": max((group["as_of"] for group in merged), default=None)}
        if unsettled:  # it stays claimed, and comes up again when the lease is over
            await self._nations.update_one({"_id": cycle, "claim": claimed["claim"]}, {"$set": result})
        else:
            await clear_mark(self._nations, claimed, result)
        return True

    # What readers ask; each asks as somebody

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
        await self.of(assessment, viewer=viewer)
        found = self._history.find({"$and": [{"assessment": assessment}, _visible(viewer)]}, NOT_SHOWN)
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
        return _summary({"parts": _parts(groups), "as_of": max((d["time"] for d in found), default=None)})


def _visible(viewer: Viewer) -> Document:
    return _visible_within(viewer.reach(Depth.SCORES))


@lru_cache(1_024)
def _visible_within(reach: Reach) -> Document:
    # Remembered, because a province with thousands of regions under it is a long list to sort for each request.
    return filter_of(reach, public=PUBLIC_FLAG)


def _document(fact: Fact[AssessmentState], follows: OutgoingFact, region: Region) -> Document:
    """What is stored of a score: what is published. No time but the fact's own, so that a repeat is the same bytes."""
    published: dict[str, Any] = orjson.loads(follows.value)
    scores: dict[str, Any] = published["scores"]
    return {
        "_id": published["score"],
        "assessment": published["score"],
        "region": published["region"],
        "province": region.province,
        "kind": region.kind.value,
        "instrument": published["instrument"],
        "cycle": published["cycle"],
        "period": published["period"],
        "predicate_basis": published["predicate_basis"],
        "status": published["status"],
        "revision": follows.envelope.revision,
        "rule": follows.envelope.rule,
        "time": follows.envelope.time,
        "digest": fact.digest,
        PUBLIC_FLAG: False,
        "scores": scores,
        "order": {stage: _order(score["index"]["value"]) for stage, score in scores.items() if "index" in score},
    }


@lru_cache(8_192)
def _order(value: str) -> Decimal128:
    return Decimal128(value)


def _parts(groups: Iterable[Document]) -> Document:
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
