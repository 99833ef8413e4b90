"""How problems reach the client: RFC 9457 bodies for every error, also those of the framework."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from chassis.problem import Forbidden, NotFound, Problem, Unavailable

__all__ = ["Forbidden", "NotFound", "Problem", "ProblemBody", "Unavailable", "install", "problems", "respond"]

MEDIA_TYPE = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ERRORS_MAX = 50  # a small hostile body must not buy a large answer
FIELD_MAX_CHARS = 200  # field names may be the client's own words


class FieldError(BaseModel):
    """One input at fault."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Where: names and positions from the outside in, joined by dots."""
    line: int | None = None
    """In a table; the heading is line 1."""
    column: int | None = None
    """In a table, from 1."""
    code: str
    """Stable, for programs."""
    message: str
    message_id: str


class ProblemBody(BaseModel):
    """RFC 9457. Programs read `code`; people read `detail`, or `detail_id` in Indonesian. More members may follow."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")

    type: str = Field(examples=["/problems/stale"])
    title: str
    status: int
    code: str = Field(examples=["stale"])
    """Stable, for programs."""
    detail: str
    detail_id: str
    instance: str | None = None
    """The path that was asked for."""
    field: str | None = None
    """The one input at fault, if it is one."""
    errors: list[FieldError] | None = None
    """Every input at fault, at most 50."""
    trace_id: str | None = None
    """Quote it when you report the problem."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of an operation or router: these statuses answer with a problem."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        }
        for status in statuses
    }


def respond(problem: Problem, scope: Scope) -> Response:
    """The response for a problem. For ASGI middlewares, which stand outside the exception handlers."""
    body: dict[str, object] = {
        **problem.members,
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "detail_id": problem.detail_id,
        "instance": scope["path"],
        "field": problem.field,
        "errors": list(problem.errors) or None,
        "trace_id": _trace_id(scope),
    }
    # ASCII on purpose: a lone surrogate out of a path or a key can then never break the answer that complains of it.
    content = json.dumps({name: value for name, value in body.items() if value is not None}, default=to_jsonable_python)
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(content, status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem, and describe problems in its OpenAPI document."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers["Allow"] = _allowed(app, request.scope["path"])
        return respond(problem, request.scope)

    for kind in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
    _describe(app)


def problem_of(error: Exception) -> Problem:
    """What to tell the client of any error. Of an unexpected one nothing: the log has it, under the same trace id."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return InvalidRequest(errors=_field_errors(error.errors()))
        case HTTPException():
            return _of_status(error)
        case _:
            return Problem()


class InvalidRequest(Problem):
    """The request does not have the form that the operation asks for."""

    status, code, title = 422, "invalid_request", "The request does not have the right form"
    detail = "Correct what `errors` lists and send it again. The form is described in /<service>/v1/openapi.json."
    detail_id = "Perbaiki yang disebut di `errors`, lalu kirim lagi. Bentuknya: lihat /<layanan>/v1/openapi.json."


MESSAGES_ID: Mapping[str, str] = {
    "missing": "Wajib diisi.",
    "extra_forbidden": "Tidak dikenal; hapus.",
    "string_type": "Harus berupa teks.",
    "string_too_short": "Terlalu pendek.",
    "string_too_long": "Terlalu panjang.",
    "string_pattern_mismatch": "Bentuknya tidak sesuai.",
    "int_type": "Harus berupa bilangan bulat.",
    "int_parsing": "Harus berupa bilangan bulat.",
    "int_from_float": "Harus berupa bilangan bulat.",
    "bool_type": "Harus true atau false.",
    "enum": "Bukan salah satu pilihan yang ada.",
    "literal_error": "Bukan salah satu pilihan yang ada.",
    "dict_type": "Harus berupa objek.",
    "model_attributes_type": "Harus berupa objek.",
    "list_type": "Harus berupa daftar.",
    "greater_than_equal": "Terlalu kecil.",
    "less_than_equal": "Terlalu besar.",
}
"""By Pydantic's error type, which is also the stable code that programs read."""


def _field_errors(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "field": ".".join(map(str, error["loc"][1:] or error["loc"]))[:FIELD_MAX_CHARS],
            "code": error["type"],
            # The one message of Pydantic's that repeats what the client sent.
            "message": "The tag is unknown." if error["type"] == "union_tag_invalid" else error["msg"],
            "message_id": MESSAGES_ID.get(error["type"], "Nilainya tidak sah; lihat `message`."),
        }
        for error in errors[:ERRORS_MAX]
    ]


TEXTS: Mapping[int, tuple[str, str]] = {
    404: (
        "No operation has this address. /<service>/v1/openapi.json lists them all.",
        "Tidak ada operasi di alamat ini. Semuanya terdaftar di /<layanan>/v1/openapi.json.",
    ),
    405: (
        "This address does not know the method. `Allow` names those it knows.",
        "Alamat ini tidak mengenal metode tersebut. `Allow` menyebut yang dikenal.",
    ),
}
FALLBACK_ID = "Permintaan ini tidak dapat dipenuhi; lihat `detail`."


def _of_status(error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    detail, detail_id = TEXTS.get(status, (f"{error.detail.rstrip('.')}.", FALLBACK_ID))
    problem = Problem(detail, detail_id, headers=error.headers)
    problem.status, problem.code, problem.title = status.value, status.name.lower(), status.phrase
    return problem


def _allowed(app: FastAPI, path: str) -> str:
    """Every method of the address: Starlette names only those of the first route that has it."""

    def knows(method: str) -> bool:
        scope = {"type": "http", "path": path, "root_path": "", "method": method, "headers": []}
        return any(route.matches(scope)[0] is Match.FULL for route in app.routes)

    return ", ".join(filter(knows, METHODS))


def _trace_id(scope: Scope) -> str | None:
    """Of the current span, else what telemetry left in the state: the outermost handler runs after the span ended."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else scope.get("state", {}).get("trace_id")


def _describe(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()  # kept by FastAPI until a route is added
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "ProblemBody" not in schemas:
            body = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(body.pop("$defs"), ProblemBody=body)
            # FastAPI describes its own 422 body, which no operation ever sends.
            for theirs in ("HTTPValidationError", "ValidationError"):
                schemas.pop(theirs, None)
            for operation in (o for path in document.get("paths", {}).values() for o in path.values()):
                if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                    operation["responses"]["422"] = problems(422)[422]
        return document

    app.openapi = openapi
