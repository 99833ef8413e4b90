"""The OpenAPI document, where FastAPI alone would say less than is true."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_origin

import orjson
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from chassis.conditional import REQUIRED
from chassis.problem import Problem
from chassis.problems import FIELD_MAX_CHARS

DESCRIPTION = (
    "Reads without a token show what is public; with one (OIDC, `Authorization: Bearer …`) what its holder may see. "
    "Whatever they may not see is answered as if it did not exist (404). Errors are problems (RFC 9457) with a stable "
    "`code`, in English and Indonesian. A change names the state that it changes (`If-Match`), a POST itself "
    "(`Idempotency-Key`), so that a repeat does nothing twice. What is computed here is a region's own portrait, never "
    "the official index."
)
BEARER = "HTTPBearer"
LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def links(status: int, parameters: Mapping[str, str], *operations: str) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: what may be asked after this answer, with parameters out of it (OpenAPI links)."""
    return {status: {"links": {name: {"operationId": name, "parameters": parameters} for name in operations}}}


def operation_id(route: APIRoute) -> str:
    """The function's name: what a generated client calls the operation."""
    return route.name


class UnknownParameter(Problem):
    """A filter that is mistyped, and would be ignored: the answer would be about something else."""

    status, code, title = 422, "unknown_parameter", "There is no such parameter"


async def _known_parameters(request: Request) -> None:
    route: APIRoute = request.scope["route"]
    known = _KNOWN.get(route.endpoint)
    if known is None:
        known = _KNOWN[route.endpoint] = _parameters(route.dependant)
    for name in request.query_params:
        if name in known and not known[name] and len(request.query_params.getlist(name)) > 1:
            raise UnknownParameter(
                "It stands twice, and takes one value. Send it once.",
                "Parameter ini ada dua kali, padahal hanya satu nilai. Kirim sekali saja.",
                field=name,
            )
        if name not in known:
            allowed = ", ".join(sorted(known)) or "-"
            raise UnknownParameter(
                f"This operation takes: {allowed}. Correct the name, or leave it out.",
                f"Operasi ini menerima: {allowed}. Perbaiki namanya, atau hilangkan.",
                field=name[:FIELD_MAX_CHARS],
            )


def _parameters(dependant: Dependant) -> dict[str, bool]:
    found = {field.alias: get_origin(field.field_info.annotation) is list for field in dependant.query_params}
    for deeper in dependant.dependencies:
        found |= _parameters(deeper)
    return found


_KNOWN: dict[Callable[..., Any], dict[str, bool]] = {}
"""Operation → its query parameters, and whether each may be repeated; found at its first request."""


def routes(service: str, under: str = "") -> APIRouter:
    """A router for a noun of a service: its prefix, names for generated clients, and no unknown query parameters."""
    return APIRouter(
        prefix=f"/{service}/v1{under}",
        tags=[service],
        generate_unique_id_function=operation_id,
        dependencies=[Depends(_known_parameters)],
    )


def describe(app: FastAPI, examples: Path | None = None) -> None:
    """Have the application serve its document, made once and completed.

    examples: a JSON file, operation → `parameters`, `request`, `response` with its `status`, as they were answered.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, orjson.loads(examples.read_bytes()) if examples else {})
        return app.openapi_schema

    app.openapi = openapi


def _document(app: FastAPI, examples: Mapping[str, Any]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
        servers=[{"url": "/", "description": "Whatever address serves this document."}],
        license_info=LICENSE,
    )
    document.setdefault("components", {})["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer"}}
    for path in document["paths"].values():
        for operation in path.values():
            operation.setdefault("security", [{}, {BEARER: []}])  # without a token: what is public
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "header" and parameter["name"] in REQUIRED:
                    parameter["required"] = True
                    parameter["schema"] = dict(REQUIRED[parameter["name"]])
            if "304" in operation["responses"]:
                _describe_etag(operation)
            _give_example(operation, examples.get(operation["operationId"], {}))
    return document


def _describe_etag(operation: dict[str, Any]) -> None:
    asked = {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}  # what is no tag is as if unsent
    operation.setdefault("parameters", []).append(
        {**asked, "required": False, "description": "An `ETag` you have; unchanged, it is answered with 304."}
    )
    tag = {"description": "Of these very bytes, for you alone.", "schema": {"type": "string"}}
    operation["responses"]["200"]["headers"] = {"ETag": tag}


def _give_example(operation: dict[str, Any], example: Mapping[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in example.get("parameters", {}):
            parameter["example"] = example["parameters"][parameter["name"]]
    if "request" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
    if "response" in example:
        for content in operation["responses"][str(example["status"])]["content"].values():
            content["example"] = example["response"]
