"""Facts of the scoring service."""

from datetime import date
from enum import StrEnum
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


class Basis(StrEnum):
    """What a score rests on: the levels of a stage, or a decree. Whatever shows a score names it."""

    SELF = "self"
    DOCUMENT = "document"
    INTERVIEW = "interview"
    SITE_VISIT = "site_visit"
    OFFICIAL = "official"
    """Decreed by KemenPANRB and imported as it was published; the Lab computes none of it."""


class OfficialScore(Frozen):
    """A result as KemenPANRB decreed it. `domains` and `aspects` hold those that were published."""

    index: Figure
    predicate: str
    predicate_stated: bool
    """False where the source names no predicate: then it is the band of the published index."""
    domains: dict[int, Figure]
    aspects: dict[int, Figure]
    decree: Annotated[str, Field(max_length=200, examples=["Keputusan Menteri PANRB Nomor 13 Tahun 2024"])]
    decree_date: date


class ScoreRecalculated(Body):
    """Scores of every stage present in one revision of an assessment, computed by the Lab; or one official result."""

    score: str
    """The aggregate: the assessment's id, or that of the official result, such as spbe-2023:32.11:official."""
    region: RegionCode
    instrument: InstrumentId
    cycle: CycleId
    period: Period
    predicate_basis: PredicateBasis
    status: Status
    scores: dict[Stage, Score | Incomplete]
    """Empty in an official result."""
    official: OfficialScore | None = None
    """Only in an official result; computed scores never hold it."""

    @property
    def aggregate(self) -> str:
        return self.score
