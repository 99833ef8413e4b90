"""Every request is seen, by its route's template; a scan of addresses or methods cannot fill the metrics."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from chassis import problems, telemetry
from chassis.observe import Observe
from chassis.settings import Settings
from chassis.telemetry import Telemetry, current_traceparent

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
Series = tuple[str, str, str]
"""(method, route, status)."""


@dataclass(frozen=True)
class Watched:
    """An app, and what was seen of it."""

    http: httpx.AsyncClient
    watch: Telemetry
    exporter: InMemorySpanExporter
    inside: list[str | None] = field(default_factory=list[str | None])
    """The traceparent within each request."""

    @property
    def requests(self) -> dict[Series, float]:
        """What was counted."""
        (family,) = self.watch.metrics.http_requests.collect()
        return {
            (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
            for s in family.samples
            if s.name.endswith("_total")
        }

    @property
    def timed(self) -> dict[tuple[str, str], float]:
        """How many were timed."""
        (family,) = self.watch.metrics.http_seconds.collect()
        return {(s.labels["method"], s.labels["route"]): s.value for s in family.samples if s.name.endswith("_count")}

    @property
    def spans(self) -> list[ReadableSpan]:
        """What was traced."""
        return list(self.exporter.get_finished_spans())


@pytest.fixture
async def watched(logs_as_they_were: None) -> AsyncGenerator[Watched]:
    telemetry.configure_logs(Settings(), service="test")
    watch = telemetry.start(Settings(traces_sample_ratio=1), service="test")
    exporter = InMemorySpanExporter()
    watch.provider.add_span_processor(SimpleSpanProcessor(exporter))
    inside: list[str | None] = []
    nested = APIRouter(prefix="/things")

    @nested.get("/{thing_id}/parts/{number}")
    async def part(thing_id: str, number: int) -> str:
        inside.append(current_traceparent())
        return thing_id

    @nested.get("/broken")
    async def broken() -> str:
        raise RuntimeError("our bug")

    app = FastAPI()
    outer = APIRouter(prefix="/test/v1")
    outer.include_router(nested)
    app.include_router(outer)
    app.get("/livez")(lambda: "ok")
    problems.install(app)
    app.add_middleware(Observe, telemetry=watch)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
        yield Watched(client, watch, exporter, inside)
    watch.provider.shutdown()


PART = "/test/v1/things/{thing_id}/parts/{number}"


async def test_requests_count_by_template_method_and_status(watched: Watched) -> None:
    for thing in ("a", "b", "c"):
        await watched.http.get(f"/test/v1/things/{thing}/parts/1")
    await watched.http.get("/test/v1/things/a/parts/none")
    await watched.http.post("/test/v1/things/a/parts/1")
    assert watched.requests == {("GET", PART, "200"): 3, ("GET", PART, "422"): 1, ("POST", PART, "405"): 1}
    assert watched.timed == {("GET", PART): 4, ("POST", PART): 1}


async def test_addresses_that_do_not_exist_count_as_one(watched: Watched) -> None:
    for n in range(20):
        await watched.http.get(f"/admin/{n}.php")
    assert watched.requests == {("GET", "(none)", "404"): 20}
    assert {span.name for span in watched.spans} == {"GET (none)"}


async def test_methods_that_nobody_knows_count_as_one(watched: Watched) -> None:
    for n in range(20):
        await watched.http.request(f"BREW{n}", "/test/v1/things/a/parts/1")
    assert {method for method, _, _ in watched.requests} == {"_OTHER"}
    assert sum(watched.requests.values()) == 20
    assert {span.name.partition(" ")[0] for span in watched.spans} == {"_OTHER"}


async def test_a_request_that_we_fail_in_counts_as_our_failure(watched: Watched) -> None:
    answer = await watched.http.get("/test/v1/things/broken")
    assert answer.status_code == 500
    assert watched.requests == {("GET", "/test/v1/things/broken", "500"): 1}
    (span,) = watched.spans
    assert not span.status.is_ok
    assert answer.json()["trace_id"] == f"{span.context.trace_id:032x}" if span.context else None


async def test_probes_are_not_watched(watched: Watched) -> None:
    assert (await watched.http.get("/livez")).status_code == 200
    assert (watched.requests, watched.spans) == ({}, [])


@pytest.mark.parametrize("flags", ["01", "03"])
async def test_a_span_continues_the_callers_trace(watched: Watched, flags: str) -> None:
    sent = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-{flags}"}
    await watched.http.get("/test/v1/things/a/parts/1", headers=sent)
    (span,) = watched.spans
    assert span.parent is not None
    assert span.context is not None
    assert (f"{span.parent.span_id:016x}", f"{span.context.trace_id:032x}") == (SPAN_ID, TRACE_ID)
    assert (span.name, span.kind) == (f"GET {PART}", SpanKind.SERVER)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": PART,
        "http.response.status_code": 200,
    }
    assert watched.inside == [f"00-{TRACE_ID}-{span.context.span_id:016x}-{flags}"]
    assert telemetry.is_sampled(watched.inside[0])


async def test_who_asks_not_to_be_traced_is_not(watched: Watched) -> None:
    await watched.http.get("/test/v1/things/a/parts/1", headers={"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"})
    assert watched.spans == []
    assert not telemetry.is_sampled(watched.inside[0])
    assert watched.requests == {("GET", PART, "200"): 1}


@pytest.mark.parametrize(
    "sent", ["", "nonsense", "00-zz-zz-01", f"00-{'0' * 32}-{SPAN_ID}-01", "00-" + "a" * 9_000, "\xff\xfe"]
)
async def test_a_traceparent_that_is_none_begins_a_trace_of_our_own(watched: Watched, sent: str) -> None:
    headers: Any = {b"traceparent": sent.encode("latin-1")}
    answer = await watched.http.get("/test/v1/things/a/parts/1", headers=headers)
    assert answer.status_code == 200
    (span,) = watched.spans
    assert span.parent is None
