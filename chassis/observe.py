"""Around every HTTP request: a server span, rate, errors and duration by route, never by address."""

from time import perf_counter
from typing import Any

import structlog
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.telemetry import Telemetry, exemplar_of, remote

log = structlog.stdlib.get_logger()

UNWATCHED = frozenset({"/livez", "/readyz"})
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observe:
    """ASGI middleware. Routes and methods that do not exist count as one: a scan cannot fill the metrics."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; probes are not watched."""
        if scope["type"] != "http" or scope["path"] in UNWATCHED:
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        traceparent = headers.get(b"traceparent", b"").decode("latin-1") or None
        method: str = scope["method"] if scope["method"] in METHODS else "_OTHER"
        status = 500
        began = perf_counter()
        answered: float | None = None

        async def watch(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                if EVENT_STREAM in message["headers"]:  # it lasts as long as its reader likes: that is not slowness
                    answered = perf_counter()
            await send(message)

        with self._telemetry.tracer.start_as_current_span(
            method, context=remote(traceparent), kind=trace.SpanKind.SERVER
        ) as span:
            # For a 500, which is answered after this span has ended.
            scope.setdefault("state", {})["trace_id"] = f"{span.get_span_context().trace_id:032x}"
            try:
                await self._app(scope, receive, watch)
            except Exception:
                log.exception("request failed", method=method)  # here, where the line gets the trace's id
                raise
            finally:
                route = route_of(scope)
                seconds = (answered or perf_counter()) - began
                span.update_name(f"{method} {route}")
                span.set_attributes(
                    {"http.request.method": method, "http.route": route, "http.response.status_code": status}
                )
                if status >= 500:
                    span.set_status(trace.StatusCode.ERROR)
                    span.set_attribute("error.type", str(status))
                self._telemetry.metrics.http_requests.labels(method, route, str(status)).inc()
                exemplar = exemplar_of(span.get_span_context())
                self._telemetry.metrics.http_seconds.labels(method, route).observe(seconds, exemplar)


def route_of(scope: Scope) -> str:
    """The route's template, such as /assessment/v1/assessments/{assessment_id}."""
    route: Any = scope.get("route")
    path: Any = getattr(route, "path_format", None) or getattr(route, "path", None)
    if not isinstance(path, str):
        return "(none)"
    # FastAPI names the innermost router's own path only (0.163); the prefixes before it hold no parameters.
    own, whole = path.split("/")[1:], str(scope["path"]).split("/")
    return "/".join([*whole[: len(whole) - len(own)], *own])
