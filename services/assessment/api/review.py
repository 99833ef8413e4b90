"""The review: assessors are assigned, find levels stage by stage, return or verify; the ministry publishes."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chassis.auth import AnyViewer, CurrentViewer
from chassis.conditional import NOT_MODIFIED, Expected, PreconditionRequired, tagged
from chassis.openapi import routes
from chassis.problem import NotFound
from chassis.problems import problems
from chassis.service import provided
from chassis.viewer import Viewer
from contracts.assessment import Stage
from contracts.regions import Directory
from services.assessment import catalogue, usecases
from services.assessment.api.answer import (
    ANSWERS_MAX,
    AssessmentId,
    AssessmentStore,
    EtagIn,
    In,
    LevelIn,
    Text,
    sees_texts,
    tag_for,
)
from services.assessment.api.command import REFUSALS, Command, Receipt, answered, leads_to
from services.assessment.domain.answer import Draft
from services.assessment.domain.assessment import Assessment, Route
from services.assessment.domain.review import AspectReport, Assessor, Reason, Recommendation
from services.assessment.usecases import finding_tag, whole_tag

router = routes("assessment", "/assessments/{assessment_id}")

Regions = Annotated[Directory, provided(Directory)]
ReviewStage = Annotated[Literal["document", "interview", "site_visit"], Path(description="A stage of review.")]
STAGE = "/stages/{stage}"
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000, pattern=r"\S")]


class AssessorIn(In):
    """An external assessor, by opaque id (the `sub` of their tokens)."""

    assessor: str = Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")
    organization: str = Field(max_length=64, examples=["universitas-x"])


class AssignmentIn(In):
    """Who reviews it, in place of who did before."""

    assessors: list[AssessorIn] = Field(min_length=1, max_length=10)
    route: Route | None = None
    """One of the cycle's, where it has some: `pemantauan` ends with the documents."""


class FindingIn(In):
    """An assessor's own level for one indicator. `etag` as the last read of the stage gave it."""

    model_config = ConfigDict(json_schema_extra={"required": ["number", "etag", "level"]})

    number: int = Field(ge=1, le=999)
    etag: EtagIn = None
    level: LevelIn
    fakta: Text = ""
    analisis: Text = ""
    justifikasi: Text = ""

    def draft(self, position: int) -> Draft:
        """For the domain."""
        return Draft(self.level, self.fakta, self.analisis, justifikasi=self.justifikasi, place=f"findings.{position}.")


class FindingsIn(In):
    """Many findings at once: all are taken, or none."""

    findings: list[FindingIn] = Field(min_length=1, max_length=ANSWERS_MAX)


class ReasonIn(In):
    """Why it goes back."""

    indicator: int | None = Field(None, ge=1, le=999)
    text: Said


class ReturnIn(In):
    """Why it goes back: at least one reason."""

    reasons: list[ReasonIn] = Field(min_length=1, max_length=ANSWERS_MAX)


class AspectReportIn(In):
    """What was found under one aspect. Recommendations are numbered over all aspects, in the order of this list."""

    aspect: int = Field(ge=1, le=999)
    strengths: Text = ""
    weaknesses: Text = ""
    recommendations: list[Said] = Field([], max_length=20)


class VerificationIn(In):
    """What was found: each aspect of the instrument once."""

    aspects: list[AspectReportIn] = Field(max_length=50)

    def reports(self) -> list[AspectReport]:
        """For the domain, numbered."""
        reports: list[AspectReport] = []
        number = 0
        for found in self.aspects:
            numbered = tuple(Recommendation(number + n, text) for n, text in enumerate(found.recommendations, start=1))
            number += len(numbered)
            reports.append(AspectReport(found.aspect, found.strengths, found.weaknesses, numbered))
        return reports


class FindingOut(BaseModel):
    """An indicator in a stage. `inherited`: the stage did not take it up, the level is that of the stage before.

    What was written in support is null where there is none, and for those who may see levels only.
    """

    number: int
    etag: str
    level: str
    inherited: bool
    fakta: str | None = None
    analisis: str | None = None
    justifikasi: str | None = None
    by: str | None = None
    at: datetime | None = None


class StageOut(BaseModel):
    """A stage of review, with an entry per indicator."""

    stage: Stage
    closed: bool
    findings: list[FindingOut]


@router.post("/assignment", responses=REFUSALS | leads_to("take_up"))
async def assign(asked: AssignmentIn, command: Command, directory: Regions, response: Response) -> Receipt:
    """The ministry's review team chooses the assessors, of institutions: a region's own people never assess."""
    chosen = [Assessor(one.assessor, one.organization) for one in asked.assessors]
    return answered(await usecases.assign(command, chosen, route=asked.route, directory=directory), response)


@router.post("/review", responses=REFUSALS | leads_to("close", "give_back"))
async def take_up(command: Command, response: Response) -> Receipt:
    """An assigned assessor begins the review: from now on the region cannot reopen the assessment."""
    return answered(await usecases.take_up(command), response)


@router.get(STAGE, responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def one_stage(
    assessment_id: AssessmentId,
    stage: ReviewStage,
    viewer: AnyViewer,
    assessments: AssessmentStore,
    request: Request,
    response: Response,
) -> StageOut:
    """A stage's findings. Until it is closed only those who review see it."""
    found, wanted = await assessments.get(assessment_id, viewer=viewer), Stage(stage)
    if not (wanted in found.closed or usecases.reviews(viewer, found)):
        raise NotFound
    return tagged(tag_for(viewer, found, whole_tag(found)), request, response) or StageOut(
        stage=wanted, closed=wanted in found.closed, findings=_shown_findings(found, wanted, viewer)
    )


@router.patch(f"{STAGE}/findings", responses=problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503))
async def patch_findings(
    assessment_id: AssessmentId,
    stage: ReviewStage,
    asked: FindingsIn,
    viewer: CurrentViewer,
    assessments: AssessmentStore,
) -> StageOut:
    """Give levels in a stage: all or none. Each carries the `etag` of the finding that it changes."""
    drafts: dict[int, tuple[Draft, Expected]] = {}
    for position, finding in enumerate(asked.findings):
        if finding.etag is None:
            raise PreconditionRequired(f"findings.{position}.etag")
        if finding.number in drafts:
            raise usecases.AnsweredTwice(field=f"findings.{position}.number")
        drafts[finding.number] = (finding.draft(position), Expected(frozenset({finding.etag})))
    of = Stage(stage)
    after = await usecases.find(assessment_id, of, drafts, viewer=viewer, assessments=assessments)
    return StageOut(stage=of, closed=False, findings=_shown_findings(after, of, viewer, only=drafts.keys()))


@router.post(f"{STAGE}/closing", responses=REFUSALS | leads_to("give_back", "verify"))
async def close(stage: ReviewStage, command: Command, response: Response) -> Receipt:
    """End a stage. What it did not take up has the level of the stage before."""
    return answered(await usecases.close(command, Stage(stage)), response)


@router.post("/return", responses=REFUSALS | leads_to("sign_minutes"))
async def give_back(asked: ReturnIn, command: Command, response: Response) -> Receipt:
    """Return it to the region, with reasons. It is corrected and submitted again; stages are then closed again."""
    reasons = [Reason(one.text, one.indicator) for one in asked.reasons]
    return answered(await usecases.give_back(command, reasons), response)


@router.post("/verification", responses=REFUSALS | leads_to("consent"))
async def verify(asked: VerificationIn, command: Command, response: Response) -> Receipt:
    """The ministry's review team finds the result valid, and reports strengths, weaknesses and recommendations."""
    return answered(await usecases.verify(command, asked.reports()), response)


@router.post("/publication", responses=REFUSALS)
async def publish(command: Command, response: Response) -> Receipt:
    """The ministry makes levels and scores of all stages public. Refused (409) without the region's consent."""
    return answered(await usecases.publish(command), response)


def _shown_findings(
    assessment: Assessment, stage: Stage, viewer: Viewer, *, only: Collection[int] | None = None
) -> list[FindingOut]:
    texts = sees_texts(viewer, assessment)
    own = assessment.findings.get(stage, {})
    levels = assessment.levels(stage)
    numbers = [i.number for i in catalogue.instrument(assessment.instrument).indicators if i.number in levels]
    shown: list[FindingOut] = []
    for number in numbers:
        if only is not None and number not in only:
            continue
        out = FindingOut(
            number=number,
            etag=finding_tag(assessment, stage, number),
            level=levels[number],
            inherited=number not in own,
        )
        if texts and (found := own.get(number)):
            out = out.model_copy(
                update={
                    "fakta": found.fakta,
                    "analisis": found.analisis,
                    "justifikasi": found.justifikasi,
                    "by": found.by,
                    "at": found.at,
                }
            )
        shown.append(out)
    return shown
