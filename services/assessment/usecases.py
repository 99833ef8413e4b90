"""What happens, in which order."""

from collections.abc import Callable, Mapping
from datetime import datetime

from chassis.clock import now
from chassis.conditional import Expected, etag
from chassis.outbox import AlreadyThere, Done, Request
from chassis.problem import Forbidden, Problem
from chassis.records import OutgoingFact, outgoing
from chassis.references import UnknownCycle, UnknownRegion
from chassis.store import Document
from chassis.viewer import Viewer
from contracts import events
from contracts.assessment import CycleOpened, InstrumentPublished
from contracts.events import EventType
from contracts.fact import Visibility
from contracts.regions import Directory
from contracts.roles import Role
from services.assessment import catalogue
from services.assessment.domain import Assessment, Draft
from services.assessment.store import Assessments, Catalogue, Decision

MAY_ANSWER = (Role.OPERATOR, Role.INTERNAL_ASSESSOR, Role.DATA_ENTRY, Role.RESPONSIBLE)
MAY_OPEN = (Role.DATA_ENTRY, Role.RESPONSIBLE)
MAY_SEND = (Role.RESPONSIBLE,)


class NotSelfGoverning(Problem):
    """Jakarta's six parts have no government of their own to assess."""

    status, code, title = 422, "not_self_governing", "This region has no government of its own"
    detail = "Open the assessment for the province that governs it."
    detail_id = "Buka penilaian untuk provinsi yang memerintahnya."


class AssessmentExists(Problem):
    """A region has one assessment a cycle."""

    status, code, title = 409, "assessment_exists", "The region has an assessment in this cycle already"


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
    if not viewer.may(*MAY_OPEN, region=region):
        raise Forbidden
    if not known.self_governing:
        raise NotSelfGoverning(field="region")
    draft = Assessment.opened(region=region, cycle=opened)
    try:
        return await assessments.open(draft, by=viewer.actor, outcome=outcome(draft), request=request)
    except AlreadyThere as error:
        address = f"/assessment/v1/assessments/{draft.id}"
        raise AssessmentExists(
            f"It is at {address}; go on there.", f"Lanjutkan di {address}.", field="region", assessment=draft.id
        ) from error


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
        _must(viewer, current, *MAY_ANSWER)
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


async def submit(
    assessment_id: str,
    *,
    viewer: Viewer,
    expected: Expected,
    request: Request,
    assessments: Assessments,
    outcome: Callable[[Assessment], Document],
) -> Done:
    """Hand over to review. Safe to repeat under one Idempotency-Key; a change since `expected` is refused as stale."""

    def decide(current: Assessment) -> Decision:
        _must(viewer, current, *MAY_SEND)
        expected.check(whole_tag(current))
        submitted = current.submit(instrument=catalogue.instrument(current.instrument))
        return _with_fact(events.ASSESSMENT_SUBMITTED, submitted, outcome)

    return await assessments.change(assessment_id, viewer=viewer, what="submitted", decide=decide, request=request)


async def reopen(
    assessment_id: str,
    *,
    viewer: Viewer,
    expected: Expected,
    request: Request,
    assessments: Assessments,
    outcome: Callable[[Assessment], Document],
) -> Done:
    """Take it back to correct it, until a reviewer takes it up. Repeats and rivals as for `submit`."""

    def decide(current: Assessment) -> Decision:
        _must(viewer, current, *MAY_SEND)
        expected.check(whole_tag(current))
        return _with_fact(events.ASSESSMENT_REOPENED, current.reopen(), outcome)

    return await assessments.change(assessment_id, viewer=viewer, what="reopened", decide=decide, request=request)


def whole_tag(assessment: Assessment) -> str:
    """The ETag of the whole: another after every write to it."""
    return etag(assessment.id, assessment.version)


def answer_tag(assessment: Assessment, number: int) -> str:
    """The ETag of one answer: another only after a change of that answer."""
    return etag(assessment.id, number, assessment.answer_version(number))


def _must(viewer: Viewer, assessment: Assessment, *roles: Role) -> None:
    if not viewer.may(*roles, region=assessment.region):
        raise Forbidden


def _with_fact(event: EventType, changed: Assessment, outcome: Callable[[Assessment], Document]) -> Decision:
    fact = outgoing(
        event,
        changed.state(),
        key=changed.region,
        revision=changed.revision,
        time=now(),
        visibility=Visibility.SUPERVISED,
        region=changed.region,
    )
    return Decision(changed, facts=[fact], outcome=outcome(changed))
