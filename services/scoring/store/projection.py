"""What the worker makes of facts: history, the newest score of each assessment, copies of instruments and cycles."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from bson.decimal128 import Decimal128

from chassis.records import Fact, OutgoingFact
from chassis.service import Parts
from chassis.store import Collection, Document, keep_first, put_if_newer, raise_marks
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.fact import Visibility
from contracts.regions import Region
from services.scoring.store.scores import NO_LEVEL, PUBLIC_FLAG

_WITHOUT_TEXTS: Mapping[str, Any] = {
    "question_id": None,
    "description_id": None,
    "assessment_rule_id": None,
    "evidence_examples_id": None,
    "levels": None,
}


class Projection:
    """Every score there ever was (`history`), the newest of each assessment (`current`), and marks for summaries."""

    def __init__(self, parts: Parts) -> None:
        self._instruments = parts.collection("instruments")
        self._cycles = parts.collection("cycles")
        self._history = parts.collection("history")
        self._current = parts.collection("current")
        self._summaries = parts.collection("summaries")

    async def prepare(self) -> None:
        """Whoever reads makes the indexes."""

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
        await raise_summaries(self._summaries, documents)
        return []


async def raise_summaries(summaries: Collection, written: Iterable[Document]) -> None:
    """Mark the summary of each province and cycle that these scores belong to, newer or not."""
    scopes = [(f"{d['cycle']}/{d['province']}", {"cycle": d["cycle"], "province": d["province"]}) for d in written]
    await raise_marks(summaries, Counter(name for name, _ in scopes), dict(scopes))


def _document(fact: Fact[AssessmentState], follows: OutgoingFact, region: Region) -> Document:
    """What is stored of a score: what is published, and the levels that it follows from.

    No time but the fact's own, so that a repeat is the same bytes.
    """
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
        "levels": {stage.value: _in_a_line(levels) for stage, levels in fact.body.levels.items()},
        "order": {stage: order_of(score["index"]["value"]) for stage, score in scores.items() if "index" in score},
    }


def _in_a_line(levels: Mapping[int, str]) -> str:
    # As a document 47 levels take ten times the room, and the time to write it.
    return " ".join([levels.get(number, NO_LEVEL) for number in range(1, max(levels, default=0) + 1)])


@lru_cache(8_192)
def order_of(value: str) -> Decimal128:
    """An exact index as standings are sorted by it."""
    return Decimal128(value)
