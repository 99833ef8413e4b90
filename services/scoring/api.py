"""How scores are asked for. Every answer names its basis: a self-assessment's portrait, never the official index."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from chassis.auth import AnyViewer
from chassis.conditional import etag, tagged
from chassis.problem import Problem
from chassis.problems import problems
from chassis.service import provided
from chassis.store import Document
from contracts.assessment import CycleId, PredicateBasis, RegionCode, Stage, Status
from contracts.regions import Directory, Kind
from contracts.scoring import Figure, Incomplete, Score
from services.scoring import usecases
from services.scoring.domain import figure
from services.scoring.store.instruments import Instruments
from services.scoring.store.scores import Place, Scores
from services.scoring.summary import Part

router = APIRouter(prefix="/scoring/v1", tags=["scoring"])

ScoreStore = Annotated[Scores, provided(Scores)]
InstrumentStore = Annotated[Instruments, provided(Instruments)]
Regions = Annotated[Directory, provided(Directory)]
Limit = Annotated[int, Query(ge=1, le=200, description="Rows a page.")]
PageCursor = Annotated[
    str | None, Query(alias="cursor", max_length=400, description="`next` of the page before; leave out for the first.")
]


_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_CURSOR = TypeAdapter(
    tuple[
        Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,10})?$")],
        Annotated[str, Field(max_length=80)],
        _Count,
        _Count,
    ],
    config=ConfigDict(strict=True),
)
"""The fields of Place, as JSON."""


class InvalidCursor(Problem):
    """A cursor that no page gave."""

    status, code, title = 400, "invalid_cursor", "This is not a cursor of ours"
    detail = "Leave `cursor` out to begin, then send `next` exactly as you received it."
    detail_id = "Kosongkan `cursor` untuk mulai, lalu kirim `next` persis seperti diterima."


class ScoreOut(BaseModel):
    """The scores of one assessment at one revision, per stage (basis). Computed by the Lab, not the official index."""

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
    scores: dict[Stage, Score | Incomplete]

    @classmethod
    def of(cls, document: Document) -> "ScoreOut":
        """From what is stored."""
        return cls.model_validate({**document, "as_of": document["time"]})


class ScoresOut(BaseModel):
    """Scores, the newest first."""

    items: list[ScoreOut]


class StandingOut(BaseModel):
    """A row of standings. `rank` is among the regions of this kind that you may see; equal indices share one."""

    rank: int
    region: str
    name: str | None
    assessment: str
    index: Figure
    predicate: str


class StandingsOut(BaseModel):
    """A page of standings on the basis `self`. `next` is null on the last page."""

    cycle: str
    kind: Kind
    basis: Literal["self"]
    items: list[StandingOut]
    next: str | None


class PartOut(BaseModel):
    """The regions of one kind in a scope. `mean` is of the exact indices, `median` of those shown."""

    count: int
    mean: Figure | None
    median: Figure | None
    predicates: dict[str, int]
    histogram: dict[str, int]

    @classmethod
    def of(cls, part: Part) -> "PartOut":
        """From what was merged."""
        return cls(
            count=part.count,
            mean=None if part.mean is None else figure(part.mean),
            median=None if part.median is None else figure(part.median),
            predicates=dict(part.predicates),
            histogram=dict(sorted(part.shown.items())),
        )


class AimOut(BaseModel):
    """What the nation set out to reach."""

    about: str
    kind: str | None
    predicate: str | None
    value: str
    due_year: int
    source: str


class SummaryOut(BaseModel):
    """A nation's, province's or group's summary on the basis `self`, a second or so behind: see `as_of`."""

    cycle: str
    scope: str
    basis: Literal["self"]
    as_of: datetime | None
    kinds: dict[Kind, PartOut]
    aims: list[AimOut]


@router.get("/scores", responses=problems(401, 422, 429, 503))
async def region_scores(
    region: RegionCode,
    viewer: AnyViewer,
    scores: ScoreStore,
    directory: Regions,
    request: Request,
    response: Response,
) -> ScoresOut:
    """The newest scores of a region, one per cycle. Empty where there are none that you may see."""
    found = await usecases.of_region(region, scores=scores, directory=directory, viewer=viewer)
    return _tagged(ScoresOut(items=[ScoreOut.of(d) for d in found]), request, response)


@router.get("/scores/{assessment_id}", responses=problems(401, 404, 429, 503))
async def one_score(
    assessment_id: str, viewer: AnyViewer, scores: ScoreStore, request: Request, response: Response
) -> ScoreOut:
    """The newest score of an assessment, such as spbe-2023:32.11."""
    return _tagged(ScoreOut.of(await scores.of(assessment_id, viewer=viewer)), request, response)


@router.get("/scores/{assessment_id}/history", responses=problems(401, 404, 422, 429, 503))
async def score_history(
    assessment_id: str,
    viewer: AnyViewer,
    scores: ScoreStore,
    request: Request,
    response: Response,
    limit: Limit = 50,
) -> ScoresOut:
    """Every score of an assessment, one per revision, the newest first."""
    found = await scores.history(assessment_id, viewer=viewer, limit=limit)
    return _tagged(ScoresOut(items=[ScoreOut.of(d) for d in found]), request, response)


@router.get("/standings", responses=problems(400, 401, 422, 429, 503))
async def standings(
    cycle: CycleId,
    kind: Kind,
    viewer: AnyViewer,
    scores: ScoreStore,
    instruments: InstrumentStore,
    directory: Regions,
    province: str | None = None,
    group: str | None = None,
    cursor: PageCursor = None,
    limit: Limit = 50,
) -> StandingsOut:
    """Regions of one kind by index, the highest first, as far as you may see them."""
    rows = await usecases.standings(
        scores=scores,
        instruments=instruments,
        directory=directory,
        viewer=viewer,
        cycle=cycle,
        kind=kind,
        province=province,
        group=group,
        after=_place(cursor),
        limit=limit + 1,
    )
    more, rows = len(rows) > limit, rows[:limit]
    items = [
        StandingOut(
            rank=row.rank,
            region=row.document["region"],
            name=region.name if (region := directory.find(row.document["region"])) else None,
            assessment=row.document["_id"],
            index=Figure.model_validate(row.document["scores"]["self"]["index"]),
            predicate=row.document["scores"]["self"]["predicate"],
        )
        for row in rows
    ]
    following = _cursor(rows[-1].place) if more else None
    return StandingsOut(cycle=cycle, kind=kind, basis="self", items=items, next=following)


@router.get("/summaries/{cycle}", responses=problems(401, 404, 422, 429, 503))
async def summary(
    cycle: CycleId,
    viewer: AnyViewer,
    scores: ScoreStore,
    instruments: InstrumentStore,
    directory: Regions,
    province: str | None = None,
    group: str | None = None,
) -> SummaryOut:
    """Mean, median, histogram and predicates per kind: of the nation, a `province` or a `group`."""
    opened = await usecases.opened(cycle, instruments=instruments)
    found = await usecases.summary(
        scores=scores, directory=directory, viewer=viewer, cycle=opened, province=province, group=group
    )
    return SummaryOut(
        cycle=cycle,
        scope=group or province or "nation",
        basis="self",
        as_of=found.as_of,
        kinds={Kind(kind): PartOut.of(part) for kind, part in sorted(found.parts.items())},
        aims=[AimOut.model_validate(aim.model_dump()) for aim in opened.aims or ()],
    )


def _tagged(out: BaseModel, request: Request, response: Response) -> Any:
    return tagged(etag(out.model_dump_json()), request, response) or out


def _cursor(place: Place) -> str:
    return urlsafe_b64encode(orjson.dumps([place.index, place.name, place.seen, place.rank])).decode()


def _place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        return Place(*_CURSOR.validate_json(urlsafe_b64decode(cursor)))
    except ValueError as error:
        raise InvalidCursor(field="cursor") from error
