"""What every command has in common: who asks, under which key, and which state they saw."""

from typing import Annotated, Any

from fastapi import Depends, Request, Response

from chassis import outbox
from chassis.auth import CurrentViewer
from chassis.conditional import IdempotencyKey, IfMatch, etag
from chassis.problems import problems
from services.commitment.usecases.command import Command as Change

CREATION = problems(400, 401, 403, 409, 413, 415, 422, 429, 503)
REFUSALS = problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503)
GIVEN = problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
"""Of what needs no If-Match: several do it at once, each for themselves."""
TAGGED = {"header.If-Match": "$response.header.ETag"}


async def _request(viewer: CurrentViewer, key: IdempotencyKey, request: Request) -> outbox.Request:
    asked = [request.method, request.url.path, (await request.body()).decode()]
    return outbox.Request.of(actor=viewer.actor, key=key, asked=asked)


Creation = Annotated[outbox.Request, Depends(_request)]
"""A POST that makes something new, with `Idempotency-Key`."""


async def _command(viewer: CurrentViewer, expected: IfMatch, request: Creation) -> Change:
    return Change(viewer, expected, request)


Command = Annotated[Change, Depends(_command)]
"""A POST that changes what is there, with `If-Match` (its `ETag`) and `Idempotency-Key`."""


def tell(done: outbox.Done, response: Response) -> dict[str, Any]:
    """The document after the write; its ETag, or that it is a repeat, goes into the headers."""
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"  # no ETag: others may have changed it since
    else:
        response.headers["ETag"] = etag(done.document["_id"], done.document["version"])  # as Kept.tag
    return done.document
