"""The OpenAPI document, where FastAPI alone would say less than is true."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

DESCRIPTION = (
    "Reads without a token show what is public; with one (OIDC, `Authorization: Bearer …`) what its holder may see. "
    "Whatever they may not see is answered as if it did not exist (404). Errors are problems (RFC 9457) with a stable "
    "`code`, in English and Indonesian. A change names the state that it changes (`If-Match`), a POST itself "
    "(`Idempotency-Key`), so that a repeat does nothing twice. What is computed here is a region's own portrait, never "
    "the official index."
)
BEARER = "HTTPBearer"
LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
ALWAYS_NEEDED = frozenset({"If-Match", "Idempotency-Key"})
"""Optional to FastAPI, so that we may refuse their absence in our own words (428, 400)."""


def operation_id(route: APIRoute) -> str:
    """The function's name: what a generated client calls the operation."""
    return route.name


def describe(app: FastAPI) -> None:
    """Have the application serve its document, made once and completed."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi


def _document(app: FastAPI) -> dict[str, Any]:
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
                if parameter["in"] == "header" and parameter["name"] in ALWAYS_NEEDED:
                    parameter["required"] = True
                    parameter["schema"] = {"type": "string"}
    return document
