"""Every error is a problem: RFC 9457, two languages, a stable code, nothing of the inside."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import httpx
import orjson
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Query
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel, ConfigDict, Field

from chassis.problems import MEDIA_TYPE, Forbidden, NotFound, Problem, ProblemBody, Unavailable, install, problems


class Full(Problem):
    """A service's own."""

    status, code, title = 409, "full", "The boat is full"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern="^[a-z]+$")]
    count: Annotated[int, Field(ge=1, strict=True)]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None


router = APIRouter(responses=problems(401, 422))


@router.get("/full", responses=problems(409))
async def full() -> None:
    """Refuses with all that a problem may carry."""
    raise Full("Take the next one.", "Naik yang berikutnya.", field="seat", headers={"X-Next": "10:00"}, seats={7})


@router.get("/hidden")
async def hidden() -> None:
    """Not found."""
    raise NotFound


@router.get("/forbidden")
async def forbidden() -> None:
    """Not allowed."""
    raise Forbidden


@router.get("/away")
async def away() -> None:
    """A dependency is down."""
    raise Unavailable(retry_after_s=7)


@router.get("/broken")
async def broken() -> None:
    """A bug."""
    raise RuntimeError("password=hunter2")


@router.get("/teapot")
async def teapot() -> None:
    """The framework's own error, with an unusual status."""
    raise HTTPException(418, "short and stout")


@router.get("/orders")
async def orders() -> None:
    """Shares its address with another method."""


@router.post("/orders")
async def order(order: Order, page: Annotated[int, Query(ge=1)] = 1) -> Order:
    """Takes a body."""
    return order


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    install(app)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
        yield client


def read(response: httpx.Response) -> dict[str, Any]:
    """The body, after what holds for every problem."""
    assert response.headers["content-type"] == MEDIA_TYPE
    assert response.headers["cache-control"] == "no-store"
    body = orjson.loads(response.content)
    ProblemBody.model_validate(body)
    assert body["status"] == response.status_code
    assert body["type"] == f"/problems/{body['code']}"
    assert body["detail"]
    assert body["detail_id"]
    assert None not in body.values()
    return body


async def test_a_services_own_problem_keeps_everything_it_says(client: httpx.AsyncClient) -> None:
    response = await client.get("/full?token=secret")
    assert response.headers["x-next"] == "10:00"
    assert read(response) == {
        "type": "/problems/full",
        "title": "The boat is full",
        "status": 409,
        "code": "full",
        "detail": "Take the next one.",
        "detail_id": "Naik yang berikutnya.",
        "instance": "/full",
        "field": "seat",
        "seats": [7],
    }


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/hidden", 404, "not_found"),
        ("/nowhere", 404, "not_found"),
        ("/forbidden", 403, "forbidden"),
        ("/away", 503, "unavailable"),
        ("/teapot", 418, "im_a_teapot"),
        ("/broken", 500, "internal"),
    ],
)
async def test_each_failure_has_its_status_and_code(
    client: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    body = read(await client.get(path))
    assert (body["status"], body["code"]) == (status, code)


async def test_a_wrong_method_learns_the_right_ones(client: httpx.AsyncClient) -> None:
    response = await client.delete("/orders")
    assert read(response)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "GET, POST"


async def test_unavailable_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/away")).headers["retry-after"] == "7"


async def test_a_bug_shows_nothing_of_itself(client: httpx.AsyncClient) -> None:
    assert "hunter2" not in (await client.get("/broken")).text


async def test_an_invalid_request_names_each_field_and_never_echoes_values(client: httpx.AsyncClient) -> None:
    sent = {"name": "S3CRET", "count": "S3CRET", "pet": {"kind": "S3CRET"}, "more": "S3CRET"}
    response = await client.post("/orders?page=0", json=sent)
    body = read(response)
    assert body["code"] == "invalid_request"
    assert {(e["field"], e["code"]) for e in body["errors"]} == {
        ("page", "greater_than_equal"),
        ("name", "string_pattern_mismatch"),
        ("count", "int_type"),
        ("pet", "union_tag_invalid"),
        ("more", "extra_forbidden"),
    }
    assert all(e["message"] and e["message_id"] for e in body["errors"])
    assert "S3CRET" not in response.text


async def test_a_thousand_mistakes_do_not_buy_a_large_answer(client: httpx.AsyncClient) -> None:
    body = read(await client.post("/orders", json={"x" * 900 + str(n): 0 for n in range(1000)}))
    assert len(body["errors"]) == 50
    assert max(len(e["field"]) for e in body["errors"]) == 200


async def test_a_problem_carries_the_trace_it_happened_in(client: httpx.AsyncClient) -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("request") as span:
        body = read(await client.get("/hidden"))
    assert body["trace_id"] == trace.format_trace_id(span.get_span_context().trace_id)


async def test_after_the_span_ended_the_trace_is_taken_from_the_state(app: FastAPI) -> None:
    async def telemetry(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"trace_id": "ab" * 16}
        await app(scope, receive, send)

    transport = httpx.ASGITransport(telemetry, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
        assert read(await client.get("/broken"))["trace_id"] == "ab" * 16


async def test_half_a_surrogate_in_a_text_does_not_break_the_answer(client: httpx.AsyncClient, app: FastAPI) -> None:
    @app.get("/odd")
    async def odd() -> None:
        raise Full("\ud800", "\ud800")

    response = await client.get("/odd")
    assert response.status_code == 409
    assert rb"\ud800" in response.content


def test_openapi_describes_problems_and_not_the_frameworks_errors(app: FastAPI) -> None:
    document = app.openapi()
    conflict = document["paths"]["/full"]["get"]["responses"]["409"]
    assert conflict["content"] == {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    assert {"ProblemBody", "FieldError"} <= document["components"]["schemas"].keys()
    assert "HTTPValidationError" not in str(document)
    assert app.openapi() is document
    app.get("/late")(hidden)
    assert "/late" in app.openapi()["paths"]
    assert "HTTPValidationError" not in str(app.openapi())


def test_openapi_replaces_the_frameworks_422_also_where_nothing_was_declared() -> None:
    app = FastAPI()
    app.post("/orders")(order)
    install(app)
    assert list(app.openapi()["paths"]["/orders"]["post"]["responses"]["422"]["content"]) == [MEDIA_TYPE]


def test_a_text_in_one_language_only_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="both languages"):
        Full("Take the next one.")


def test_a_problem_can_be_caught_chained_and_raised_again() -> None:
    with pytest.raises(Full) as caught:
        try:
            raise Full from ValueError("cause")
        except Problem as problem:
            raise problem
    assert isinstance(caught.value.__cause__, ValueError)
