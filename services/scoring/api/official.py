"""Official results, imported by KemenPANRB: as they were decreed, public at once, never computed."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from chassis import outbox
from chassis.auth import CurrentViewer
from chassis.body import CSV, media_type_of
from chassis.conditional import NOT_MODIFIED, IdempotencyKey, told
from chassis.openapi import links, routes
from chassis.problems import problems
from chassis.service import provided
from contracts.assessment import CycleId
from services.scoring.api.parameters import InstrumentStore, Regions
from services.scoring.domain.official import ROWS_MAX
from services.scoring.domain.table import Record
from services.scoring.store.official import Official
from services.scoring.usecases import official as usecases

IMPORTS = "/scoring/v1/official/imports"
router = routes("scoring")

OfficialStore = Annotated[Official, provided(Official)]
_RECORDS = TypeAdapter(Annotated[list[Record], Field(max_length=ROWS_MAX)])


class WarningOut(BaseModel):
    """What looks odd, and was taken over as it is."""

    field: str
    line: int | None = None
    column: int | None = None
    code: str
    message: str
    message_id: str


class ImportOut(BaseModel):
    """What an import comes to: of a dry run, or accepted and then carried to every region.

    That takes seconds, twenty more where a worker dies meanwhile.
    """

    id: str | None
    """Null for a dry run."""
    dry_run: bool
    rows: int
    new: int
    changed: int
    unchanged: int
    averages: int
    warnings: list[WarningOut]


class ImportStatusOut(BaseModel):
    """How far an import is."""

    id: str
    cycle: str
    decree: str
    decree_date: date
    by: str
    at: datetime
    status: Literal["accepted", "carried"]
    """`carried`: every region has its result, or that of an import that was accepted later."""


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A table whose first line names its columns (code, index; also year, name, kind, predicate, "
        "domain_1 …, aspect_1 …), or the records of the national API. A row with the code `nasional` is a published "
        "average.",
        "content": {
            CSV: {
                "schema": {"type": "string"},
                "example": "code,name,kind,domain_1,index,predicate\n"
                "32.11,Kabupaten Sumedang,kabupaten,5.00,4.14,Sangat Baik\n",
            },
            "application/json": {"schema": {"type": "array", "items": Record.model_json_schema()}},
        },
    }
}


@router.post(
    "/official/imports",
    status_code=202,
    responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503)
    | {200: {"model": ImportOut, "description": "The dry run found no fault"}}
    | links(202, {"path.import_id": "$response.body#/id"}, "import_status"),
    openapi_extra=_BODY,
)
async def import_official(
    cycle: Annotated[CycleId, Query(examples=["spbe-2023"])],
    decree: Annotated[
        str, Query(min_length=3, max_length=200, examples=["Keputusan Menteri PANRB Nomor 13 Tahun 2024"])
    ],
    decree_date: Annotated[date, BeforeValidator(date.fromisoformat), Query(examples=["2024-01-11"])],
    viewer: CurrentViewer,
    key: IdempotencyKey,
    official: OfficialStore,
    instruments: InstrumentStore,
    directory: Regions,
    request: Request,
    response: Response,
    dry_run: Annotated[bool, Query(description="Judge everything, write nothing.")] = False,
) -> ImportOut:
    """KemenPANRB's reviewers import decreed results. Any fault, and nothing is written; each is told with its place."""
    usecases.check_may_import(viewer)  # before anything is made of what somebody sent
    content = await request.body()
    asked = usecases.Asked(
        cycle=cycle,
        decree=decree,
        decree_date=decree_date,
        content=content if media_type_of(request.headers) == CSV else _records(content),
    )
    done = await usecases.import_results(
        asked,
        dry_run=dry_run,
        viewer=viewer,
        key=key,
        official=official,
        instruments=instruments,
        directory=directory,
    )
    if not isinstance(done, outbox.Done):
        response.status_code = 200
        return ImportOut.model_validate(done)
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"{IMPORTS}/{done.document['_id']}"
    return ImportOut.model_validate(done.outcome)


@router.get("/official/imports/{import_id}", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def import_status(
    import_id: Annotated[str, Path(max_length=36)], viewer: CurrentViewer, official: OfficialStore, request: Request
) -> ImportStatusOut:
    """Whether an import has reached every region. For KemenPANRB's reviewers."""
    found = await official.get(import_id, viewer=viewer)
    status = "carried" if found["carried"] else "accepted"
    return told(ImportStatusOut.model_validate({**found, "id": found["_id"], "status": status}), request)


def _records(content: bytes) -> list[Record]:
    try:
        return _RECORDS.validate_json(content or b"null")
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error
