"""Facts of the scoring service."""

from typing import Annotated

from pydantic import Field

from contracts.assessment import CycleId, InstrumentId, Period, PredicateBasis, RegionCode, Stage, Status
from contracts.fact import Body, Frozen


class Figure(Frozen):
    """A number twice: `value` exact to 10 places, `shown` rounded half up to 2."""

    value: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,10})?$", examples=["2.9475"])]
    shown: Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{2}$", examples=["2.95"])]


class Score(Frozen):
    """Index, predicate and their parts on one basis. `domains` is empty where the instrument has no such layer."""

    index: Figure
    predicate: str
    domains: dict[int, Figure]
    aspects: dict[int, Figure]


class Incomplete(Frozen):
    """Not every indicator has a level, so there is no number."""

    missing: tuple[int, ...]


class ScoreRecalculated(Body):
    """Scores of every stage present in one revision of an assessment. Computed by the Lab, never the official index."""

    score: str
    """The aggregate: the assessment's id."""
    region: RegionCode
    instrument: InstrumentId
    cycle: CycleId
    period: Period
    predicate_basis: PredicateBasis
    status: Status
    scores: dict[Stage, Score | Incomplete]

    @property
    def aggregate(self) -> str:
        return self.score
