"""What is true of an assessment: its state machine and its answers. Pure.

Status: draft → submitted → reopened → submitted …, as long as no reviewer took it up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from chassis.problem import Problem
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished, PredicateBasis, Stage, Status

OPEN = frozenset({Status.DRAFT, Status.REOPENED})
"""While the region itself works on it."""
TEXT_MAX_CHARS = 10_000


class WrongStatus(Problem):
    """The assessment is not where this command begins."""

    status, code, title = 409, "wrong_status", "Not possible in this status"

    def __init__(self, current: Status, wanted: Iterable[Status]) -> None:
        allowed = ", ".join(sorted(wanted))
        super().__init__(
            f"It is {current}; this needs one of: {allowed}. GET it to see what happened since.",
            f"Statusnya {current}; ini memerlukan salah satu dari: {allowed}. GET untuk melihat perubahannya.",
            field="status",
        )


class Incomplete(Problem):
    """Not every indicator has a level."""

    status, code, title = 409, "incomplete", "Not every indicator is answered"

    def __init__(self, missing: Iterable[int]) -> None:
        numbers = sorted(missing)
        super().__init__(
            f"Answer these {len(numbers)} indicators, then submit again; `missing` lists them.",
            f"Jawab {len(numbers)} indikator ini, lalu kirim lagi; `missing` memuat daftarnya.",
            missing=numbers,
        )


class UnknownIndicator(Problem):
    """The instrument has no such indicator."""

    status, code, title = 404, "unknown_indicator", "There is no such indicator"

    def __init__(self, number: int, highest: int, *, place: str = "") -> None:
        super().__init__(
            f"The instrument has indicators 1 to {highest}; {number} is not one of them.",
            f"Instrumen ini memiliki indikator 1 sampai {highest}; {number} bukan salah satunya.",
            field=f"{place}number",
        )
        if place:  # named in a body, not in the address
            self.status = 422


class LevelOffScale(Problem):
    """The level is below or above the scale."""

    status, code, title = 422, "level_off_scale", "The level is not on the scale"


class LevelNotWhole(Problem):
    """The instrument takes whole levels only."""

    status, code, title = 422, "level_not_whole", "The level must be a whole number"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a region says about one indicator: the level, and what supports it. `version` counts its changes."""

    level: str
    """Exact decimal text, without needless zeros."""
    fakta: str
    analisis: str
    service_name: str | None
    """Of a repeated indicator (a sector service, a public service): which service was meant."""
    by: str
    at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer as it is handed in."""

    level: str
    fakta: str = ""
    analisis: str = ""
    service_name: str | None = None
    place: str = ""
    """Where in the request it stands, such as `answers.0.`; empty where it is the request."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """One region's answers in one cycle. `revision` counts its facts, `version` its writes."""

    id: str
    region: str
    instrument: str
    cycle: str
    period: int
    predicate_basis: PredicateBasis
    status: Status
    revision: int
    version: int
    answers: Mapping[int, Answer]

    @classmethod
    def opened(cls, *, region: str, cycle: CycleOpened) -> "Assessment":
        """A new draft. The id is natural: a region has one assessment a cycle."""
        return cls(
            id=assessment_id(region=region, cycle=cycle.cycle),
            region=region,
            instrument=cycle.instrument,
            cycle=cycle.cycle,
            period=cycle.period,
            predicate_basis=cycle.predicate_basis,
            status=Status.DRAFT,
            revision=0,
            version=0,
            answers={},
        )

    def answer(
        self, drafts: Mapping[int, Draft], *, instrument: InstrumentPublished, by: str, at: datetime
    ) -> "Assessment":
        """Put these answers in place of what was there. Raises WrongStatus, UnknownIndicator, LevelOffScale,
        LevelNotWhole; then nothing changed.
        """
        self._must_be(OPEN)
        changed = {
            number: Answer(
                level=checked_level(draft.level, number=number, instrument=instrument, place=draft.place),
                fakta=draft.fakta,
                analisis=draft.analisis,
                service_name=draft.service_name,
                by=by,
                at=at,
                version=self.answer_version(number) + 1,
            )
            for number, draft in drafts.items()
        }
        return replace(self, answers={**self.answers, **changed})

    def submit(self, *, instrument: InstrumentPublished) -> "Assessment":
        """Hand over to review. Raises WrongStatus, Incomplete with the unanswered indicators."""
        self._must_be(OPEN)
        if missing := self.missing(instrument):
            raise Incomplete(missing)
        return replace(self, status=Status.SUBMITTED, revision=self.revision + 1)

    def reopen(self) -> "Assessment":
        """Take it back to correct it, until a reviewer takes it up. Raises WrongStatus."""
        self._must_be({Status.SUBMITTED})
        return replace(self, status=Status.REOPENED, revision=self.revision + 1)

    def missing(self, instrument: InstrumentPublished) -> list[int]:
        """Indicators without an answer."""
        return [i.number for i in instrument.indicators if i.number not in self.answers]

    def answer_version(self, number: int) -> int:
        """0 for an indicator that was never answered."""
        return self.answers[number].version if number in self.answers else 0

    def state(self) -> AssessmentState:
        """What others may know of it: levels, never what was written in support."""
        levels = {number: answer.level for number, answer in sorted(self.answers.items())}
        return AssessmentState(
            assessment=self.id,
            region=self.region,
            instrument=self.instrument,
            cycle=self.cycle,
            period=self.period,
            predicate_basis=self.predicate_basis,
            status=self.status,
            levels={Stage.SELF: levels},
        )

    def _must_be(self, wanted: Iterable[Status]) -> None:
        if self.status not in wanted:
            raise WrongStatus(self.status, wanted)


def assessment_id(*, region: str, cycle: str) -> str:
    """Such as spbe-2023:32.11."""
    return f"{cycle}:{region}"


def checked_level(text: str, *, number: int, instrument: InstrumentPublished, place: str = "") -> str:
    """The level in its one form (`3.0` is `3`). Raises UnknownIndicator, LevelOffScale, LevelNotWhole."""
    if not 1 <= number <= len(instrument.indicators):
        raise UnknownIndicator(number, len(instrument.indicators), place=place)
    scale = instrument.scale
    level = Decimal(text)
    field = f"{place}level"
    if not scale.lowest <= level <= scale.highest:
        raise LevelOffScale(
            f"Indicator {number} takes {scale.lowest} to {scale.highest}.",
            f"Indikator {number} menerima {scale.lowest} sampai {scale.highest}.",
            field=field,
        )
    whole = level == int(level)
    if scale.whole and not whole:
        raise LevelNotWhole(
            f"Indicator {number} takes one of {', '.join(map(str, range(scale.lowest, scale.highest + 1)))}.",
            f"Indikator {number} menerima salah satu dari "
            f"{', '.join(map(str, range(scale.lowest, scale.highest + 1)))}.",
            field=field,
        )
    return str(int(level)) if whole else format(level.normalize(), "f")
