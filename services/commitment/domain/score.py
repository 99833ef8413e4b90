"""What a score fact says for pledges and for the answer: what counts, and what is only declared."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import takewhile

from chassis.clock import day_of
from chassis.records import Fact
from contracts.assessment import Stage, Status
from contracts.commitment import Reached
from contracts.fact import Frozen, Visibility
from contracts.scoring import Basis, Score, ScoreRecalculated

VERIFIED = frozenset({Status.VERIFIED, Status.PUBLISHED})


class Heard(Frozen):
    """One score fact, as far as it matters here. Holds no processing time, so that a repeat is the same."""

    score: str
    region: str
    province: str
    instrument: str
    period: int
    revision: int
    rule: int
    public: bool
    official: bool
    counted: Reached | None
    """An official result, or the latest stage of an assessment that was verified."""
    declared: Reached | None
    """What a region says of itself, until it is verified."""


def heard(fact: Fact[ScoreRecalculated], *, province: str) -> Heard:
    """What is remembered of a fact."""
    body, envelope = fact.body, fact.envelope
    counted = _official(body) or (_latest(body, day_of(envelope.time)) if body.status in VERIFIED else None)
    declared = None if body.official or body.status in VERIFIED else _of(body, Stage.SELF, day_of(envelope.time))
    return Heard(
        score=body.score,
        region=body.region,
        province=province,
        instrument=body.instrument,
        period=body.period,
        revision=envelope.revision,
        rule=envelope.rule,
        public=envelope.visibility is Visibility.PUBLIC,
        official=body.official is not None,
        counted=counted,
        declared=declared,
    )


def newest(facts: Iterable[Heard]) -> list[Heard]:
    """Of each score the newest fact, in any order of facts; counting from the day on which it came to be what it is.

    Publication comes months after verification, and must not make a result late that was in time; a correction that
    raises it in March does not make it one of December.
    """
    by_score: dict[str, list[Heard]] = defaultdict(list)
    for fact in facts:
        by_score[fact.score].append(fact)
    found: list[Heard] = []
    for history in by_score.values():
        history.sort(key=lambda fact: (fact.revision, fact.rule))
        last = history[-1]
        if last.counted and not last.official:
            last = last.model_copy(update={"counted": last.counted.model_copy(update={"on": _since(history)})})
        found.append(last)
    return sorted(found, key=lambda fact: (fact.period, fact.score))


def _since(history: Sequence[Heard]) -> date:
    """The first day of the last facts in a row that count the same; the last one counts."""
    what = _what(history[-1])
    same = takewhile(lambda fact: _what(fact) == what, reversed(history))
    return min(fact.counted.on for fact in same if fact.counted)


def _what(fact: Heard) -> object:
    return fact.counted and (fact.counted.index, fact.counted.predicate)


def best_of_periods(scores: Iterable[Heard]) -> list[Heard]:
    """What counts, by period: the official result where there is one, else what the Lab computed."""
    by_period: dict[tuple[str, int], Heard] = {}
    for score in scores:
        there = by_period.get((score.instrument, score.period))
        if score.counted and (there is None or score.official):
            by_period[score.instrument, score.period] = score
    return sorted(by_period.values(), key=lambda score: score.period)


def _official(body: ScoreRecalculated) -> Reached | None:
    if body.official is None:
        return None
    return _reached(body, Basis.OFFICIAL, body.official.index, body.official.predicate, body.official.decree_date)


def _latest(body: ScoreRecalculated, on: date) -> Reached | None:
    for stage in reversed(Stage):
        if stage in body.scores:
            return _of(body, stage, on)
    return None


def _of(body: ScoreRecalculated, stage: Stage, on: date) -> Reached | None:
    score = body.scores.get(stage)
    return _reached(body, Basis(stage), score.index, score.predicate, on) if isinstance(score, Score) else None


def _reached(body: ScoreRecalculated, basis: Basis, index: object, predicate: str, on: date) -> Reached:
    return Reached.model_validate(
        {"score": body.score, "cycle": body.cycle, "period": body.period, "basis": basis, "index": index,
         "predicate": predicate, "on": on}
    )  # fmt: skip
