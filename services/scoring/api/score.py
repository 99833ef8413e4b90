"""Scores of a region and of an assessment. Every answer names its basis: the Lab's portrait, or an official result."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Request
from pydantic import BaseModel

from chassis.auth import AnyViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import links, routes
from chassis.problems import problems
from chassis.store import Document
from contracts.assessment import PredicateBasis, RegionCode, Status
from contracts.scoring import Basis, Incomplete, OfficialScore, Score
from services.scoring.api.parameters import Limit, Regions, ScoreStore
from services.scoring.usecases import read

router = routes("scoring")

ScoreId = Annotated[
    str,
    Path(
        max_length=80,
        description="An assessment's id, or that of an official result (spbe-2023:32.11:official).",
        examples=["spbe-2023:32.11"],
    ),
]
AnyScore = OfficialScore | Score | Incomplete


class ScoreOut(BaseModel):
    """The scores of one assessment at one revision, per basis; or one official result."""

    assessment: str
    region: str
    instrument: str
    cycle: str
    period: int
    predicate_basis: PredicateBasis
    status: Status
    revision: int
    rule: int
    as_of: datetime
    scores: dict[Basis, AnyScore]

    @classmethod
    def of(cls, document: Document) -> "ScoreOut":
        """From what is stored."""
        return cls.model_validate({**document, "as_of": document["time"]})


class ScoresOut(BaseModel):
    """Scores, the newest first."""

    items: list[ScoreOut]


@router.get(
    "/scores",
    responses=problems(401, 422, 429, 503)
    | NOT_MODIFIED
    | links(200, {"path.assessment_id": "$response.body#/items/0/assessment"}, "one_score", "score_history"),
)
async def region_scores(
    region: Annotated[RegionCode, Query(examples=["32.11"])],
    viewer: AnyViewer,
    scores: ScoreStore,
    directory: Regions,
    request: Request,
) -> ScoresOut:
    """The newest scores of a region in each cycle. Empty where there are none that you may see."""
    found = await read.of_region(region, scores=scores, directory=directory, viewer=viewer)
    return told(ScoresOut(items=[ScoreOut.of(d) for d in found]), request)


@router.get("/scores/{assessment_id}", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def one_score(assessment_id: ScoreId, viewer: AnyViewer, scores: ScoreStore, request: Request) -> ScoreOut:
    """The newest score of an assessment, such as spbe-2023:32.11, or an official result."""
    return told(ScoreOut.of(await scores.of(assessment_id, viewer=viewer)), request)


@router.get("/scores/{assessment_id}/history", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def score_history(
    assessment_id: ScoreId, viewer: AnyViewer, scores: ScoreStore, request: Request, limit: Limit = 50
) -> ScoresOut:
    """Every score of an assessment, one per revision, the newest first."""
    found = await scores.history(assessment_id, viewer=viewer, limit=limit)
    return told(ScoresOut(items=[ScoreOut.of(d) for d in found]), request)
