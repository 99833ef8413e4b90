"""What every command on an assessment has in common: its headers, and the receipt."""

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from chassis import outbox
from chassis.auth import CurrentViewer
from chassis.conditional import IdempotencyKey, IfMatch, etag
from chassis.openapi import links
from chassis.problems import problems
from contracts.assessment import Status
from services.assessment import usecases
from services.assessment.api.answer import AssessmentId, AssessmentStore
from services.assessment.domain.assessment import Assessment

REFUSALS = problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503)
TAGGED = {"header.If-Match": "$response.header.ETag"}


def leads_to(*commands: str) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: what may be done next with the `ETag` that came back."""
    return links(200, {"path.assessment_id": "$response.body#/assessment", **TAGGED}, *commands)


class Receipt(BaseModel):
    """What a command came to."""

    assessment: str
    status: Status
    revision: int


async def _command(
    assessment_id: AssessmentId,
    viewer: CurrentViewer,
    expected: IfMatch,
    key: IdempotencyKey,
    assessments: AssessmentStore,
    request: Request,
) -> usecases.Command:
    asked = [request.method, request.url.path, (await request.body()).decode()]
    return usecases.Command(
        assessment_id,
        viewer=viewer,
        expected=expected,
        request=outbox.Request.of(actor=viewer.actor, key=key, asked=asked),
        assessments=assessments,
        outcome=receipt,
    )


Command = Annotated[usecases.Command, Depends(_command)]
"""A POST on an assessment, with `If-Match` (the whole's `ETag`) and `Idempotency-Key`."""


def receipt(assessment: Assessment) -> dict[str, Any]:
    """What is remembered under the key, and answered to a repeat."""
    return {"assessment": assessment.id, "status": assessment.status.value, "revision": assessment.revision}


def answered(done: outbox.Done, response: Response) -> Receipt:
    """The receipt, with the ETag that the whole has now."""
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"  # no ETag: others may have changed it since
    else:
        response.headers["ETag"] = etag(done.document["_id"], done.document["version"])  # as whole_tag
    return Receipt.model_validate(done.outcome)
