"""What the worker makes of facts: history, the newest of each assessment, summaries, copies of instruments."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from bson.decimal128 import Decimal128
from pymongo import IndexModel

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
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.fact import Visibility
from contracts.regions import Region
from services.scoring.store.scores import PUBLIC_FLAG, parts_of

SUMMARY_LEASE_S = 30.0
NATION_LEASE_S = 2.0
"""Also the pause until a nation's summary is derived again while provinces under it are still to be derived."""
_WITHOUT_TEXTS: Mapping[str, Any] = {
    "question_id": None,
    "description_id": None,
    "assessment_rule_id": None,
    "evidence_examples_id": None,
    "levels": None,
}


class Projection:
    """Every score there ever was (`history`), the newest of each assessment (`current`), and summaries of these."""

    def __init__(self, parts: Parts) -> None:
        self._instruments = parts.collection("instruments")
        self._cycles = parts.collection("cycles")
        self._history = parts.collection("history")
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

    async def keep_instrument(self, published: InstrumentPublished, *, digest: str) -> bool:
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
        await clear_mark(self._summaries, claimed, {"groups": groups, "parts": parts_of(groups), "as_of": as_of})
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
        parts = parts_of([{**group["_id"], "count": group["count"], "total": group["total"]} for group in merged])
        result = {"parts": parts, "as_of": max((group["as_of"] for group in merged), default=None)}
        if unsettled:  # it stays claimed, and comes up again when the lease is over
            await self._nations.update_one({"_id": cycle, "claim": claimed["claim"]}, {"$set": result})
        else:
            await clear_mark(self._nations, claimed, result)
        return True


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
        "assessors": list(fact.body.assessors),
        PUBLIC_FLAG: fact.envelope.visibility is Visibility.PUBLIC,
        "scores": scores,
        "order": {stage: _order(score["index"]["value"]) for stage, score in scores.items() if "index" in score},
    }


@lru_cache(8_192)
def _order(value: str) -> Decimal128:
    return Decimal128(value)
