"""Follow-ups: actions with a unit in charge and a day, and the steps of an adoption."""

from datetime import date, datetime
from typing import Annotated, Any, Self

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field, model_validator

from chassis.auth import AnyViewer, CurrentViewer
from chassis.conditional import NOT_MODIFIED, tagged, told
from chassis.openapi import links, routes
from chassis.problems import problems
from contracts.assessment import RegionCode
from contracts.commitment import (
    Adoption,
    Agreement,
    AgreementKind,
    FollowUpStatus,
    Funds,
    Id,
    IndicatorOf,
    Recommendation,
    Step,
    Taking,
)
from services.commitment.api.command import CREATION, REFUSALS, TAGGED, Command, Creation, tell
from services.commitment.api.parameters import (
    CommitmentIn,
    CommitmentStore,
    Cursor,
    Day,
    FollowUpStore,
    IdIn,
    In,
    Limit,
    RegionIn,
    Regions,
    ScoreStore,
)
from services.commitment.domain.adoption import RESTS_ON
from services.commitment.domain.followup import FollowUp, Judgement
from services.commitment.store.aggregates import Kept
from services.commitment.usecases import followup as usecases

router = routes("commitment")
THIS = {"path.followup_id": "$response.body#/followup"}
Text = Annotated[str, Field(min_length=3, max_length=300)]


class AdoptionIn(In):
    """Another region's programme, to be taken over."""

    kind: Taking
    source: RegionCode
    programme: Annotated[str, Field(min_length=2, max_length=200, examples=["e-Office"])]
    version: Annotated[str, Field(max_length=60)] | None = None
    raises: list[IndicatorOf] = Field(default=[], max_length=60)
    """Indicators that it is meant to raise."""

    def asked(self) -> Adoption:
        """Before its first step."""
        return Adoption(**self.model_dump(), agreements=(), steps={})


class PlanIn(In):
    """What will be done, by whom, until when."""

    title: Text
    unit: Annotated[str, Field(min_length=2, max_length=200, examples=["Dinas Komunikasi dan Informatika"])]
    funds: Funds | None = None
    due: Day


class FollowUpIn(PlanIn):
    """An action, under what it follows from."""

    region: RegionCode
    commitment: Id | None = None
    clause: Annotated[int, Field(ge=1, le=99)] | None = None
    recommendation: Recommendation | None = None
    indicator: IndicatorOf | None = None
    adoption: AdoptionIn | None = None

    @model_validator(mode="after")
    def _of_its_commitment(self) -> Self:
        if self.clause is not None and self.commitment is None:
            raise ValueError("a `clause` needs its `commitment`")
        return self

    def asked(self) -> usecases.Asked:
        """For the use case."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        fields["adoption"] = self.adoption and self.adoption.asked()
        return usecases.Asked(**fields)


class DoneIn(In):
    """When it was done."""

    done_on: Day


class ReasonIn(In):
    """Why it is not done any more."""

    reason: Text


class AgreementIn(In):
    """A document that was signed."""

    number: Annotated[str, Field(min_length=1, max_length=100)]
    signed_on: Day
    ends_on: Day | None = None


class StepIn(In):
    """A step of an adoption."""

    step: Step
    on: Day
    agreement: AgreementIn | None = None
    """Of `memorandum` (nota kesepakatan) and `agreement` (PKS)."""

    @model_validator(mode="after")
    def _rests_on_nothing_else(self) -> Self:
        if self.agreement and self.step not in RESTS_ON:
            raise ValueError("only `memorandum` and `agreement` are the signing of a document")
        return self

    def document(self) -> Agreement | None:
        """What was signed."""
        return Agreement(kind=RESTS_ON[self.step], **self.agreement.model_dump()) if self.agreement else None


class EvidenceOut(BaseModel):
    """Evidence. Title, link and note are empty for whoever may only see that there is some."""

    evidence: str
    title: str
    file: str | None
    media_type: str | None
    sha256: str | None
    bytes: int | None
    url: str | None
    judgement: Judgement
    note: str | None
    added_at: datetime
    judged_at: datetime | None


class AgreementOut(BaseModel):
    """A document that an adoption rests on."""

    kind: AgreementKind
    number: str
    signed_on: date
    ends_on: date | None


class FollowUpOut(BaseModel):
    """A follow-up, as far as this viewer may see it."""

    followup: str
    region: str
    commitment: str | None
    clause: int | None
    recommendation: Recommendation | None
    indicator: IndicatorOf | None
    title: str
    unit: str
    funds: Funds | None
    due: date
    status: FollowUpStatus
    done_on: date | None
    reason: str | None
    evidence: list[EvidenceOut]
    acted: bool
    """Done, with evidence that somebody else accepted."""
    overdue_since: date | None
    adoption: Adoption | None
    revision: int


class FollowUpsOut(BaseModel):
    """A page. `next` is null on the last one."""

    items: list[FollowUpOut]
    next: str | None


class EntryOut(BaseModel):
    """Something that was done with it."""

    revision: int
    what: str
    status: FollowUpStatus
    at: datetime


class HistoryOut(BaseModel):
    """All that was done with it, the first first."""

    items: list[EntryOut]


COMMANDS = ("plan_followup", "start_followup", "finish_followup", "cancel_followup", "add_evidence", "take_step")


@router.post(
    "/followups",
    status_code=201,
    responses=CREATION | links(201, {**THIS, **TAGGED}, *COMMANDS) | links(201, THIS, "one_followup"),
)
async def record_followup(
    asked: FollowUpIn,
    viewer: CurrentViewer,
    request: Creation,
    followups: FollowUpStore,
    commitments: CommitmentStore,
    scores: ScoreStore,
    directory: Regions,
    response: Response,
) -> FollowUpOut:
    """A region says what it will do, and by when."""
    done = await usecases.record(
        asked.asked(),
        viewer=viewer,
        request=request,
        followups=followups,
        commitments=commitments,
        scores=scores,
        directory=directory,
    )
    made = followups.read(tell(done, response), viewer=viewer)
    response.headers["Location"] = f"/commitment/v1/followups/{made.id}"
    return shown(made)


@router.get("/followups", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def list_followups(
    viewer: AnyViewer,
    followups: FollowUpStore,
    request: Request,
    region: RegionIn = None,
    commitment: CommitmentIn = None,
    source: Annotated[RegionCode | None, Query(description="Adoptions from this region.")] = None,
    status: Annotated[FollowUpStatus | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FollowUpsOut:
    """Those under a commitment are public; the others are seen by whoever sees the region's scores."""
    found = await followups.page(
        region=region,
        commitment=commitment,
        source=source,
        status=status,
        viewer=viewer,
        after=cursor,
        limit=limit + 1,
    )
    items = [shown(one) for one in found[:limit]]
    return told(FollowUpsOut(items=items, next=items[-1].followup if len(found) > limit else None), request)


@router.get(
    "/followups/{followup_id}",
    responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED | links(200, {**THIS, **TAGGED}, *COMMANDS),
)
async def one_followup(
    followup_id: IdIn,
    viewer: AnyViewer,
    followups: FollowUpStore,
    commitments: CommitmentStore,
    request: Request,
    response: Response,
) -> FollowUpOut:
    """One follow-up."""
    found = await usecases.read(followup_id, viewer=viewer, followups=followups, commitments=commitments)
    return tagged(found.tag, request, response) or shown(found)


@router.get("/followups/{followup_id}/history", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def followup_history(
    followup_id: IdIn, viewer: AnyViewer, followups: FollowUpStore, request: Request
) -> HistoryOut:
    """What was done with it, and when."""
    found = await followups.history(followup_id, viewer=viewer)
    return told(HistoryOut(items=[EntryOut.model_validate(entry) for entry in found]), request)


@router.post("/followups/{followup_id}/plan", responses=REFUSALS)
async def plan_followup(
    followup_id: IdIn, asked: PlanIn, command: Command, followups: FollowUpStore, response: Response
) -> FollowUpOut:
    """Change what will be done, by whom, until when."""
    plan = asked.model_dump()
    done = await usecases.work(
        followup_id, "planned", lambda one: one.planned(**plan), command=command, followups=followups
    )
    return shown(followups.read(tell(done, response), viewer=command.viewer))


@router.post("/followups/{followup_id}/start", responses=REFUSALS)
async def start_followup(
    followup_id: IdIn, command: Command, followups: FollowUpStore, response: Response
) -> FollowUpOut:
    """Work has begun; or begins again, where it was done."""
    done = await usecases.work(followup_id, "started", lambda one: one.started(), command=command, followups=followups)
    return shown(followups.read(tell(done, response), viewer=command.viewer))


@router.post("/followups/{followup_id}/completion", responses=REFUSALS)
async def finish_followup(
    followup_id: IdIn, asked: DoneIn, command: Command, followups: FollowUpStore, response: Response
) -> FollowUpOut:
    """It is done. It counts once evidence of it was accepted."""
    done = await usecases.report_done(followup_id, asked.done_on, command=command, followups=followups)
    return shown(followups.read(tell(done, response), viewer=command.viewer))


@router.post("/followups/{followup_id}/cancellation", responses=REFUSALS)
async def cancel_followup(
    followup_id: IdIn, asked: ReasonIn, command: Command, followups: FollowUpStore, response: Response
) -> FollowUpOut:
    """It will not be done, with the reason."""
    done = await usecases.work(
        followup_id, "cancelled", lambda one: one.cancelled(asked.reason), command=command, followups=followups
    )
    return shown(followups.read(tell(done, response), viewer=command.viewer))


@router.post("/followups/{followup_id}/steps", responses=REFUSALS)
async def take_step(
    followup_id: IdIn, asked: StepIn, command: Command, followups: FollowUpStore, response: Response
) -> FollowUpOut:
    """A step of an adoption took place; the last one, `reported`, ends it."""
    done = await usecases.take_step(
        followup_id, asked.step, asked.on, asked.document(), command=command, followups=followups
    )
    return shown(followups.read(tell(done, response), viewer=command.viewer))


def shown(kept: Kept[FollowUp]) -> FollowUpOut:
    """As it is answered."""
    followup = kept.state
    return FollowUpOut.model_validate(followup.model_dump(exclude={"province"}) | {"acted": followup.acted})
