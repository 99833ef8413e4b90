"""Study visits: who came to whom, when and why."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from chassis.auth import AnyViewer, CurrentViewer
from chassis.body import CSV
from chassis.conditional import NOT_MODIFIED, IdempotencyKey, tagged, told
from chassis.openapi import links, routes
from chassis.problems import problems
from contracts.commitment import Origin, VisitStatus
from contracts.organizations import OrganizationId
from services.commitment.api.command import CREATION, REFUSALS, TAGGED, Command, Creation, tell
from services.commitment.api.parameters import Cursor, Day, IdIn, In, Limit, OrganizationIn, Regions, VisitStore
from services.commitment.domain.organization import name_of
from services.commitment.domain.visit import MET_MAX, Asked, Visit
from services.commitment.store.aggregates import Kept
from services.commitment.usecases import visit as usecases

IMPORTS = "/commitment/v1/visit-imports"
router = routes("commitment")
Met = Annotated[
    list[Annotated[str, Field(min_length=2, max_length=100)]],
    Field(max_length=MET_MAX, examples=[["Kepala Diskominfo"]]),
]
Subject = Annotated[str, Field(min_length=3, max_length=300, examples=["Penerapan SPBE dan e-Office"])]


class CorrectionIn(In):
    """What may be put right."""

    visited_on: Day
    subject: Subject
    met: Met = Field(default=[])
    """Who was met: shown to those who were there, and to who supervises them."""


class VisitIn(CorrectionIn):
    """A visit as it took place."""

    organization: OrganizationId
    """Who came."""
    host: OrganizationId


class VisitOut(BaseModel):
    """A study visit."""

    visit: str
    organization: str
    organization_name: str
    region: str | None
    host: str
    host_name: str
    visited_on: date
    subject: str
    met: list[str]
    """Empty for whoever may not see persons."""
    status: VisitStatus
    origin: Origin
    revision: int


class VisitsOut(BaseModel):
    """A page. `next` is null on the last one."""

    items: list[VisitOut]
    next: str | None


class ImportOut(BaseModel):
    """A table that was accepted: its rows are recorded within seconds."""

    id: str
    rows: int


class ImportStatusOut(BaseModel):
    """How far an import is."""

    id: str
    at: datetime
    status: Literal["accepted", "carried"]


THIS = {"path.visit_id": "$response.body#/visit"}
_TABLE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A table whose first line names its columns: organization (pengunjung), host (tuan_rumah), "
        "visited_on (tanggal, as 2022-11-21), subject (perihal), and, if wanted, met (ditemui), names separated by |.",
        "content": {
            CSV: {
                "schema": {"type": "string"},
                "example": "organization,host,visited_on,subject\n32.05,32.11,2022-03-15,Penerapan SPBE\n",
            }
        },
    }
}


@router.post("/visits", status_code=201, responses=CREATION | links(201, {**THIS, **TAGGED}, "correct_visit"))
async def record_visit(
    asked: VisitIn,
    viewer: CurrentViewer,
    request: Creation,
    visits: VisitStore,
    directory: Regions,
    response: Response,
) -> VisitOut:
    """Visitor or host record a visit; so does Kemendagri. The same visit is recorded once."""
    fields = asked.model_dump(exclude={"met"})
    done = await usecases.record(
        Asked(**fields, met=tuple(asked.met)), viewer=viewer, request=request, visits=visits, directory=directory
    )
    made = visits.read(tell(done, response))
    response.headers["Location"] = f"/commitment/v1/visits/{made.id}"
    return _shown(made, directory)


@router.get("/visits", responses=problems(401, 422, 429, 503) | NOT_MODIFIED)
async def list_visits(
    viewer: AnyViewer,
    visits: VisitStore,
    directory: Regions,
    request: Request,
    organization: OrganizationIn = None,
    host: OrganizationIn = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> VisitsOut:
    """Public, but for who was met."""
    found = await visits.page(organization=organization, host=host, viewer=viewer, after=cursor, limit=limit + 1)
    items = [_shown(one, directory) for one in found[:limit]]
    return told(VisitsOut(items=items, next=items[-1].visit if len(found) > limit else None), request)


@router.post(
    "/visit-imports",
    status_code=202,
    responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503)
    | links(202, {"path.import_id": "$response.body#/id"}, "visit_import"),
    openapi_extra=_TABLE,
)
async def import_visits(
    viewer: CurrentViewer,
    key: IdempotencyKey,
    visits: VisitStore,
    directory: Regions,
    request: Request,
    response: Response,
) -> ImportOut:
    """A host's table of its visitors, or Kemendagri's. Any fault, and nothing is written; each is told with its place.

    What is recorded already stays as it is.
    """
    done = await usecases.import_visits(
        await request.body(), viewer=viewer, key=key, visits=visits, directory=directory
    )
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"{IMPORTS}/{done.outcome['id']}"
    return ImportOut.model_validate(done.outcome)


@router.get("/visit-imports/{import_id}", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def visit_import(import_id: IdIn, viewer: CurrentViewer, visits: VisitStore, request: Request) -> ImportStatusOut:
    """Whether all of a table is recorded. For whoever sent it."""
    found = await visits.imported(import_id, viewer=viewer)
    status = "carried" if found["carried"] else "accepted"
    return told(ImportStatusOut(id=found["_id"], at=found["at"], status=status), request)


@router.get(
    "/visits/{visit_id}",
    responses=problems(401, 404, 422, 429, 503)
    | NOT_MODIFIED
    | links(200, {**THIS, **TAGGED}, "correct_visit", "withdraw_visit"),
)
async def one_visit(
    visit_id: IdIn, viewer: AnyViewer, visits: VisitStore, directory: Regions, request: Request, response: Response
) -> VisitOut:
    """One visit."""
    found = await visits.get(visit_id, viewer=viewer)
    return tagged(found.tag, request, response) or _shown(found, directory)


@router.post("/visits/{visit_id}/correction", responses=REFUSALS)
async def correct_visit(
    visit_id: IdIn, asked: CorrectionIn, command: Command, visits: VisitStore, directory: Regions, response: Response
) -> VisitOut:
    """Put day, subject or persons right."""
    done = await usecases.correct(
        visit_id,
        visited_on=asked.visited_on,
        subject=asked.subject,
        met=tuple(asked.met),
        command=command,
        visits=visits,
    )
    return _shown(visits.read(tell(done, response)), directory)


@router.post("/visits/{visit_id}/withdrawal", responses=REFUSALS)
async def withdraw_visit(
    visit_id: IdIn, command: Command, visits: VisitStore, directory: Regions, response: Response
) -> VisitOut:
    """It was recorded by mistake."""
    done = await usecases.withdraw(visit_id, command=command, visits=visits)
    return _shown(visits.read(tell(done, response)), directory)


def _shown(kept: Kept[Visit], directory: Regions) -> VisitOut:
    visit = kept.state
    names = {
        "organization_name": name_of(visit.organization, directory),
        "host_name": name_of(visit.host, directory),
    }
    return VisitOut.model_validate(visit.model_dump(exclude={"by"}) | names)
