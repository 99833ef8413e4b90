"""Loaded by schemathesis: who asks, and what lets a request past the state that the examples were made in."""

import json
import os
from typing import Any
from uuid import uuid4

import requests
import schemathesis

TOKENS: dict[str, str] = json.loads(os.environ["SCHEMA_TOKENS"])
"""Operation → the Authorization header it is asked with; `*`: all others."""
TIMEOUT_S = 20
TAGGED = {
    "/assessment/": "/assessment/v1/assessments/{assessment_id}/progress",
    "/commitment/v1/commitments/": "/commitment/v1/commitments/{commitment_id}",
    "/commitment/v1/followups/": "/commitment/v1/followups/{followup_id}",
    "/commitment/v1/pledges/": "/commitment/v1/pledges/{pledge_id}",
    "/commitment/v1/visits/": "/commitment/v1/visits/{visit_id}",
    "/notify/": "/notify/v1/subscriptions/{subscription_id}",
}
"""Where the `ETag` is that commands name."""
Case = schemathesis.Case[Any]


@schemathesis.auth()
class Somebody:
    """Asks with a token, as far as there is one."""

    def get(self, case: Case, context: schemathesis.AuthContext) -> str | None:
        return TOKENS.get(case.operation.definition.raw["operationId"], TOKENS.get("*"))

    def set(self, case: Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = data


@schemathesis.serializer("application/pdf", "image/jpeg", "image/png")
def file_of(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Any text as a file: its content is none of the schema's business."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """In a request that is as it should be: a new `Idempotency-Key`, and as `If-Match` the `ETag` of now.

    Else nearly all commands end at 412, or at 422 for a key that another request had. One of several tags stays.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid4())
    if "If-Match" in case.headers and "," not in case.headers["If-Match"]:
        case.headers["If-Match"] = _tag_of(case) or case.headers["If-Match"]


def _tag_of(case: Case) -> str | None:
    """As a portal gets it: by reading what is to be changed."""
    path = next((path for under, path in TAGGED.items() if case.path.startswith(under)), case.path)
    path = case.path if case.method == "PUT" else path
    asked = f"{(case.operation.base_url or '').rstrip('/')}{path.format(**case.path_parameters)}"
    sent = {name: value for name, value in case.headers.items() if name == "Authorization"}
    return requests.get(asked, headers=sent, timeout=TIMEOUT_S).headers.get("ETag")
