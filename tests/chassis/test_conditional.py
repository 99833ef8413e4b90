"""Nobody overwrites what they did not see, and a repeat acts once."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from chassis import problems
from chassis.conditional import TAG, IdempotencyKey, IfMatch, etag, not_modified

CURRENT = etag("spbe-2023:32.11", 7)


async def read(request: Request) -> Response:
    """A GET that knows its ETag."""
    return not_modified(request, CURRENT) or Response("seven", headers={"ETag": CURRENT})


async def change(expected: IfMatch) -> str:
    """A PUT on what was seen."""
    expected.check(CURRENT)
    return "changed"


async def create(key: IdempotencyKey) -> str:
    """A POST that must not act twice."""
    return key


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.get("/thing")(read)
    app.put("/thing")(change)
    app.post("/things")(create)
    problems.install(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab") as client:
        yield client


@pytest.mark.parametrize("sent", [CURRENT, f'"old", {CURRENT}', f'W/"x" ,{CURRENT}'])
async def test_a_change_of_the_state_that_was_seen_is_taken(client: httpx.AsyncClient, sent: str) -> None:
    assert (await client.put("/thing", headers={"If-Match": sent})).json() == "changed"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (None, 428, "precondition_required"),
        ('"old"', 412, "stale"),
        (f"W/{CURRENT}", 412, "stale"),
        ('""', 412, "stale"),
        ("*", 400, "precondition_malformed"),
        ("", 400, "precondition_malformed"),
        (CURRENT.strip('"'), 400, "precondition_malformed"),
        (f"{CURRENT},", 400, "precondition_malformed"),
        (f"{CURRENT}{CURRENT}", 400, "precondition_malformed"),
        ('"a" "b"', 400, "precondition_malformed"),
        ('"' + "x" * 2_000 + '"', 400, "precondition_malformed"),
    ],
)
async def test_any_other_change_is_refused_with_the_reason(
    client: httpx.AsyncClient, sent: str | None, status: int, code: str
) -> None:
    response = await client.put("/thing", headers={} if sent is None else {"If-Match": sent})
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_a_missing_precondition_says_how_to_get_one(client: httpx.AsyncClient) -> None:
    body = (await client.put("/thing")).json()
    assert body["field"] == "If-Match"
    assert "GET" in body["detail"]


@pytest.mark.parametrize("sent", [CURRENT, f"W/{CURRENT}", f'"old", {CURRENT}', "*"])
async def test_what_the_client_has_is_not_sent_again(client: httpx.AsyncClient, sent: str) -> None:
    response = await client.get("/thing", headers={"If-None-Match": sent})
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", CURRENT)


@pytest.mark.parametrize("sent", [None, '"old"', "garbage", CURRENT.strip('"'), (CURRENT + ",") * 100])
async def test_otherwise_it_is_sent(client: httpx.AsyncClient, sent: str | None) -> None:
    response = await client.get("/thing", headers={} if sent is None else {"If-None-Match": sent})
    assert (response.status_code, response.text) == (200, "seven")


async def test_a_key_is_demanded_where_a_repeat_could_act_twice(client: httpx.AsyncClient) -> None:
    refused = await client.post("/things")
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["field"]) == (
        400,
        "idempotency_key_required",
        "Idempotency-Key",
    )


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é".encode("latin-1"), b"a\tb", b"a\x7f"])
async def test_a_malformed_key_is_refused(client: httpx.AsyncClient, key: Any) -> None:
    response = await client.post("/things", headers={"Idempotency-Key": key})
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_malformed")


@pytest.mark.parametrize("key", ["k", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
async def test_a_key_arrives_as_it_was_sent(client: httpx.AsyncClient, key: str) -> None:
    assert (await client.post("/things", headers={"Idempotency-Key": key})).json() == key


PARTS = st.lists(st.text(max_size=5) | st.integers(0, 3), max_size=3)


@given(one=PARTS, other=PARTS)
def test_tags_are_well_formed_and_differ_with_their_parts(one: list[object], other: list[object]) -> None:
    assert TAG.fullmatch(etag(*one))
    assert (etag(*one) == etag(*other)) == (one == other)


def test_a_tag_tells_nothing_of_the_version_not_even_its_length() -> None:
    assert len({len(etag("a", version)) for version in (1, 10, 10**9)}) == 1
    assert etag("a", 1)[:5] != etag("a", 2)[:5]
