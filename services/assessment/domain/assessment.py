"""The state machine of an assessment.

draft → submitted → under_review → verified → published. The region may reopen what it submitted until a reviewer takes
it up; reviewers may return it with reasons; both ways it is submitted again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal

from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished, PredicateBasis, Stage, Status
from services.assessment.domain.answer import Answer, Draft, UnknownIndicator, checked_levels
from services.assessment.domain.refusals import (
    AspectsIncomplete,
    ConsentMissing,
    Incomplete,
    JustificationMissing,
    MinutesMissing,
    RouteFixed,
    StageClosed,
    StageNotOfRoute,
    StageNotReached,
    StageOutOfTime,
    UnknownRoute,
    WrongStatus,
)
from services.assessment.domain.review import MONITORING_STAGES, STAGES, Act, AspectReport, Assessor, Finding, Reason

Route = Literal["pemantauan", "evaluasi"]

OPEN = frozenset({Status.DRAFT, Status.REOPENED, Status.RETURNED})
"""While the region itself works on it."""
HANDED_OVER = frozenset(Status) - {Status.DRAFT, Status.PUBLISHED}


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
    findings: Mapping[Stage, Mapping[int, Finding]] = field(default_factory=dict[Stage, Mapping[int, Finding]])
    """Of the stages of review. An indicator that a stage did not take up has none, and inherits."""
    closed: tuple[Stage, ...] = ()
    assessors: tuple[Assessor, ...] = ()
    """Ordered by id."""
    route: Route | None = None
    minutes: Act | None = None
    """*Berita Acara Penilaian Mandiri*, signed by the coordinator."""
    consent: Act | None = None
    """*Pernyataan Persetujuan Publikasi*, given by the coordinator: another act than the minutes."""
    reasons: tuple[Reason, ...] = ()
    """Why it was returned the last time."""
    reports: tuple[AspectReport, ...] = ()

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

    # The region

    def answer(
        self, drafts: Mapping[int, Draft], *, instrument: InstrumentPublished, by: str, at: datetime
    ) -> "Assessment":
        """Put these answers in place of what was there; the minutes, if signed, are void. Raises WrongStatus,
        UnknownIndicator, LevelOffScale, LevelNotWhole; then nothing changed.
        """
        self._must_be(OPEN)
        changed = {
            number: Answer(
                level=level,
                fakta=drafts[number].fakta,
                analisis=drafts[number].analisis,
                service_name=drafts[number].service_name,
                by=by,
                at=at,
                version=self.answer_version(number) + 1,
            )
            for number, level in checked_levels(drafts, instrument).items()
        }
        return replace(self, answers={**self.answers, **changed}, minutes=None)

    def sign_minutes(self, *, instrument: InstrumentPublished, by: str, at: datetime) -> "Assessment":
        """Sign for the answers as they are. Raises WrongStatus, Incomplete."""
        self._must_be(OPEN)
        if missing := self.missing(instrument):
            raise Incomplete(missing)
        return replace(self, minutes=Act(by, at))

    def submit(self, *, instrument: InstrumentPublished, cycle: CycleOpened, today: date) -> "Assessment":
        """Hand over to review. Raises WrongStatus, Incomplete, MinutesMissing, StageOutOfTime."""
        self._must_be(OPEN)
        if missing := self.missing(instrument):
            raise Incomplete(missing)
        if self.minutes is None:
            raise MinutesMissing
        if self.status is not Status.RETURNED:  # that comes back when reviewers send it, whatever the date
            _must_be_time_for(Stage.SELF, cycle, today)
        return replace(self, status=Status.SUBMITTED, revision=self.revision + 1, reasons=())

    def reopen(self, *, cycle: CycleOpened, today: date) -> "Assessment":
        """Take it back to correct it, until a reviewer takes it up. Raises WrongStatus, StageOutOfTime: it could not
        be submitted again.
        """
        self._must_be({Status.SUBMITTED})
        _must_be_time_for(Stage.SELF, cycle, today)
        return replace(self, status=Status.REOPENED, revision=self.revision + 1)

    def consent_to_publication(self, *, by: str, at: datetime) -> "Assessment":
        """The region's own act, once the result is known. Raises WrongStatus."""
        self._must_be({Status.VERIFIED})
        return replace(self, consent=Act(by, at))

    # Reviewers

    def assign(self, assessors: Iterable[Assessor], *, route: Route | None, cycle: CycleOpened) -> "Assessment":
        """Choose who reviews it, in place of who was chosen before; without a route the present one stays.

        Raises WrongStatus, UnknownRoute, RouteFixed.
        """
        self._must_be(HANDED_OVER)
        route = route or self.route
        if cycle.routes is not None and route not in cycle.routes:
            routes = ", ".join(cycle.routes)
            raise UnknownRoute(f"Send one of: {routes}.", f"Kirim salah satu dari: {routes}.", field="route")
        if route != self.route and self.status is not Status.SUBMITTED:
            raise RouteFixed(field="route")
        chosen = tuple(sorted(assessors, key=lambda assessor: assessor.id))
        return replace(self, assessors=chosen, route=route, revision=self.revision + 1)

    def take_up(self) -> "Assessment":
        """Begin the review: from now on the region cannot reopen it. Raises WrongStatus."""
        self._must_be({Status.SUBMITTED})
        return replace(self, status=Status.UNDER_REVIEW)

    def find(
        self,
        stage: Stage,
        drafts: Mapping[int, Draft],
        *,
        instrument: InstrumentPublished,
        cycle: CycleOpened,
        by: str,
        at: datetime,
        today: date,
    ) -> "Assessment":
        """Give levels in a stage. Raises as `answer` does, and JustificationMissing, StageNotOfRoute, StageClosed,
        StageNotReached, StageOutOfTime.
        """
        self._must_be_open(stage)
        _must_be_time_for(stage, cycle, today)
        levels, before = checked_levels(drafts, instrument), self.levels(self.closed[-1] if self.closed else Stage.SELF)
        for number, level in levels.items():
            if level != before.get(number) and not drafts[number].justifikasi.strip():
                raise JustificationMissing(field=f"{drafts[number].place}justifikasi")
        changed = {
            number: Finding(
                level=level,
                fakta=drafts[number].fakta,
                analisis=drafts[number].analisis,
                justifikasi=drafts[number].justifikasi,
                by=by,
                at=at,
                version=self.finding_version(stage, number) + 1,
            )
            for number, level in levels.items()
        }
        return replace(self, findings={**self.findings, stage: {**self.findings.get(stage, {}), **changed}})

    def close(self, stage: Stage, *, cycle: CycleOpened, today: date) -> "Assessment":
        """What the stage did not take up has the level of the stage before. Not before its first day; but also after
        its last, or what was found in time could not go on. Raises as `find` does.
        """
        self._must_be_open(stage)
        _must_be_time_for(stage, cycle, today, late_too=True)
        return replace(self, closed=(*self.closed, stage), revision=self.revision + 1)

    def give_back(self, reasons: Iterable[Reason], *, instrument: InstrumentPublished) -> "Assessment":
        """To the region, with reasons. Findings stay to be worked on; stages are to be closed again. What was verified,
        and a consent to it, are void. Raises WrongStatus, UnknownIndicator.
        """
        self._must_be({Status.UNDER_REVIEW, Status.VERIFIED})
        given = tuple(reasons)
        highest = len(instrument.indicators)
        for position, reason in enumerate(given):
            if reason.indicator is not None and not 1 <= reason.indicator <= highest:
                raise UnknownIndicator(reason.indicator, highest, field=f"reasons.{position}.indicator")
        return replace(
            self,
            status=Status.RETURNED,
            revision=self.revision + 1,
            closed=(),
            reasons=given,
            reports=(),
            consent=None,
        )

    def verify(self, reports: Iterable[AspectReport], *, instrument: InstrumentPublished) -> "Assessment":
        """The result is valid; what was found, per aspect. Raises WrongStatus, StageNotReached, AspectsIncomplete."""
        self._must_be({Status.UNDER_REVIEW})
        wanted = (Stage.DOCUMENT, Stage.INTERVIEW) if self.route == "evaluasi" else (Stage.DOCUMENT,)
        if open_still := [stage for stage in wanted if stage not in self.closed]:
            raise _not_reached(open_still[0])
        given = tuple(reports)
        wanted_aspects = sorted(aspect.number for aspect in instrument.aspects)
        if sorted(report.aspect for report in given) != wanted_aspects:
            numbers = ", ".join(map(str, wanted_aspects))
            raise AspectsIncomplete(
                f"Send one entry for each of the aspects {numbers}; its texts may be empty.",
                f"Kirim satu entri untuk tiap aspek {numbers}; teksnya boleh kosong.",
                field="aspects",
            )
        return replace(self, status=Status.VERIFIED, revision=self.revision + 1, reports=given)

    def publish(self) -> "Assessment":
        """Levels and scores become public. Raises WrongStatus, ConsentMissing."""
        self._must_be({Status.VERIFIED})
        if self.consent is None:
            raise ConsentMissing
        return replace(self, status=Status.PUBLISHED, revision=self.revision + 1)

    # What is known of it

    def missing(self, instrument: InstrumentPublished) -> list[int]:
        """Indicators without an answer."""
        return [i.number for i in instrument.indicators if i.number not in self.answers]

    def answer_version(self, number: int) -> int:
        """0 for an indicator that was never answered."""
        return self.answers[number].version if number in self.answers else 0

    def finding_version(self, stage: Stage, number: int) -> int:
        """0 for an indicator that the stage has not taken up."""
        found = self.findings.get(stage, {}).get(number)
        return found.version if found else 0

    def levels(self, stage: Stage) -> dict[int, str]:
        """Indicator → its level in a stage: the stage's own, else that of the last closed stage before it."""
        levels = {number: answer.level for number, answer in sorted(self.answers.items())}
        for earlier in STAGES:
            if stage is Stage.SELF:
                break
            if earlier in self.closed or earlier is stage:
                levels |= {number: found.level for number, found in self.findings.get(earlier, {}).items()}
            if earlier is stage:
                break
        return levels

    def state(self) -> AssessmentState:
        """What others may know of it: levels, never what was written in support."""
        return AssessmentState(
            assessment=self.id,
            region=self.region,
            instrument=self.instrument,
            cycle=self.cycle,
            period=self.period,
            predicate_basis=self.predicate_basis,
            status=self.status,
            levels={stage: self.levels(stage) for stage in (Stage.SELF, *self.closed)},
            assessors=tuple(assessor.id for assessor in self.assessors),
        )

    def _must_be(self, wanted: Iterable[Status]) -> None:
        if self.status not in wanted:
            raise WrongStatus(self.status, wanted)

    def _must_be_open(self, stage: Stage) -> None:
        self._must_be({Status.UNDER_REVIEW})
        if stage not in (MONITORING_STAGES if self.route == "pemantauan" else STAGES):
            raise StageNotOfRoute(field="stage")
        # An interview is held in every evaluation; elsewhere a visit may follow the documents.
        before = STAGES[: STAGES.index(stage)] if self.route == "evaluasi" else STAGES[:1]
        if open_still := [earlier for earlier in before if earlier is not stage and earlier not in self.closed]:
            raise _not_reached(open_still[0], field="stage")
        if any(STAGES.index(closed) >= STAGES.index(stage) for closed in self.closed):
            closed = ", ".join(self.closed)
            raise StageClosed(
                f"Closed already: {closed}. What they found stands; a later stage may differ.",
                f"Sudah ditutup: {closed}. Hasilnya tetap; tahap berikutnya boleh berbeda.",
                field="stage",
            )


def assessment_id(*, region: str, cycle: str) -> str:
    """Such as spbe-2023:32.11."""
    return f"{cycle}:{region}"


def _not_reached(first: Stage, *, field: str | None = None) -> StageNotReached:
    return StageNotReached(f"Close {first} first.", f"Tutup tahap {first} dahulu.", field=field)


def _must_be_time_for(stage: Stage, cycle: CycleOpened, today: date, *, late_too: bool = False) -> None:
    for dates in cycle.stages or ():
        if dates.stage is stage and not (dates.opens <= today and (late_too or today <= dates.closes)):
            raise StageOutOfTime(
                f"{stage} is open from {dates.opens} to {dates.closes}; today is {today}.",
                f"Tahap {stage} dibuka {dates.opens} sampai {dates.closes}; hari ini {today}.",
            )
