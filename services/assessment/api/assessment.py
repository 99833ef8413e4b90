"""Assessments: opened, read, submitted, reopened."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from chassis import outbox
from chassis.auth import AnyViewer, CurrentViewer
from chassis.conditional import NOT_MODIFIED, IdempotencyKey, tagged
from chassis.openapi import links, routes
from chassis.problems import problems
from chassis.service import provided
from chassis.viewer import Viewer
from contracts.assessment import Period, PredicateBasis, Stage, Status
from contracts.regions import Directory
from services.assessment import catalogue, usecases
from services.assessment.api.answer import (
    THIS,
    AnswerOut,
    AssessmentId,
    AssessmentStore,
    In,
    sees_texts,
    shown_answer,
    tag_for,
)
from services.assessment.api.command import REFUSALS, TAGGED, Command, Receipt, answered, leads_to, receipt
from services.assessment.domain.assessment import Assessment, Route
from services.assessment.usecases import whole_tag

router = routes("assessment")

Regions = Annotated[Directory, provided(Directory)]


class OpenIn(In):
    """Which region begins its assessment in which cycle."""

    region: str = Field(max_length=16, examples=["32.11"])
    cycle: str = Field(max_length=40, examples=["spbe-2023"])


class Progress(BaseModel):
    """How far the region is."""

    answered: int
    of: int
    missing: list[int]
    aspects: dict[int, Annotated[list[int], Field(min_length=2, max_length=2)]]
    """Aspect → answered, of."""


class AssessmentOut(BaseModel):
    """An assessment without its answers."""

    assessment: str
    region: str
    region_name: str | None
    instrument: str
    cycle: str
    period: int
    predicate_basis: PredicateBasis
    status: Status
    revision: int
    progress: Progress


class ActOut(BaseModel):
    """That somebody signed. `by` is an opaque id."""

    by: str
    at: datetime


class ReasonOut(BaseModel):
    """Why it was returned: about one indicator, or the whole (null)."""

    indicator: int | None
    text: str


class RecommendationOut(BaseModel):
    """A *rekomendasi*; the number names it for good."""

    number: int
    text: str


class ReportOut(BaseModel):
    """What reviewers found under an aspect."""

    aspect: int
    strengths: str
    weaknesses: str
    recommendations: list[RecommendationOut]


class WholeAssessmentOut(AssessmentOut):
    """An assessment with an entry for every indicator of its instrument.

    `reasons` and `reports` are empty for those who may see levels only.
    """

    closed: list[Stage]
    """The stages of review that are over."""
    assessors: list[str]
    route: Route | None
    minutes: ActOut | None
    consent: ActOut | None
    reasons: list[ReasonOut]
    reports: list[ReportOut]
    answers: list[AnswerOut]


class AssessmentsOut(BaseModel):
    """A page. `next` is null on the last one."""

    items: list[AssessmentOut]
    next: str | None


@router.post(
    "/assessments",
    status_code=201,
    responses=problems(400, 401, 403, 409, 413, 415, 422, 429, 503)
    | links(201, {"path.assessment_id": "$response.body#/assessment"}, "one_assessment", "assessment_progress"),
)
async def open_assessment(
    asked: OpenIn,
    viewer: CurrentViewer,
    key: IdempotencyKey,
    assessments: AssessmentStore,
    directory: Regions,
    response: Response,
) -> Receipt:
    """Open the region's assessment in a cycle, as a draft. One per region and cycle."""
    done = await usecases.open_assessment(
        region=asked.region,
        cycle=asked.cycle,
        viewer=viewer,
        request=outbox.Request.of(actor=viewer.actor, key=key, asked=["open", asked.region, asked.cycle]),
        directory=directory,
        assessments=assessments,
        outcome=receipt,
    )
    response.headers["Location"] = f"/assessment/v1/assessments/{done.document['_id']}"
    return answered(done, response)


@router.get(
    "/assessments",
    responses=problems(401, 422, 429, 503)
    | links(200, {"path.assessment_id": "$response.body#/items/0/assessment"}, "one_assessment", "assessment_progress"),
)
async def list_assessments(
    viewer: AnyViewer,
    assessments: AssessmentStore,
    directory: Regions,
    region: Annotated[str | None, Query(max_length=16)] = None,
    period: Period | None = None,
    status: Status | None = None,
    cursor: Annotated[str | None, Query(max_length=80, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AssessmentsOut:
    """What you may see, by id: drafts too, with their progress."""
    found = await assessments.list(
        viewer=viewer, region=region, period=period, status=status, after=cursor, limit=limit + 1
    )
    more, found = len(found) > limit, found[:limit]
    items = [AssessmentOut.model_validate(_shown(a, directory)) for a in found]
    return AssessmentsOut(items=items, next=found[-1].id if more else None)


@router.get(
    "/assessments/{assessment_id}",
    responses=problems(401, 404, 429, 503)
    | NOT_MODIFIED
    | links(200, {**THIS, "path.number": "$response.body#/answers/0/number"}, "one_answer"),
)
async def one_assessment(
    assessment_id: AssessmentId,
    viewer: AnyViewer,
    assessments: AssessmentStore,
    directory: Regions,
    request: Request,
    response: Response,
) -> WholeAssessmentOut:
    """An assessment with all its answers. `ETag` is the whole's; each answer carries its own."""
    found = await assessments.get(assessment_id, viewer=viewer)
    unchanged = tagged(tag_for(viewer, found, whole_tag(found)), request, response)
    return unchanged or WholeAssessmentOut.model_validate(_shown_whole(found, viewer, directory))


@router.get(
    "/assessments/{assessment_id}/progress",
    responses=problems(401, 404, 429, 503)
    | NOT_MODIFIED
    | links(
        200, {**THIS, **TAGGED}, "sign_minutes", "submit", "reopen", "consent", "assign", "take_up", "close", "publish"
    ),
)
async def assessment_progress(
    assessment_id: AssessmentId,
    viewer: AnyViewer,
    assessments: AssessmentStore,
    request: Request,
    response: Response,
) -> Progress:
    """How many indicators are answered, per aspect, and which are missing."""
    found = await assessments.get(assessment_id, viewer=viewer)
    return tagged(whole_tag(found), request, response) or _progress(found)


@router.post("/assessments/{assessment_id}/minutes", responses=REFUSALS | leads_to("submit"))
async def sign_minutes(command: Command, response: Response) -> Receipt:
    """The coordinator (Sekda) signs the *Berita Acara Penilaian Mandiri*. A later change of an answer voids it."""
    return answered(await usecases.sign_minutes(command), response)


@router.post("/assessments/{assessment_id}/submission", responses=REFUSALS | leads_to("reopen", "assign"))
async def submit(command: Command, response: Response) -> Receipt:
    """Hand the assessment over to review. Refused (409) while an answer or the signed minutes are missing."""
    return answered(await usecases.submit(command), response)


@router.post("/assessments/{assessment_id}/reopening", responses=REFUSALS | leads_to("sign_minutes"))
async def reopen(command: Command, response: Response) -> Receipt:
    """Take a submitted assessment back to correct it, until a reviewer takes it up."""
    return answered(await usecases.reopen(command), response)


@router.post("/assessments/{assessment_id}/consent", responses=REFUSALS | leads_to("publish"))
async def consent(command: Command, response: Response) -> Receipt:
    """The coordinator (Sekda) gives the *Pernyataan Persetujuan Publikasi*, once the result is verified."""
    return answered(await usecases.consent(command), response)


def _progress(assessment: Assessment) -> Progress:
    instrument = catalogue.instrument(assessment.instrument)
    aspects: dict[int, list[int]] = {}
    for indicator in instrument.indicators:
        answered, of = aspects.get(indicator.aspect, (0, 0))
        aspects[indicator.aspect] = [answered + (indicator.number in assessment.answers), of + 1]
    return Progress(
        answered=len(assessment.answers),
        of=len(instrument.indicators),
        missing=assessment.missing(instrument),
        aspects=aspects,
    )


def _shown(assessment: Assessment, directory: Directory) -> dict[str, Any]:
    region = directory.find(assessment.region)
    return {
        "assessment": assessment.id,
        "region": assessment.region,
        "region_name": region.name if region else None,
        "instrument": assessment.instrument,
        "cycle": assessment.cycle,
        "period": assessment.period,
        "predicate_basis": assessment.predicate_basis,
        "status": assessment.status,
        "revision": assessment.revision,
        "progress": _progress(assessment),
    }


def _shown_whole(assessment: Assessment, viewer: Viewer, directory: Directory) -> dict[str, Any]:
    texts = sees_texts(viewer, assessment)
    return {
        **_shown(assessment, directory),
        "closed": assessment.closed,
        "assessors": [assessor.id for assessor in assessment.assessors],
        "route": assessment.route,
        "minutes": assessment.minutes and asdict(assessment.minutes),
        "consent": assessment.consent and asdict(assessment.consent),
        "reasons": [asdict(reason) for reason in assessment.reasons if texts],
        "reports": [asdict(report) for report in assessment.reports if texts],
        "answers": _shown_answers(assessment, viewer),
    }


def _shown_answers(assessment: Assessment, viewer: Viewer) -> list[AnswerOut]:
    numbers = range(1, len(catalogue.instrument(assessment.instrument).indicators) + 1)
    return [shown_answer(assessment, number, viewer) for number in numbers]
