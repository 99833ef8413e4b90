"""What happens, in which order."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime

from chassis.clock import day_of, now
from chassis.conditional import Expected, etag
from chassis.outbox import AlreadyThere, Done, Request
from chassis.problem import Forbidden, NotFound, Problem
from chassis.records import OutgoingFact, outgoing
from chassis.references import UnknownCycle, UnknownRegion
from chassis.store import Document
from chassis.viewer import REVIEWING_MINISTRY, Viewer
from contracts import events
from contracts.assessment import CycleOpened, InstrumentPublished, Stage, Status
from contracts.events import EventType
from contracts.fact import Visibility
from contracts.regions import Directory
from contracts.roles import Role
from services.assessment import catalogue
from services.assessment.domain.answer import Draft
from services.assessment.domain.assessment import Assessment, Route, assessment_id
from services.assessment.domain.review import AspectReport, Assessor, Reason
from services.assessment.store import Assessments, Catalogue, Decision

MAY_ANSWER = (Role.OPERATOR, Role.INTERNAL_ASSESSOR, Role.DATA_ENTRY, Role.RESPONSIBLE)
MAY_OPEN = (Role.DATA_ENTRY, Role.RESPONSIBLE)


class NotSelfGoverning(Problem):
    """Jakarta's six parts have no government of their own to assess, nor has a region that is no more."""

    status, code, title = 422, "not_self_governing", "This region has no government of its own"
    detail = "Open the assessment for the province that governs it, or under the code that the region has now."
    detail_id = "Buka penilaian untuk provinsi yang memerintahnya, atau dengan kode daerah itu yang sekarang."


class AssessmentExists(Problem):
    """A region has one assessment a cycle."""

    status, code, title = 409, "assessment_exists", "The region has an assessment in this cycle already"


class ConflictOfInterest(Problem):
    """Nobody assesses their own region (Pedoman 3/2024, Bab IV); those of others compete with it."""

    status, code, title = 422, "conflict_of_interest", "An assessor may not come from a region"
    detail = "Choose an assessor of an institution, such as a university, and send its slug."
    detail_id = "Pilih asesor dari sebuah lembaga, misalnya universitas, dan kirim kode lembaganya."


class AssignedTwice(Problem):
    """One request names an assessor twice."""

    status, code, title = 422, "assigned_twice", "An assessor is named twice in this request"
    detail = "Send each assessor once."
    detail_id = "Kirim setiap asesor satu kali."


class AnsweredTwice(Problem):
    """One request answers an indicator twice."""

    status, code, title = 422, "answered_twice", "An indicator is answered twice in this request"
    detail = "Send each indicator once."
    detail_id = "Kirim setiap indikator satu kali."


async def publish_catalogue(store: Catalogue) -> None:
    """Publish every instrument, then every cycle; once each, however often the service starts."""
    at = now()
    for instrument in catalogue.instruments():
        await store.publish(instrument, _public_fact(events.INSTRUMENT_PUBLISHED, instrument, at=at))
    for cycle in catalogue.cycles():
        await store.publish(cycle, _public_fact(events.CYCLE_OPENED, cycle, at=at))


def _public_fact(event: EventType, body: InstrumentPublished | CycleOpened, *, at: datetime) -> OutgoingFact:
    return outgoing(event, body, key=body.aggregate, revision=1, time=at, visibility=Visibility.PUBLIC)


async def open_assessment(
    *,
    region: str,
    cycle: str,
    viewer: Viewer,
    request: Request,
    directory: Directory,
    assessments: Assessments,
    outcome: Callable[[Assessment], Document],
) -> Done:
    """Open a draft. Safe to repeat under one Idempotency-Key.

    Raises UnknownRegion, NotSelfGoverning, UnknownCycle, Forbidden, AssessmentExists, KeyReused.
    """
    known = directory.find(region)
    if known is None:
        raise UnknownRegion(field="region")
    opened = catalogue.cycle(cycle)
    if opened is None:
        raise UnknownCycle(field="cycle")
    if not viewer.may(*MAY_OPEN, at=region):
        raise Forbidden
    if not known.governs(day_of(now())):
        raise NotSelfGoverning(field="region")
    for code in sorted(viewer.formerly):  # begun before the region was renumbered: two would count twice
        with suppress(NotFound):
            raise _exists((await assessments.get(assessment_id(region=code, cycle=cycle), viewer=viewer)).id)
    draft = Assessment.opened(region=region, cycle=opened)
    try:
        return await assessments.open(draft, by=viewer.actor, outcome=outcome(draft), request=request)
    except AlreadyThere as error:
        raise _exists(draft.id) from error


def _exists(assessment: str) -> AssessmentExists:
    address = f"/assessment/v1/assessments/{assessment}"
    return AssessmentExists(
        f"It is at {address}; go on there.", f"Lanjutkan di {address}.", field="region", assessment=assessment
    )


async def answer(
    assessment_id: str,
    drafts: Mapping[int, tuple[Draft, Expected]],
    *,
    viewer: Viewer,
    assessments: Assessments,
) -> Assessment:
    """Answer one or many indicators: all or none. Each names the state of the answer that it changes, so that units
    that fill at once meet only where they answer the same indicator; that one is refused as stale.
    """
    at = now()

    def decide(current: Assessment) -> Decision:
        if not viewer.may(*MAY_ANSWER, at=current.region):
            raise Forbidden
        changed = current.answer(
            {number: draft for number, (draft, _) in drafts.items()},
            instrument=catalogue.instrument(current.instrument),
            by=viewer.actor,
            at=at,
        )
        for number, (_, expected) in drafts.items():
            expected.check(answer_tag(current, number))
        return Decision(changed)

    return assessments.read(await assessments.change(assessment_id, viewer=viewer, what="answered", decide=decide))


Allowed = Callable[[Viewer, Assessment], bool]


def _of_the_region(*roles: Role) -> Allowed:
    return lambda viewer, assessment: viewer.may(*roles, at=assessment.region)


def _of_the_review_team(viewer: Viewer, _assessment: Assessment) -> bool:
    return viewer.may(Role.REVIEWER, at=REVIEWING_MINISTRY)


def _is_assigned(viewer: Viewer, assessment: Assessment) -> bool:
    chosen = {assessor.id: assessor.organization for assessor in assessment.assessors}
    known = chosen.get(viewer.actor)
    return known is not None and viewer.may(Role.EXTERNAL_ASSESSOR, at=known)


def reviews(viewer: Viewer, assessment: Assessment) -> bool:
    """Whether the viewer is one of its assessors, or of the ministry's review team."""
    return _is_assigned(viewer, assessment) or _of_the_review_team(viewer, assessment)


def _may_return(viewer: Viewer, assessment: Assessment) -> bool:
    # What the review team has verified, an assessor does not undo.
    return _of_the_review_team(viewer, assessment) or (
        _is_assigned(viewer, assessment) and assessment.status is not Status.VERIFIED
    )


@dataclass(frozen=True, slots=True)
class Command:
    """Who asks for something about which assessment, seen in which state, under which Idempotency-Key."""

    assessment_id: str
    viewer: Viewer
    expected: Expected
    request: Request
    assessments: Assessments
    outcome: Callable[[Assessment], Document]

    async def run(
        self,
        what: str,
        allowed: Allowed,
        decide: Callable[[Assessment], Assessment],
        *,
        event: EventType | None = None,
    ) -> Done:
        """Decide and write once, with the fact `event` if it is one. Safe to repeat under the same key.

        Raises NotFound, Forbidden, Stale, KeyReused, and what `decide` raises.
        """

        def decided(current: Assessment) -> Decision:
            if not allowed(self.viewer, current):
                raise Forbidden
            self.expected.check(whole_tag(current))
            changed = decide(current)
            return Decision(changed, facts=[_fact(event, changed)] if event else [], outcome=self.outcome(changed))

        return await self.assessments.change(
            self.assessment_id, viewer=self.viewer, what=what, decide=decided, request=self.request
        )


# The region


async def sign_minutes(command: Command) -> Done:
    """The coordinator signs the minutes of the self-assessment."""
    return await command.run(
        "minutes signed",
        _of_the_region(Role.COORDINATOR),
        lambda current: current.sign_minutes(instrument=_instrument(current), by=command.viewer.actor, at=now()),
    )


async def submit(command: Command) -> Done:
    """Hand over to review."""
    return await command.run(
        "submitted",
        _of_the_region(Role.RESPONSIBLE),
        lambda current: current.submit(instrument=_instrument(current), cycle=_cycle(current), today=_today()),
        event=events.ASSESSMENT_SUBMITTED,
    )


async def reopen(command: Command) -> Done:
    """Take it back to correct it, until a reviewer takes it up."""
    return await command.run(
        "reopened",
        _of_the_region(Role.RESPONSIBLE),
        lambda current: current.reopen(cycle=_cycle(current), today=_today()),
        event=events.ASSESSMENT_REOPENED,
    )


async def consent(command: Command) -> Done:
    """The coordinator consents to publication."""
    return await command.run(
        "consent given",
        _of_the_region(Role.COORDINATOR),
        lambda current: current.consent_to_publication(by=command.viewer.actor, at=now()),
    )


# Reviewers


async def assign(command: Command, assessors: Sequence[Assessor], *, route: Route | None, directory: Directory) -> Done:
    """The ministry chooses the assessors. Raises ConflictOfInterest, AssignedTwice, too."""

    def decide(current: Assessment) -> Assessment:
        seen: set[str] = set()
        for position, assessor in enumerate(assessors):
            if directory.find(assessor.organization) is not None:
                raise ConflictOfInterest(field=f"assessors.{position}.organization")
            if assessor.id in seen:
                raise AssignedTwice(field=f"assessors.{position}.assessor")
            seen.add(assessor.id)
        return current.assign(assessors, route=route, cycle=_cycle(current))

    return await command.run("assigned", _of_the_review_team, decide, event=events.ASSESSMENT_ASSIGNED)


async def take_up(command: Command) -> Done:
    """An assigned assessor begins the review: no fact, since nothing that others may know has changed."""
    return await command.run("taken up", _is_assigned, Assessment.take_up)


async def find(
    assessment_id: str,
    stage: Stage,
    drafts: Mapping[int, tuple[Draft, Expected]],
    *,
    viewer: Viewer,
    assessments: Assessments,
) -> Assessment:
    """Give levels in a stage: all or none, each against the state of that very finding."""

    def decide(current: Assessment) -> Decision:
        if not _is_assigned(viewer, current):
            raise Forbidden
        changed = current.find(
            stage,
            {number: draft for number, (draft, _) in drafts.items()},
            instrument=_instrument(current),
            cycle=_cycle(current),
            by=viewer.actor,
            at=now(),
            today=_today(),
        )
        for number, (_, expected) in drafts.items():
            expected.check(finding_tag(current, stage, number))
        return Decision(changed)

    done = await assessments.change(assessment_id, viewer=viewer, what=f"{stage} found", decide=decide)
    return assessments.read(done)


async def close(command: Command, stage: Stage) -> Done:
    """End a stage."""
    return await command.run(
        f"{stage} closed",
        _is_assigned,
        lambda current: current.close(stage, cycle=_cycle(current), today=_today()),
        event=events.ASSESSMENT_REVIEWED,
    )


async def give_back(command: Command, reasons: Sequence[Reason]) -> Done:
    """Return it to the region."""
    return await command.run(
        "returned",
        _may_return,
        lambda current: current.give_back(reasons, instrument=_instrument(current)),
        event=events.ASSESSMENT_RETURNED,
    )


async def verify(command: Command, reports: Sequence[AspectReport]) -> Done:
    """The review team finds the result valid."""
    return await command.run(
        "verified",
        _of_the_review_team,
        lambda current: current.verify(reports, instrument=_instrument(current)),
        event=events.ASSESSMENT_VERIFIED,
    )


async def publish(command: Command) -> Done:
    """The ministry makes the result public; the region has consented before."""
    return await command.run("published", _of_the_review_team, Assessment.publish, event=events.ASSESSMENT_PUBLISHED)


# States that a client names


def whole_tag(assessment: Assessment) -> str:
    """The ETag of the whole: another after every write to it."""
    return etag(assessment.id, assessment.version)


def answer_tag(assessment: Assessment, number: int) -> str:
    """The ETag of one answer: another only after a change of that answer."""
    return etag(assessment.id, number, assessment.answer_version(number))


def finding_tag(assessment: Assessment, stage: Stage, number: int) -> str:
    """The ETag of one finding, likewise."""
    return etag(assessment.id, stage, number, assessment.finding_version(stage, number))


def _instrument(assessment: Assessment) -> InstrumentPublished:
    return catalogue.instrument(assessment.instrument)


def _cycle(assessment: Assessment) -> CycleOpened:
    opened = catalogue.cycle(assessment.cycle)
    if opened is None:
        raise KeyError(assessment.cycle)  # assessments are only ever opened in cycles that are there
    return opened


def _today() -> date:
    """By the capital's clock: a stage's dates are dates of the government's calendar."""
    return day_of(now())


def _fact(event: EventType, changed: Assessment) -> OutgoingFact:
    return outgoing(
        event,
        changed.state(),
        key=changed.region,
        revision=changed.revision,
        time=now(),
        visibility=Visibility.PUBLIC if changed.status is Status.PUBLISHED else Visibility.SUPERVISED,
        region=changed.region,
    )
