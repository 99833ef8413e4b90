"""Facts of the assessment service: instruments, cycles, assessments. Nothing here is ever edited, only added to."""

from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.fact import Body, Frozen

Exact = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?(/[1-9][0-9]{0,11})?$", examples=["1.30", "10/3"])]
"""An exact number as text: decimal or fraction. Binary floats miss half-up ties."""

Level = Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,10})?$", examples=["3", "2.75"])]
"""A level on the instrument's scale, as exact decimal text."""

InstrumentId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, examples=["spbe-2020"])]
CycleId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, examples=["spbe-2023"])]
RegionCode = Annotated[str, Field(pattern=r"^[0-9]{2}(\.[0-9]{2,4})*$", max_length=16, examples=["32.11"])]
Period = Annotated[int, Field(ge=2000, le=2999, examples=[2023])]
"""The year of a cycle."""
IndicatorNumber = Annotated[int, Field(ge=1, le=999)]


class Stage(StrEnum):
    """Whose levels they are (penilaian mandiri, dokumen, interviu, visitasi). A later stage overrides an earlier."""

    SELF = "self"
    DOCUMENT = "document"
    INTERVIEW = "interview"
    SITE_VISIT = "site_visit"


class Status(StrEnum):
    """Where an assessment stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    REOPENED = "reopened"
    """By the region, before a reviewer took it up."""
    UNDER_REVIEW = "under_review"
    RETURNED = "returned"
    """By the reviewers, with reasons: the region corrects it and submits again."""
    VERIFIED = "verified"
    PUBLISHED = "published"


class PredicateBasis(StrEnum):
    """Which index is put into the bands: 2023 the rounded, 2024 the unrounded one (tested against the results)."""

    ROUNDED = "rounded"
    UNROUNDED = "unrounded"


class LevelText(Frozen):
    """What a level asks for, in the words of the guide. Only Indonesian is official."""

    level: int
    criterion_id: str
    fulfilment_id: str | None = None
    evidence_id: str | None = None


class Indicator(Frozen):
    """One question. Match indicators by number, never by name: editions vary the wording."""

    number: IndicatorNumber
    aspect: int
    name_id: str
    name_en: str
    weight: Exact
    """Percent of the whole index."""
    capability: str | None = None
    """`proses` or `layanan`: which set of level names applies; null where the instrument has no such split."""
    question_id: str | None = None
    description_id: str | None = None
    assessment_rule_id: str | None = None
    evidence_examples_id: str | None = None
    levels: tuple[LevelText, ...] | None = None
    """Null where the texts were not to be had; the instrument's `unknown` says why."""


class Aspect(Frozen):
    """A group of indicators. `domain` is null in instruments without a domain layer."""

    number: int
    domain: int | None
    name_id: str
    name_en: str
    weight: Exact


class Domain(Frozen):
    """A group of aspects."""

    number: int
    name_id: str
    name_en: str
    weight: Exact


class LevelName(Frozen):
    """What a level is called, per capability."""

    capability: str | None
    level: int
    name_id: str
    name_en: str


class Scale(Frozen):
    """The levels an answer may have. `whole`: only whole numbers."""

    lowest: int
    highest: int
    whole: bool

    @model_validator(mode="after")
    def _is_a_scale(self) -> Self:
        if self.lowest > self.highest:
            raise ValueError("the lowest level is above the highest")
        return self


class Band(Frozen):
    """A predicate and the lowest index that earns it; the bands are ordered from the highest down."""

    predicate: str
    lowest: Exact


class InstrumentPublished(Body):
    """A questionnaire, whole and immutable: layers, weights, scale, bands, level texts."""

    instrument: InstrumentId
    name_id: str
    name_en: str
    legal_basis: str
    source: str
    scale: Scale
    domains: tuple[Domain, ...]
    """Empty where the instrument has no domain layer."""
    aspects: tuple[Aspect, ...]
    indicators: tuple[Indicator, ...]
    level_names: tuple[LevelName, ...]
    bands: Annotated[tuple[Band, ...], Field(min_length=1)]
    unknown: dict[str, str]
    """Field → why it is null."""

    @property
    def aggregate(self) -> str:
        return self.instrument

    @model_validator(mode="after")
    def _layers_fit_together(self) -> Self:
        aspects, domains = [a.number for a in self.aspects], [d.number for d in self.domains]
        if len(set(aspects)) < len(aspects) or len(set(domains)) < len(domains):
            raise ValueError("an aspect or a domain stands twice")
        if {i.aspect for i in self.indicators} != set(aspects):
            raise ValueError("the aspects are not those of the indicators")
        if {a.domain for a in self.aspects} != (set(domains) or {None}):
            raise ValueError("the domains are not those of the aspects")
        if any(not Fraction(part.weight) for part in (*self.domains, *self.aspects, *self.indicators)):
            raise ValueError("a weight is 0")
        return self

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        for aspect in self.aspects:
            _same_weight(aspect, [i.weight for i in self.indicators if i.aspect == aspect.number])
        for domain in self.domains:
            _same_weight(domain, [a.weight for a in self.aspects if a.domain == domain.number])
        if sum(Fraction(a.weight) for a in self.aspects) != 100:
            raise ValueError("the weights of the aspects do not add up to 100")
        if [i.number for i in self.indicators] != list(range(1, len(self.indicators) + 1)):
            raise ValueError("indicators are not numbered 1, 2, 3 …")
        lowest = [Fraction(b.lowest) for b in self.bands]
        if lowest != sorted(lowest, reverse=True):
            raise ValueError("bands are not ordered from the highest down")
        return self


def _same_weight(layer: Aspect | Domain, parts: list[str]) -> None:
    if not parts or sum(Fraction(p) for p in parts) != Fraction(layer.weight):
        raise ValueError(f"the weights under {layer.name_id!r} do not add up to {layer.weight}")


class StageDates(Frozen):
    """When a stage is open, both days included."""

    stage: Stage
    opens: date
    closes: date


class Aim(Frozen):
    """What the nation set out to reach, with the year it is due and who said so."""

    about: Literal["index", "share"]
    """`index`: the national index; `share`: the share of governments of a kind at the predicate or better."""
    kind: Literal["province", "regency", "city"] | None
    predicate: str | None
    value: Exact
    """An index, or percent."""
    due_year: int
    source: str


class CycleOpened(Body):
    """A year's round under one instrument. What is unknown is null, with its reason in `unknown`."""

    cycle: CycleId
    period: Period
    instrument: InstrumentId
    name_id: str
    name_en: str
    predicate_basis: PredicateBasis
    predicate_basis_assumed: bool
    """True where no source tells the basis; it then is `unrounded`."""
    stages: tuple[StageDates, ...] | None
    routes: tuple[Literal["pemantauan", "evaluasi"], ...] | None
    aims: tuple[Aim, ...] | None
    unknown: dict[str, str]
    """Field → why it is null or assumed."""

    @property
    def aggregate(self) -> str:
        return self.cycle

    @model_validator(mode="after")
    def _gaps_have_reasons(self) -> Self:
        gaps = {name for name in ("stages", "routes", "aims") if getattr(self, name) is None}
        if self.predicate_basis_assumed:
            gaps.add("predicate_basis")
        if gaps != self.unknown.keys():
            raise ValueError(f"`unknown` must give the reasons for exactly {sorted(gaps)}")
        if self.predicate_basis_assumed and self.predicate_basis is not PredicateBasis.UNROUNDED:
            raise ValueError("an assumed predicate basis is `unrounded`")
        return self


class AssessmentState(Body):
    """The one shape of every `assessment.*` fact: the whole state that others may know, never facts or analyses."""

    assessment: str
    region: RegionCode
    instrument: InstrumentId
    cycle: CycleId
    period: Period
    predicate_basis: PredicateBasis
    status: Status
    levels: dict[Stage, dict[IndicatorNumber, Level]]
    """Of `self`, and of each stage that was closed: the level of each indicator that has one. What a stage did not take
    up has the level of the stage before."""
    assessors: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    """Opaque ids of the external assessors who were assigned."""

    @property
    def aggregate(self) -> str:
        return self.assessment
