"""Request bodies: what may enter at all, decided before any operation runs."""

import asyncio
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, NoReturn

import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.problem import Problem
from chassis.problems import respond

CSV = "text/csv"
FILE_TYPES = frozenset({"application/pdf", "image/jpeg", "image/png"})
"""What a file of evidence, a scan or a signed document may be."""
RECEIVE_TIMEOUT_S = 20.0
TABLE_TIMEOUT_S = 60.0
"""Also for a file."""
TABLE_READ_MAX_BYTES = 67_108_864
"""A table or file up to so large is read to its end, most of it dropped, so that its sender sees what is wrong."""
READ_AND_DROPPED = 16
"""Times the limit: a body up to so large is read to its end, so that its sender gets to see the refusal."""
SHOWN_MAX_CHARS = 80
INT64_CHARS_MAX = 20
DIGITS_MAX = 15  # of a Content-Length; more of them mean far too much in any case
# Possessive, and an unclosed string matches too: linear whatever is sent.
STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # +1 and -1 as signed bytes
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class TooLarge(Problem):
    """More than one request may carry."""

    status, code, title = 413, "too_large", "The body is too large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            f"At most {max_bytes} bytes are taken at once. Send less at a time.",
            f"Paling banyak {max_bytes} byte sekali kirim. Kirim lebih sedikit.",
            headers={"Connection": "close"},  # what is still on its way is not read
        )


class TooSlow(Problem):
    """The body did not arrive in time."""

    status, code, title = 408, "too_slow", "The body did not arrive in time"
    detail = "Send the whole body without long pauses. Nothing was changed."
    detail_id = "Kirim seluruh isi tanpa jeda panjang. Tidak ada yang berubah."


class UnsupportedMediaType(Problem):
    """Not JSON by its own account."""

    status, code, title = 415, "unsupported_media_type", "Only JSON is understood here"
    detail = "Send UTF-8 JSON, not compressed, with `Content-Type: application/json`."
    detail_id = "Kirim JSON dalam UTF-8, tidak dikompresi, dengan `Content-Type: application/json`."


class TableExpected(UnsupportedMediaType):
    """Neither a table nor JSON by its own account."""

    title = "Only CSV and JSON are understood here"
    detail = "Send UTF-8, not compressed, with `Content-Type: text/csv` or `application/json`."
    detail_id = "Kirim UTF-8, tidak dikompresi, dengan `Content-Type: text/csv` atau `application/json`."


class FileExpected(UnsupportedMediaType):
    """None of the kinds of files that are kept or looked at here."""

    title = "Only PDF, JPEG and PNG files are taken here"
    detail = "Send the file itself as the body, with `Content-Type: application/pdf`, `image/jpeg` or `image/png`."
    detail_id = "Kirim berkasnya sebagai isi, dengan `Content-Type: application/pdf`, `image/jpeg` atau `image/png`."


class BadJson(Problem):
    """Not JSON, or JSON that readers understand differently."""

    status, code, title = 400, "invalid_json", "The body is not valid JSON"


class TooDeep(BadJson):
    """Nested beyond any use."""

    code, title = "too_deep", "The body is nested too deeply"


class DuplicateKey(BadJson):
    """The same key twice in one object: parsers disagree which of them counts."""

    code, title = "duplicate_key", "A key stands twice in one object"


class NotANumber(BadJson):
    """NaN, an infinity or what would become one, or an integer beyond the 64 bits that databases keep."""

    code, title = "not_a_number", "A number cannot be reckoned with"


class ForbiddenKey(BadJson):
    """A key that a database could take for an operator."""

    code, title = "forbidden_key", "A key has a forbidden form"


class StrictJson:
    """ASGI middleware: reads a request's body whole, refuses what is not strict JSON, and replays it unchanged.

    A body is judged wherever there is one, whatever the method. Without a body a request passes as it is.
    `tables`: paths that also take CSV → how many bytes. What is longer arrives cut off after one byte more, so that the
    operation can say in which line it ends. `forms`: paths whose body, whatever it is, is read and dropped.
    `files`: paths that take one file as their body, and nothing else → how many bytes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int = 262_144,
        max_depth: int = 12,
        receive_timeout_s: float = RECEIVE_TIMEOUT_S,
        tables: Mapping[str, int] | None = None,
        forms: Collection[str] = (),
        files: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._receive_timeout_s = receive_timeout_s
        self._tables = tables or {}
        self._forms = frozenset(forms)
        self._files = files or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge the body, then pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        table_max = self._tables.get(scope["path"]) if media_type_of(headers) == CSV else None
        file_max = self._files.get(scope["path"])
        try:
            if file_max is not None:
                body = await self._read_file(headers, receive, file_max)
            elif table_max is None:
                body = await self._read(headers, receive)
            else:
                if _is_encoded(headers):
                    raise TableExpected
                body = await _cut_off(receive, table_max + 1)
            if body is None:
                return  # the client left; there is nobody to answer
            if scope["path"] in self._forms:
                body = b""
            if body and table_max is None and file_max is None:
                check_media_type(headers, table=scope["path"] in self._tables)
                check_json(body, max_depth=self._max_depth)
        except Problem as problem:
            await respond(problem, scope)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        declared = headers.get("content-length", "")
        length = int(declared[:DIGITS_MAX]) if declared.isdecimal() else 0
        # Answering while the client still sends makes the kernel reset the connection, and the answer is lost with it
        # (seen with httpx at 1.5 MB); so what is moderately too large is read and dropped first, nothing more of it.
        patience = self._max_bytes * READ_AND_DROPPED
        if length > patience:
            raise TooLarge(self._max_bytes)
        read, body = 0, bytearray()
        try:
            async with asyncio.timeout(self._receive_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    piece: bytes = message.get("body", b"")
                    read += len(piece)
                    if read <= self._max_bytes:
                        body += piece
                    if read > patience or (read > self._max_bytes and not message.get("more_body", False)):
                        raise TooLarge(self._max_bytes)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise TooSlow(headers={"Connection": "close"}) from error

    async def _read_file(self, headers: Headers, receive: Receive, max_bytes: int) -> bytes | None:
        body = await _cut_off(receive, max_bytes + 1)
        if body and (media_type_of(headers) not in FILE_TYPES or _is_encoded(headers)):
            raise FileExpected
        if body and len(body) > max_bytes:
            raise TooLarge(max_bytes)
        return body


async def _cut_off(receive: Receive, max_bytes: int) -> bytes | None:
    """The first `max_bytes` of a table or file, its rest read and dropped; None when the client left."""
    read, body = 0, bytearray()
    try:
        async with asyncio.timeout(TABLE_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                piece: bytes = message.get("body", b"")
                read += len(piece)
                if read > TABLE_READ_MAX_BYTES:
                    raise TooLarge(max_bytes - 1)
                body += piece[: max_bytes - len(body)]
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise TooSlow(headers={"Connection": "close"}) from error


def _replay(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _is_encoded(headers: Headers) -> bool:
    return headers.get("content-encoding", "identity").lower() != "identity"


def media_type_of(headers: Headers) -> str:
    """Without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def check_media_type(headers: Headers, *, table: bool = False) -> None:
    """Raises UnsupportedMediaType unless the body says it is plain JSON. A charset is ignored, as RFC 8259 has it.

    table: the refusal names CSV too.
    """
    media_type = media_type_of(headers)
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not is_json or _is_encoded(headers):
        raise TableExpected if table else UnsupportedMediaType


def check_json(body: bytes, *, max_depth: int) -> None:
    """Raises BadJson or one of its kinds unless the body is JSON that every reader understands alike."""
    if depth_of(body) > max_depth:
        raise TooDeep(
            f"At most {max_depth} levels of objects and lists are taken. Send it flatter.",
            f"Paling banyak {max_depth} tingkat objek dan daftar. Kirim lebih datar.",
        )
    try:
        json.loads(
            body.decode(),
            object_pairs_hook=_check_object,
            parse_constant=_refuse_number,
            parse_float=_check_float,
            parse_int=_check_int,
        )
        if b"\\u" in body:
            orjson.loads(body)  # refuses half a surrogate pair, which is no text and cannot be stored
    except ValueError as error:  # also for what is not UTF-8
        position = error.pos if isinstance(error, json.JSONDecodeError) else None
        where = "" if position is None else f" (character {position})"
        raise BadJson(
            f"It cannot be read as UTF-8 JSON{where}. Check it with a JSON tool and send it again.",
            f"Tidak dapat dibaca sebagai JSON UTF-8{where}. Periksa dengan alat JSON, lalu kirim lagi.",
        ) from error


def depth_of(body: bytes) -> int:
    """How deep lists and objects nest, without parsing: neither recursion nor memory can be forced."""
    steps = STRINGS.sub(b"", body).translate(STEPS, NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def _check_object(pairs: Sequence[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise DuplicateKey(
                f"{_shown(key)} stands twice in one object. Send it once.",
                f"{_shown(key)} ada dua kali dalam satu objek. Kirim sekali saja.",
            )
        if key.startswith("$") or "\0" in key:
            raise ForbiddenKey(
                f"{_shown(key)} starts with `$` or holds a NUL character. Rename it.",
                f"{_shown(key)} diawali `$` atau memuat karakter NUL. Ganti namanya.",
            )
        seen.add(key)


def _check_float(text: str) -> None:
    if math.isinf(number := float(text)):
        _refuse_number(text)
    # Not shown: it may be a NIK, which no answer repeats.
    if Decimal(repr(number)) != Decimal(text):  # it would become another one on the way, unnoticed
        raise NotANumber(
            "A number in it has more digits than a JSON number keeps. Send it as text.",
            "Ada angka dengan lebih banyak digit daripada angka JSON. Kirim sebagai teks.",
        )


def _check_int(text: str) -> None:
    if len(text) > INT64_CHARS_MAX or not -(2**63) <= int(text) < 2**63:
        _refuse_number(text)


def _refuse_number(_text: str) -> NoReturn:
    raise NotANumber(
        "A number in it is not of ordinary size. Send one that is, or send it as text.",
        "Ada angka yang ukurannya tidak wajar. Kirim yang wajar, atau sebagai teks.",
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…")
