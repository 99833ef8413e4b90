"""Regions of one kind by index, on one basis."""

from datetime import date
from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel

from chassis.auth import AnyViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import links, routes
from chassis.problems import problems
from contracts.regions import Directory, Kind
from contracts.scoring import Basis, Figure
from services.scoring.api.parameters import (
    BasisIn,
    CycleIn,
    GroupIn,
    InstrumentStore,
    Limit,
    PageCursor,
    ProvinceIn,
    Regions,
    ScoreStore,
    cursor_of,
    place_of,
)
from services.scoring.usecases import read

router = routes("scoring")


class StandingOut(BaseModel):
    """A row of standings. `rank` is among the regions of this kind that you may see; equal indices share one."""

    rank: int
    region: str
    name: str | None
    assessment: str
    index: Figure
    predicate: str
    predicate_stated: bool | None
    decree: str | None
    decree_date: date | None
    """These three of an official result only."""


class StandingsOut(BaseModel):
    """A page of standings. `next` is null on the last page."""

    cycle: str
    kind: Kind
    basis: Basis
    items: list[StandingOut]
    next: str | None


@router.get(
    "/standings",
    responses=problems(400, 401, 422, 429, 503)
    | NOT_MODIFIED
    | links(200, {"path.assessment_id": "$response.body#/items/0/assessment"}, "one_score", "score_history"),
)
async def standings(
    cycle: CycleIn,
    kind: Annotated[Kind, Query(description="Ranks are inside one kind.", examples=["regency"])],
    viewer: AnyViewer,
    scores: ScoreStore,
    instruments: InstrumentStore,
    directory: Regions,
    request: Request,
    basis: BasisIn = Basis.SELF,
    province: ProvinceIn = None,
    group: GroupIn = None,
    cursor: PageCursor = None,
    limit: Limit = 50,
) -> StandingsOut:
    """Regions of one kind by index, the highest first, as far as you may see them."""
    rows = await read.standings(
        scores=scores,
        instruments=instruments,
        directory=directory,
        viewer=viewer,
        cycle=cycle,
        kind=kind,
        basis=basis,
        province=province,
        group=group,
        after=place_of(cursor),
        limit=limit + 1,
    )
    more, rows = len(rows) > limit, rows[:limit]
    items = [_row(row, basis, directory) for row in rows]
    following = cursor_of(rows[-1].place) if more else None
    return told(StandingsOut(cycle=cycle, kind=kind, basis=basis, items=items, next=following), request)


def _row(row: read.Ranked, basis: Basis, directory: Directory) -> StandingOut:
    code, score = row.document["region"], row.document["scores"][basis]
    return StandingOut(
        rank=row.rank,
        region=code,
        name=region.name if (region := directory.find(code)) else None,
        assessment=row.document["_id"],
        index=Figure.model_validate(score["index"]),
        predicate=score["predicate"],
        predicate_stated=score.get("predicate_stated"),
        decree=score.get("decree"),
        decree_date=score.get("decree_date"),
    )
