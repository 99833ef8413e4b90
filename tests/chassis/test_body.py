"""Hostile bodies are refused before any operation sees them; all others arrive unchanged."""

import asyncio
import json
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chassis.body import BadJson, StrictJson, check_json, depth_of


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the very bytes that reached it."""
    body = await Request(scope, receive).body()
    await Response(body, media_type="application/json")(scope, receive, send)


STRICT = StrictJson(echo, max_bytes=1_000, max_depth=3, receive_timeout_s=0.05)


async def send(
    content: bytes | AsyncIterator[bytes], *, method: str = "POST", content_type: str | None = "application/json"
) -> httpx.Response:
    headers = {"content-type": content_type} if content_type else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(STRICT), base_url="http://lab") as client:
        return await client.request(method, "/", content=content, headers=headers)


REFUSED = [
    (b'{"a":1,"a":2}', 400, "duplicate_key"),
    (b'{"a":{"b":1,"\\u0062":2}}', 400, "duplicate_key"),
    (b'{"a":NaN}', 400, "not_a_number"),
    (b"[Infinity]", 400, "not_a_number"),
    (b"[-Infinity]", 400, "not_a_number"),
    (b"[1e999]", 400, "not_a_number"),
    (b"[-1e999]", 400, "not_a_number"),
    (b'{"$where":"1"}', 400, "forbidden_key"),
    (b'{"a":{"\\u0024gt":1}}', 400, "forbidden_key"),
    (b'{"a\\u0000b":1}', 400, "forbidden_key"),
    (b"9223372036854775808", 400, "not_a_number"),
    (b"[-9223372036854775809]", 400, "not_a_number"),
    (b"9" * 900, 400, "not_a_number"),
    (b"[[[[1]]]]", 400, "too_deep"),
    (b'{"a":[{"b":[]}]}', 400, "too_deep"),
    (b"[" * 999, 400, "too_deep"),
    (b'{"a":' * 150, 400, "too_deep"),
    (b'{"a":', 400, "invalid_json"),
    (b"{'a':1}", 400, "invalid_json"),
    (b'{"a":1}}', 400, "invalid_json"),
    (b"]]]]", 400, "invalid_json"),
    (b'{"a":"\xff"}', 400, "invalid_json"),
    (b'"\\ud800"', 400, "invalid_json"),
    (b'{"\\udc00":1}', 400, "invalid_json"),
    (b'"\x00"', 400, "invalid_json"),
    (b"\xef\xbb\xbf{}", 400, "invalid_json"),
    ('{"a":1}'.encode("utf-16"), 400, "invalid_json"),
    (b" ", 400, "invalid_json"),
    (b'{"level": 4.999999999999999999}', 400, "not_a_number"),
    (b"2.4999999999999999999999", 400, "not_a_number"),
    (b"1e-400", 400, "not_a_number"),
    (b'"' + b"x" * 1_000 + b'"', 413, "too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED)
async def test_a_body_that_is_not_strict_json_is_refused(body: bytes, status: int, code: str) -> None:
    response = await send(body)
    problem = orjson.loads(response.content)
    assert (response.status_code, problem["code"]) == (status, code)
    assert problem["detail"]
    assert problem["detail_id"]


async def test_a_refusal_names_the_key_but_not_a_novel() -> None:
    problem = (await send(b'{"level":1,"level":2}')).json()
    assert "'level'" in problem["detail"]
    long = b'"' + b"k" * 400 + b'"'
    assert len((await send(b"{" + long + b":1," + long + b":2}")).json()["detail"]) < 200


@pytest.mark.parametrize(
    "body",
    [
        b"[9223372036854775807, -9223372036854775808, 1e308, -0.0]",
        b'{"a.b":{"c$":"$x\\u0000"}}',
        b'"\\ud83d\\ude00"',
        b'"[[[[{{{{"',
        b'"\\\\"',
        b'[{"a":1},{"a":1}]',
        b"\r\n\t 7 ",
    ],
)
async def test_odd_but_valid_json_passes(body: bytes) -> None:
    response = await send(body)
    assert (response.status_code, response.content) == (200, body)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json", "application/vnd.x+json"],
)
async def test_every_kind_of_json_is_taken(content_type: str) -> None:
    assert (await send(b"{}", content_type=content_type)).status_code == 200


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "text/json", "application/xml", "multipart/form-data", "image/x+json"]
)
async def test_another_media_type_is_refused(content_type: str | None) -> None:
    response = await send(b"{}", content_type=content_type)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_a_compressed_body_is_refused() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(STRICT), base_url="http://lab") as client:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        assert (await client.post("/", content=b"{}", headers=headers)).status_code == 415


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"])
async def test_without_a_body_no_media_type_is_asked_for(method: str) -> None:
    assert (await send(b"", method=method, content_type=None)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_body_is_judged_whatever_the_method(method: str) -> None:
    assert (await send(b'{"$a":1}', method=method)).status_code == 400


async def test_far_too_large_is_said_before_the_body_is_read() -> None:
    async def receive() -> Message:
        raise AssertionError("it was read")

    assert await answer([(b"content-length", b"16001")], receive) == 413
    assert await answer([(b"content-length", b"9" * 5_000)], receive) == 413


async def test_a_stream_without_end_is_cut_at_sixteen_times_the_limit() -> None:
    served = 0

    async def receive() -> Message:
        nonlocal served
        served += 100
        return {"type": "http.request", "body": b" " * 100, "more_body": True}

    assert await answer([(b"transfer-encoding", b"chunked")], receive) == 413
    assert served == 16_100


async def test_a_somewhat_too_large_body_is_read_to_its_end_so_that_its_sender_sees_the_refusal() -> None:
    pieces = [b" " * 700] * 3

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(), "more_body": bool(pieces)}

    assert await answer([(b"content-length", b"2100")], receive) == 413
    assert pieces == []


async def test_a_client_that_trickles_is_told_so_in_time() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    assert await answer([], receive) == 408


async def test_a_client_that_left_gets_no_answer() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    assert await answer([], receive) is None


async def test_after_the_body_the_app_hears_the_client_leave() -> None:
    messages: list[Message] = [{"type": "http.request", "body": b"1"}, {"type": "http.disconnect"}]
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])

    async def receive() -> Message:
        return messages.pop(0)

    async def ignore(message: Message) -> None: ...

    scope: Scope = {"type": "http", "path": "/", "headers": [(b"content-type", b"application/json")]}
    await StrictJson(app)(scope, receive, ignore)
    assert heard == ["http.request", "http.disconnect"]


async def answer(headers: list[tuple[bytes, bytes]], receive: Receive) -> int | None:
    """The status that a raw ASGI exchange ends with."""
    statuses: list[int] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await STRICT({"type": "http", "path": "/", "headers": headers}, receive, keep)
    return statuses[0] if statuses else None


KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(
    lambda k: not k.startswith("$")
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


def depth(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
        case _:
            return 0


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 2]))
def test_valid_json_passes_unchanged_and_its_depth_is_right(value: Any, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert depth_of(body) == depth(value)
    check_json(body, max_depth=100)
    if body:
        assert asyncio.run(passed(body)) == body


async def passed(body: bytes) -> bytes:
    received = b""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal received
        received = await Request(scope, receive).body()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def ignore(message: Message) -> None: ...

    scope: Scope = {"type": "http", "path": "/", "headers": [(b"content-type", b"application/json")]}
    await StrictJson(app, max_depth=100)(scope, receive, ignore)
    return received


@given(body=st.binary(max_size=200) | st.text('[]{}":,\\a1$ \n', max_size=60).map(str.encode))
def test_whatever_is_sent_is_either_json_or_a_problem(body: bytes) -> None:
    try:
        check_json(body, max_depth=12)
    except BadJson:
        return
    assert json.dumps(json.loads(body)) == json.dumps(json.loads(body.decode()))


@pytest.mark.parametrize(
    "body",
    [b'"' + b'\\"' * 131_000, b'"' * 262_000, b"\\" * 262_000, b"[]," * 87_000, b'"\\' * 131_000, b"[" * 262_000],
    ids=["escaped quotes", "quotes", "backslashes", "brackets", "open escapes", "opening"],
)
def test_counting_the_depth_is_linear_whatever_is_sent(body: bytes) -> None:
    began = perf_counter()
    depth_of(body)
    assert perf_counter() - began < 2, "quadratic work takes minutes here, linear some 10 ms"


FILES = StrictJson(echo, max_bytes=100, files={"/": 1_000})


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"%PDF-" + b"\xff" * 990, "application/pdf", 200),
        (b"\x89PNG", "image/png; some=thing", 200),
        (b"%PDF-" + b"\xff" * 1_000, "application/pdf", 413),
        (b"{}", "application/json", 415),
        (b"<html>", "text/html", 415),
        (b"%PDF-", None, 415),
    ],
)
async def test_a_path_for_files_takes_files_alone(content: bytes, content_type: str | None, status: int) -> None:
    headers = {"content-type": content_type} if content_type else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(FILES), base_url="http://lab") as client:
        response = await client.post("/", content=content, headers=headers)
        elsewhere = await client.post("/other", content=b"%PDF-", headers={"content-type": "application/pdf"})
    assert response.status_code == status
    assert status != 200 or response.content == content
    assert elsewhere.status_code == 415
