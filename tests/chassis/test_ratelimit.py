"""One caller's flood is refused without touching the others."""

from typing import Any

import httpx
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from chassis import problems
from chassis.ratelimit import WINDOW_S, RateLimit, SlidingWindow

PER_MINUTE = 3


async def actor_in(request: Request) -> str | None:
    """Stands for the check of tokens: what is sent is believed unless it is bad."""
    actor = request.headers.get("x-actor")
    return None if actor == "bad" else actor


def app() -> FastAPI:
    app = FastAPI()

    async def fine() -> str:
        """Anything."""
        return "fine"

    for path in ("/fine", "/livez", "/readyz"):
        app.get(path)(fine)
    problems.install(app)
    app.add_middleware(RateLimit, per_minute=PER_MINUTE, actor_in=actor_in)
    return app


async def statuses(
    app: Any, count: int, *, address: str = "192.0.2.1", actor: str = "", path: str = "/fine"
) -> set[int]:
    """The distinct statuses of so many requests."""
    transport = httpx.ASGITransport(app, client=(address, 5_000))
    headers = {"x-actor": actor} if actor else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://lab", headers=headers) as client:
        return {(await client.get(path)).status_code for _ in range(count)}


async def test_a_flood_is_refused_with_a_time_to_come_back() -> None:
    limited = app()
    assert await statuses(limited, PER_MINUTE) == {200}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(limited, client=("192.0.2.1", 1)), base_url="http://lab"
    ) as client:
        response = await client.get("/fine")
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")
    assert response.headers["content-type"] == problems.MEDIA_TYPE
    assert 1 <= int(response.headers["retry-after"]) <= 120


async def test_an_actor_pays_wherever_it_calls_from_and_for_nobody_else() -> None:
    limited = app()
    assert await statuses(limited, PER_MINUTE, actor="ani", address="192.0.2.1") == {200}
    assert await statuses(limited, 2, actor="ani", address="192.0.2.2") == {429}
    assert await statuses(limited, PER_MINUTE, actor="budi", address="192.0.2.1") == {200}


async def test_a_flood_without_token_does_not_shut_out_who_signs_in_from_the_same_address() -> None:
    limited = app()
    assert await statuses(limited, PER_MINUTE + 1) == {200, 429}
    assert await statuses(limited, PER_MINUTE, actor="ani") == {200}


async def test_bad_tokens_and_unknown_addresses_are_charged_to_where_they_come_from() -> None:
    limited = app()
    assert await statuses(limited, PER_MINUTE, actor="bad", path="/nowhere") == {404}
    assert await statuses(limited, 1) == {429}
    assert await statuses(limited, 1, address="192.0.2.2") == {200}


async def test_an_actor_called_like_an_address_is_not_that_address() -> None:
    limited = app()
    assert await statuses(limited, PER_MINUTE + 1, actor="192.0.2.1") == {200, 429}
    assert await statuses(limited, 1, address="192.0.2.1") == {200}


async def test_an_ipv6_caller_cannot_multiply_itself_within_its_network() -> None:
    limited = app()
    assert await statuses(limited, PER_MINUTE, address="2001:db8::1") == {200}
    assert await statuses(limited, 1, address="2001:db8::2:3") == {429}
    assert await statuses(limited, 1, address="2001:db8:0:1::1") == {200}
    assert await statuses(limited, 1, address="fe80::1%eth0") == {200}


async def test_probes_are_never_refused() -> None:
    limited = app()
    await statuses(limited, PER_MINUTE + 1)
    assert await statuses(limited, PER_MINUTE * 3, path="/livez") == {200}
    assert await statuses(limited, PER_MINUTE * 3, path="/readyz") == {200}


@given(st.lists(st.tuples(st.floats(0, 40), st.sampled_from("ab")), max_size=80))
def test_no_caller_passes_more_than_twice_the_limit_in_any_minute_and_waiting_helps(
    calls: list[tuple[float, str]],
) -> None:
    clock = 0.0
    window = SlidingWindow(PER_MINUTE, elapsed=lambda: clock)
    passed: list[tuple[float, str]] = []
    for pause, caller in calls:
        clock += pause
        wait_s = window.hit(caller)
        if not wait_s:
            passed.append((clock, caller))
            continue
        assert 0 < wait_s <= 2 * WINDOW_S
        assert sum(who == caller and clock - at < 2 * WINDOW_S for at, who in passed) >= PER_MINUTE, "not without cause"
        clock += wait_s + 0.001
        assert window.hit(caller) == 0
        passed.append((clock, caller))
    for at, caller in passed:
        assert sum(who == caller and at <= other < at + WINDOW_S for other, who in passed) <= 2 * PER_MINUTE
