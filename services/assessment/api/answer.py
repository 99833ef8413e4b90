"""Answers: one at a time or many, each with an ETag of its own, so that units fill at once."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import Path, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from chassis.auth import AnyViewer, CurrentViewer
from chassis.conditional import NOT_MODIFIED, Expected, IfMatch, PreconditionRequired, etag, tagged
from chassis.openapi import links, routes
from chassis.problems import problems
from chassis.service import provided
from chassis.viewer import Depth, Viewer, sees
from services.assessment import catalogue, usecases
from services.assessment.domain.answer import TEXT_MAX_CHARS, Answer, Draft, UnknownIndicator
from services.assessment.domain.assessment import Assessment
from services.assessment.store import Assessments
from services.assessment.usecases import answer_tag

router = routes("assessment")


def _as_written(given: object) -> object:
    """One address per answer: pydantic would take `01`, `+1` and `1.0` for 1 too."""
    return given if not isinstance(given, str) or re.fullmatch("0|[1-9][0-9]{0,8}", given, re.ASCII) else "not a number"


AssessmentStore = Annotated[Assessments, provided(Assessments)]
Number = Annotated[int, Path(description="The indicator's number."), BeforeValidator(_as_written)]
AssessmentId = Annotated[str, Path(max_length=80, examples=["spbe-2023:32.11"])]
ANSWERS_MAX = 100
THIS = {"path.assessment_id": "$request.path.assessment_id"}
"""In a link: of the very assessment that was asked for."""


def _level_text(given: object) -> object:
    """3, 3.5 and "3.5" alike; a float by its shortest text, which is what its writer meant."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return format(Decimal(str(given)), "f")
    return given


_Bounds = Field(ge=-999_999_999, le=999_999_999)
_LevelText = Annotated[str, Field(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,10})?$", max_length=24)]
LevelIn = Annotated[
    _LevelText,
    BeforeValidator(
        _level_text, json_schema_input_type=Annotated[int, _Bounds] | Annotated[float, _Bounds] | _LevelText
    ),
    Field(examples=[3]),
]
Text = Annotated[str, Field(max_length=TEXT_MAX_CHARS)]
EtagIn = Annotated[str | None, Field(max_length=64), WithJsonSchema({"type": "string", "maxLength": 64})]
"""Optional to pydantic, so that its absence is refused in our own words (428); a model says that it is required."""


class In(BaseModel):
    """What clients send: an unknown field is a mistake to be told, not to be dropped."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


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

    model_config = ConfigDict(json_schema_extra={"required": ["number", "etag", "level"]})

    number: int = Field(ge=1, le=999)
    etag: EtagIn = None


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


@router.get(
    "/assessments/{assessment_id}/answers/{number}",
    responses=problems(401, 404, 429, 503)
    | NOT_MODIFIED
    | links(
        200,
        {**THIS, "path.number": "$request.path.number", "header.If-Match": "$response.header.ETag"},
        "put_answer",
    ),
)
async def one_answer(
    assessment_id: AssessmentId,
    number: Number,
    viewer: AnyViewer,
    assessments: AssessmentStore,
    request: Request,
    response: Response,
) -> AnswerOut:
    """One answer, also where there is none yet: its `ETag` is what the first answer is sent with."""
    found = await assessments.get(assessment_id, viewer=viewer)
    highest = len(catalogue.instrument(found.instrument).indicators)
    if not 1 <= number <= highest:
        raise UnknownIndicator(number, highest)
    tag = tag_for(viewer, found, answer_tag(found, number))
    return tagged(tag, request, response) or shown_answer(found, number, viewer)


@router.put(
    "/assessments/{assessment_id}/answers/{number}",
    responses=problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503),
)
async def put_answer(
    assessment_id: AssessmentId,
    number: Number,
    asked: AnswerIn,
    viewer: CurrentViewer,
    expected: IfMatch,
    assessments: AssessmentStore,
    response: Response,
) -> AnswerOut:
    """Answer one indicator. `If-Match` is that answer's own `ETag`: others may fill theirs meanwhile."""
    after = await usecases.answer(
        assessment_id, {number: (asked.draft(), expected)}, viewer=viewer, assessments=assessments
    )
    response.headers["ETag"] = answer_tag(after, number)
    return shown_answer(after, number, viewer)


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
    after = await usecases.answer(assessment_id, _drafts(asked), viewer=viewer, assessments=assessments)
    return [shown_answer(after, answer.number, viewer) for answer in asked.answers]


def _drafts(asked: AnswersIn) -> Mapping[int, tuple[Draft, Expected]]:
    drafts: dict[int, tuple[Draft, Expected]] = {}
    for position, answer in enumerate(asked.answers):
        if answer.etag is None:
            raise PreconditionRequired(f"answers.{position}.etag")
        if answer.number in drafts:
            raise usecases.AnsweredTwice(field=f"answers.{position}.number")
        drafts[answer.number] = (
            replace(answer.draft(), place=f"answers.{position}."),
            Expected(frozenset({answer.etag})),
        )
    return drafts


def sees_texts(viewer: Viewer, assessment: Assessment) -> bool:
    """Whether the viewer sees what was written in support, not levels alone."""
    about = {"region": assessment.region, "assessors": [assessor.id for assessor in assessment.assessors]}
    return sees(viewer.reach(Depth.ANSWERS), about, public=None)


def tag_for(viewer: Viewer, assessment: Assessment, tag: str) -> str:
    """The ETag of what this viewer is shown: who may see more from now on has not seen it yet."""
    return tag if sees_texts(viewer, assessment) else etag(tag, "levels")


def shown_answer(assessment: Assessment, number: int, viewer: Viewer) -> AnswerOut:
    """One answer, as deep as the viewer sees."""
    tag = answer_tag(assessment, number)
    answer: Answer | None = assessment.answers.get(number)
    if answer is None:
        return AnswerOut(number=number, etag=tag, level=None)
    if not sees_texts(viewer, assessment):
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
