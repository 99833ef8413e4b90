"""Pledges: targets by a date. What became of one follows from scores alone; nobody sets it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from fastapi import Request, Response
from pydantic import BaseModel, Field, model_validator

from chassis.auth import AnyViewer, CurrentViewer
from chassis.conditional import NOT_MODIFIED, tagged, told
from chassis.openapi import links, routes
from chassis.problems import problems
from contracts.assessment import InstrumentId, RegionCode
from contracts.commitment import Id, PledgeStatus, Reached, Target
from contracts.scoring import Figure
from services.commitment.api.command import CREATION, REFUSALS, TAGGED, Command, Creation, tell
from services.commitment.api.parameters import (
    CommitmentIn,
    CommitmentStore,
    Cursor,
    Day,
    IdIn,
    In,
    Limit,
    PledgeStore,
    RegionIn,
    Regions,
    ScoreStore,
)
from services.commitment.domain.pledge import Pledge
from services.commitment.store.aggregates import Kept
from services.commitment.usecases import pledge as usecases

router = routes("commitment")
THIS = {"path.pledge_id": "$response.body#/pledge"}


class PledgeIn(In):
    """A target: an index at least, or a predicate at least."""

    region: RegionCode
    instrument: InstrumentId
    index: Annotated[Decimal, Field(ge=0, le=100, max_digits=6, decimal_places=2, examples=["3.50"])] | None = None
    predicate: Annotated[str, Field(max_length=40, examples=["Baik"])] | None = None
    pledged_on: Day
    """Of the document that holds it, or today."""
    due: Day
    """Scores count until the end of this day in Jakarta."""
    commitment: Id | None = None
    clause: Annotated[int, Field(ge=1, le=99)] | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.index is None) == (self.predicate is None):
            raise ValueError("give `index` or `predicate`, one of the two")
        if self.clause is not None and self.commitment is None:
            raise ValueError("a `clause` needs its `commitment`")
        return self

    def asked(self) -> usecases.Asked:
        """For the use case."""
        index = None if self.index is None else Figure(value=f"{self.index.normalize():f}", shown=f"{self.index:.2f}")
        return usecases.Asked(**self.model_dump(exclude={"index"}), index=index)


class PledgeOut(BaseModel):
    """A pledge, as far as this viewer may see it."""

    pledge: str
    region: str
    commitment: str | None
    clause: int | None
    target: Target
    pledged_on: date
    due: date
    status: PledgeStatus
    counted: Reached | None
    """The newest verified or official score; once fulfilled, the one that fulfilled it."""
    declared: Reached | None
    """What the region says of itself until it is verified: it fulfils nothing."""
    made_at: datetime


class PledgesOut(BaseModel):
    """A page. `next` is null on the last one."""

    items: list[PledgeOut]
    next: str | None


@router.post(
    "/pledges",
    status_code=201,
    responses=CREATION | links(201, {**THIS, **TAGGED}, "withdraw_pledge") | links(201, THIS, "one_pledge"),
)
async def make_pledge(
    asked: PledgeIn,
    viewer: CurrentViewer,
    request: Creation,
    pledges: PledgeStore,
    commitments: CommitmentStore,
    scores: ScoreStore,
    directory: Regions,
    response: Response,
) -> PledgeOut:
    """Head or regional secretary pledge for their region."""
    done = await usecases.make(
        asked.asked(),
        viewer=viewer,
        request=request,
        pledges=pledges,
        commitments=commitments,
        scores=scores,
        directory=directory,
    )
    made = pledges.read(tell(done, response), viewer=viewer)
    response.headers["Location"] = f"/commitment/v1/pledges/{made.id}"
    return _shown(made)


@router.get("/pledges", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def list_pledges(
    viewer: AnyViewer,
    pledges: PledgeStore,
    request: Request,
    region: RegionIn = None,
    commitment: CommitmentIn = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PledgesOut:
    """Public; what follows from scores that are not public is shown to whoever may see these."""
    found = await pledges.page(region=region, commitment=commitment, viewer=viewer, after=cursor, limit=limit + 1)
    items = [_shown(one) for one in found[:limit]]
    return told(PledgesOut(items=items, next=items[-1].pledge if len(found) > limit else None), request)


@router.get(
    "/pledges/{pledge_id}",
    responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED | links(200, {**THIS, **TAGGED}, "withdraw_pledge"),
)
async def one_pledge(
    pledge_id: IdIn, viewer: AnyViewer, pledges: PledgeStore, request: Request, response: Response
) -> PledgeOut:
    """One pledge."""
    found = await pledges.get(pledge_id, viewer=viewer)
    return tagged(found.tag, request, response) or _shown(found)


@router.post("/pledges/{pledge_id}/withdrawal", responses=REFUSALS)
async def withdraw_pledge(pledge_id: IdIn, command: Command, pledges: PledgeStore, response: Response) -> PledgeOut:
    """Take an open pledge back."""
    done = await usecases.withdraw(pledge_id, command=command, pledges=pledges)
    return _shown(pledges.read(tell(done, response), viewer=command.viewer))


def _shown(kept: Kept[Pledge]) -> PledgeOut:
    pledge = kept.state
    fields: dict[str, Any] = pledge.model_dump(
        include={"pledge", "region", "commitment", "clause", "target", "pledged_on", "due", "made_at"}
    )
    return PledgeOut.model_validate(fields | pledge.full.model_dump())
