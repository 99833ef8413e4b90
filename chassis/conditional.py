"""Conditional and repeatable requests: ETag, If-Match, If-None-Match, Idempotency-Key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from chassis.problem import Problem

AS_MODELS_ARE = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
TAGS_MAX_CHARS = 1_024
_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'  # RFC 9110, section 8.8.3
TAG = re.compile(_TAG)
TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
KEY = re.compile(r"[\x21-\x7e]{1,255}")
REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "If-Match": {"type": "string", "maxLength": TAGS_MAX_CHARS, "pattern": f"^{TAGS.pattern}$"},
    "Idempotency-Key": {"type": "string", "pattern": f"^{KEY.pattern}$"},
}
"""Header → the schema of what is accepted. Optional to FastAPI, so that we refuse their absence in our own words."""


class PreconditionRequired(Problem):
    """A change without If-Match could overwrite what the client never saw."""

    status, code, title = 428, "precondition_required", "Say which state you are changing"
    detail = "GET it first, then send the `ETag` you received as `If-Match`."
    detail_id = "GET dahulu, lalu kirim `ETag` yang diterima sebagai `If-Match`."

    def __init__(self, field: str = "If-Match") -> None:
        if field == "If-Match":
            super().__init__(field=field)
        else:  # one of many, each with its own
            super().__init__(
                "GET them first, then send the `etag` that each had with its change.",
                "GET dahulu, lalu kirim `etag` masing-masing bersama perubahannya.",
                field=field,
            )


class PreconditionMalformed(Problem):
    """If-Match holds no usable tag."""

    status, code, title = 400, "precondition_malformed", "`If-Match` cannot be understood"
    detail = (
        "Send the `ETag` exactly as you received it, with its quotes. `*` is not accepted: it would overwrite blindly."
    )
    detail_id = (
        "Kirim `ETag` persis seperti diterima, dengan tanda kutip. `*` tidak diterima: dapat menimpa tanpa melihat."
    )

    def __init__(self) -> None:
        super().__init__(field="If-Match")


class Stale(Problem):
    """What the client saw is not what is there now. The store raises it too, when a rival won the write."""

    status, code, title = 412, "stale", "Somebody changed it since you read it"
    detail = "GET it again, look at what changed, and send your change with the new `ETag`."
    detail_id = "GET lagi, lihat yang berubah, lalu kirim perubahan Anda dengan `ETag` yang baru."


class IdempotencyKeyRequired(Problem):
    """Without a key, a repeat after a lost answer could act twice."""

    status, code, title = 400, "idempotency_key_required", "Name this request, so that a repeat does nothing twice"
    detail = "Send `Idempotency-Key` with a new UUID, and the same one again whenever you repeat this very request."
    detail_id = "Kirim `Idempotency-Key` berisi UUID baru, dan UUID yang sama bila permintaan ini diulang."

    def __init__(self) -> None:
        super().__init__(field="Idempotency-Key")


class IdempotencyKeyMalformed(IdempotencyKeyRequired):
    """The key is empty, too long, or not visible ASCII."""

    code, title = "idempotency_key_malformed", "`Idempotency-Key` cannot be understood"
    detail = "It is 1 to 255 visible ASCII characters without spaces. A UUID will do."
    detail_id = "Isinya 1 sampai 255 karakter ASCII tanpa spasi. UUID sudah cukup."


NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Unchanged since the answer whose `ETag` came as `If-None-Match`; without a body"}
}
"""For `responses=` of a read that has an ETag; `chassis.openapi` then describes both headers."""


def etag(*parts: object) -> str:
    """A strong ETag for whatever identifies this very state: id and version.

    Hashed, so that it reads as the opaque thing that it is to clients.
    """
    return f'"{blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class Expected:
    """The states that the client will accept as the one it changes."""

    tags: frozenset[str]

    def check(self, current: str) -> None:
        """Raises Stale unless `current`, an etag(), is among them."""
        if current not in self.tags:
            raise Stale


async def _if_match(
    if_match: Annotated[str | None, Header(alias="If-Match", description="The `ETag` of the state you change.")] = None,
) -> Expected:
    if if_match is None:
        raise PreconditionRequired
    if len(if_match) > TAGS_MAX_CHARS or not TAGS.fullmatch(if_match.strip()):
        raise PreconditionMalformed
    # Weak tags stay in and match nothing: If-Match compares strongly (RFC 9110, 13.1.1), so they are simply stale.
    return Expected(frozenset(TAG.findall(if_match)))


IfMatch = Annotated[Expected, Depends(_if_match)]
"""For changes: 428 without If-Match, 400 when it is malformed or `*`."""


def not_modified(request: Request, current: str) -> Response | None:
    """For reads, after the viewer was found to see it: the 304 to return if the client has it already, else None."""
    sent = request.headers.get("if-none-match", "")
    if len(sent) > TAGS_MAX_CHARS:
        return None
    known = {tag.removeprefix("W/") for tag in TAG.findall(sent)}
    if sent.strip() != "*" and current not in known:
        return None
    return Response(status_code=304, headers={"ETag": current})


def tagged(current: str, request: Request, response: Response) -> Any:
    """Give a read its ETag, for this viewer's eyes only; the 304 to return if the client has it already, else None.

    Any: FastAPI takes a Response in place of what the operation says it returns.
    """
    own = {"ETag": current, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    response.headers.update(own)
    unchanged = not_modified(request, current)
    if unchanged:
        unchanged.headers.update(own)
    return unchanged


def told(out: BaseModel | dict[str, Any], request: Request) -> Any:
    """The answer to a read, as the bytes that its ETag is made of; 304 if the client has them already.

    A dict where what is shown was validated when it was kept, and doing it again would cost as much as all the rest.

    Any: FastAPI takes a Response in place of what the operation says it returns.
    """
    content = out.model_dump_json().encode() if isinstance(out, BaseModel) else orjson.dumps(out, option=AS_MODELS_ARE)
    own = {"ETag": etag(content), "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    unchanged = not_modified(request, own["ETag"])
    if unchanged:
        unchanged.headers.update(own)
    return unchanged or Response(content, headers=own, media_type="application/json")


_KeyHeader = Annotated[
    str | None,
    Header(alias="Idempotency-Key", description="New for each request, the same for its repeats; a UUID will do."),
]


async def _key(key: _KeyHeader = None) -> str:
    if key is None:
        raise IdempotencyKeyRequired
    if not KEY.fullmatch(key):
        raise IdempotencyKeyMalformed
    return key


IdempotencyKey = Annotated[str, Depends(_key)]
"""For POSTs that create or submit: 400 without a key."""
