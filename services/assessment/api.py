"""How assessments are asked for and filled. Texts of instruments come from the data beside the code."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis import outbox
from chassis.auth import AnyViewer, CurrentViewer
from chassis.conditional import Expected, IdempotencyKey, IfMatch, PreconditionRequired, etag, not_modified
from chassis.problem import NotFound
from chassis.problems import problems
from chassis.service import provided
from chassis.viewer import Depth, Viewer, sees
from contracts.assessment import CycleOpened, InstrumentPublished, PredicateBasis, Status
from contracts.regions import Directory
from services.assessment import catalogue, usecases
from services.assessment.domain import TEXT_MAX_CHARS, Answer, Assessment, Draft, UnknownIndicator
from services.assessment.store import Assessments
from services.assessment.usecases import answer_tag, whole_tag

router = APIRouter(prefix="/assessment/v1", tags=["assessment"])

AssessmentStore = Annotated[Assessments, provided(Assessments)]
Regions = Annotated[Directory, provided(Directory)]
AssessmentId = Annotated[str, Path(max_length=80, examples=["spbe-2023:32.11"])]
ANSWERS_MAX = 100


def _level_text(given: object) -> object:
    """3, 3.5 and "3.5" alike; a float by its shortest text, which is what its writer meant."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return format(Decimal(str(given)), "f")
    return given


LevelIn = Annotated[
    str,
    BeforeValidator(_level_text, json_schema_input_type=int | float | str),
    Field(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,10})?$", max_length=24, examples=[3]),
]
Text = Annotated[str, Field(max_length=TEXT_MAX_CHARS)]


class In(BaseModel):
    """What clients send: an unknown field is a mistake to be told, not to be dropped."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class OpenIn(In):
    """Which region begins its assessment in which cycle."""

    region: str = Field(max_length=16, examples=["32.11"])
    cycle: str = Field(max_length=40, examples=["spbe-2023"])


class AnswerIn(In):
    """A level with what supports it."""

    level: LevelIn
    """On the instrument's scale; a decimal as text, so that it stays exact."""
    fakta: Text = ""
    analisis: Text = ""
    service_name: Annotated[str | None, Field(max_length=200)] = None
    """For an indicator about a service of the region's choice (spbe-2020: 45 to 47): which one."""

    def draft(self) -> Draft:
        """For the domain."""
        return Draft(self.level, self.fakta, self.analisis, self.service_name)


class NumberedAnswerIn(AnswerIn):
    """One of many answers. `etag` as the last read of this answer gave it."""

    number: int = Field(ge=1, le=999)
    etag: str | None = Field(None, max_length=64)


class AnswersIn(In):
    """Many answers at once: all are taken, or none."""

    answers: list[NumberedAnswerIn] = Field(min_length=1, max_length=ANSWERS_MAX)


class AnswerOut(BaseModel):
    """An answer. What was written in support is null for those who may see levels only, and where it is unanswered."""

    number: int
    etag: str
    level: str | None
    fakta: str | None = None
    analisis: str | None = None
    service_name: str | None = None
    by: str | None = None
    at: datetime | None = None


class Progress(BaseModel):
    """How far the region is."""

    answered: int
    of: int
    missing: list[int]
    aspects: dict[int, tuple[int, int]]
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


class WholeAssessmentOut(AssessmentOut):
    """An assessment with an entry for every indicator of its instrument."""

    answers: list[AnswerOut]


class AssessmentsOut(BaseModel):
    """A page. `next` is null on the last one."""

    items: list[AssessmentOut]
    next: str | None


class Receipt(BaseModel):
    """What a command came to."""

    assessment: str
    status: Status
    revision: int


@router.get("/instruments")
async def list_instruments(_viewer: AnyViewer) -> list[str]:
    """The ids of all instruments."""
    return [instrument.instrument for instrument in catalogue.instruments()]


@router.get("/instruments/{instrument_id}", responses=problems(404))
async def one_instrument(instrument_id: str, _viewer: AnyViewer, request: Request, response: Response) -> Any:
    """A questionnaire, whole: layers, weights, scale, bands, and the texts of its levels where they are known."""
    found: InstrumentPublished | None = next(
        (i for i in catalogue.instruments() if i.instrument == instrument_id), None
    )
    if found is None:
        raise NotFound(
            "GET /assessment/v1/instruments lists those there are.",
            "GET /assessment/v1/instruments memuat daftarnya.",
            field="instrument_id",
        )
    tag = response.headers["ETag"] = etag(found.instrument)  # immutable: its id is its state
    return not_modified(request, tag) or found


@router.get("/cycles")
async def list_cycles(_viewer: AnyViewer) -> list[CycleOpened]:
    """All cycles, from the earliest period on; what is unknown of one is null, with the reason."""
    return list(catalogue.cycles())


@router.post("/assessments", status_code=201, responses=problems(400, 401, 403, 409, 413, 415, 422, 429, 503))
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
        outcome=_receipt,
    )
    response.headers["Location"] = f"/assessment/v1/assessments/{done.document['_id']}"
    return _answered(done, response)


@router.get("/assessments", responses=problems(401, 422, 429, 503))
async def list_assessments(
    viewer: CurrentViewer,
    assessments: AssessmentStore,
    directory: Regions,
    region: Annotated[str | None, Query(max_length=16)] = None,
    period: int | None = None,
    status: Status | None = None,
    cursor: Annotated[str | None, Query(max_length=80, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AssessmentsOut:
    """What you may see, by id: drafts too, with their progress."""
    found = await assessments.list(
        viewer=viewer, region=region, period=period, status=status, after=cursor, limit=limit
    )
    items = [AssessmentOut.model_validate(_shown(a, directory)) for a in found]
    return AssessmentsOut(items=items, next=found[-1].id if len(found) == limit else None)


@router.get("/assessments/{assessment_id}", responses=problems(401, 404, 429, 503))
async def one_assessment(
    assessment_id: AssessmentId,
    viewer: CurrentViewer,
    assessments: AssessmentStore,
    directory: Regions,
    request: Request,
    response: Response,
) -> WholeAssessmentOut:
    """An assessment with all its answers. `ETag` is the whole's; each answer carries its own."""
    found = await assessments.get(assessment_id, viewer=viewer)
    unchanged = _tagged(whole_tag(found), request, response)
    return unchanged or WholeAssessmentOut.model_validate(
        {**_shown(found, directory), "answers": _shown_answers(found, viewer)}
    )


@router.get("/assessments/{assessment_id}/progress", responses=problems(401, 404, 429, 503))
async def assessment_progress(
    assessment_id: AssessmentId,
    viewer: CurrentViewer,
    assessments: AssessmentStore,
    request: Request,
    response: Response,
) -> Progress:
    """How many indicators are answered, per aspect, and which are missing."""
    found = await assessments.get(assessment_id, viewer=viewer)
    return _tagged(whole_tag(found), request, response) or _progress(found)


@router.get("/assessments/{assessment_id}/answers/{number}", responses=problems(401, 404, 429, 503))
async def one_answer(
    assessment_id: AssessmentId,
    number: int,
    viewer: CurrentViewer,
    assessments: AssessmentStore,
    request: Request,
    response: Response,
) -> AnswerOut:
    """One answer, also where there is none yet: its `ETag` is what the first answer is sent with."""
    found = await assessments.get(assessment_id, viewer=viewer)
    highest = len(catalogue.instrument(found.instrument).indicators)
    if not 1 <= number <= highest:
        raise UnknownIndicator(number, highest)
    return _tagged(answer_tag(found, number), request, response) or _shown_answer(found, number, viewer)


@router.put(
    "/assessments/{assessment_id}/answers/{number}",
    responses=problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503),
)
async def put_answer(
    assessment_id: AssessmentId,
    number: int,
    asked: AnswerIn,
    viewer: CurrentViewer,
    expected: IfMatch,
    assessments: AssessmentStore,
    response: Response,
) -> AnswerOut:
    """Answer one indicator. `If-Match` is that answer's own `ETag`: others may fill theirs meanwhile."""
    done = await usecases.answer(
        assessment_id, {number: (asked.draft(), expected)}, viewer=viewer, assessments=assessments, outcome=_receipt
    )
    after = assessments.read(done)
    response.headers["ETag"] = answer_tag(after, number)
    return _shown_answer(after, number, viewer)


@router.patch(
    "/assessments/{assessment_id}/answers",
    responses=problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503),
)
async def patch_answers(
    assessment_id: AssessmentId,
    asked: AnswersIn,
    viewer: CurrentViewer,
    assessments: AssessmentStore,
) -> list[AnswerOut]:
    """Answer many indicators: all or none. Each carries the `etag` of the answer it changes."""
    done = await usecases.answer(
        assessment_id, _drafts(asked), viewer=viewer, assessments=assessments, outcome=_receipt
    )
    after = assessments.read(done)
    return [_shown_answer(after, answer.number, viewer) for answer in asked.answers]


@router.post("/assessments/{assessment_id}/submission", responses=problems(400, 401, 403, 404, 409, 412, 428, 429, 503))
async def submit(
    assessment_id: AssessmentId,
    viewer: CurrentViewer,
    expected: IfMatch,
    key: IdempotencyKey,
    assessments: AssessmentStore,
    response: Response,
) -> Receipt:
    """Hand the assessment over to review. Refused (409 `incomplete`) with the list of unanswered indicators."""
    done = await usecases.submit(
        assessment_id,
        viewer=viewer,
        expected=expected,
        request=outbox.Request.of(actor=viewer.actor, key=key, asked=["submit", assessment_id]),
        assessments=assessments,
        outcome=_receipt,
    )
    return _answered(done, response)


@router.post("/assessments/{assessment_id}/reopening", responses=problems(400, 401, 403, 404, 409, 412, 428, 429, 503))
async def reopen(
    assessment_id: AssessmentId,
    viewer: CurrentViewer,
    expected: IfMatch,
    key: IdempotencyKey,
    assessments: AssessmentStore,
    response: Response,
) -> Receipt:
    """Take a submitted assessment back to correct it, until a reviewer takes it up."""
    done = await usecases.reopen(
        assessment_id,
        viewer=viewer,
        expected=expected,
        request=outbox.Request.of(actor=viewer.actor, key=key, asked=["reopen", assessment_id]),
        assessments=assessments,
        outcome=_receipt,
    )
    return _answered(done, response)


def _drafts(asked: AnswersIn) -> Mapping[int, tuple[Draft, Expected]]:
    drafts: dict[int, tuple[Draft, Expected]] = {}
    for position, answer in enumerate(asked.answers):
        if answer.etag is None:
            raise PreconditionRequired(f"answers.{position}.etag")
        if answer.number in drafts:
            raise usecases.AnsweredTwice(field=f"answers.{position}.number")
        drafts[answer.number] = (answer.draft(), Expected(frozenset({answer.etag})))
    return drafts


def _receipt(assessment: Assessment) -> dict[str, Any]:
    return {"assessment": assessment.id, "status": assessment.status.value, "revision": assessment.revision}


def _answered(done: outbox.Done, response: Response) -> Receipt:
    response.headers["ETag"] = etag(done.document["_id"], done.document["version"])
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return Receipt.model_validate(done.outcome)


def _tagged(tag: str, request: Request, response: Response) -> Any:
    response.headers.update({"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"})
    return not_modified(request, tag)


def _progress(assessment: Assessment) -> Progress:
    instrument = catalogue.instrument(assessment.instrument)
    aspects: dict[int, tuple[int, int]] = {}
    for indicator in instrument.indicators:
        answered, of = aspects.get(indicator.aspect, (0, 0))
        aspects[indicator.aspect] = (answered + (indicator.number in assessment.answers), of + 1)
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


def _shown_answers(assessment: Assessment, viewer: Viewer) -> list[AnswerOut]:
    numbers = range(1, len(catalogue.instrument(assessment.instrument).indicators) + 1)
    return [_shown_answer(assessment, number, viewer) for number in numbers]


def _shown_answer(assessment: Assessment, number: int, viewer: Viewer) -> AnswerOut:
    tag = answer_tag(assessment, number)
    answer: Answer | None = assessment.answers.get(number)
    if answer is None:
        return AnswerOut(number=number, etag=tag, level=None)
    if not sees(viewer.reach(Depth.ANSWERS), {"region": assessment.region}, public=None):
        return AnswerOut(number=number, etag=tag, level=answer.level)
    return AnswerOut(
        number=number,
        etag=tag,
        level=answer.level,
        fakta=answer.fakta,
        analisis=answer.analisis,
        service_name=answer.service_name,
        by=answer.by,
        at=answer.at,
    )
