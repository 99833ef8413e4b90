"""A development OTLP sink: keeps the newest traces in memory and shows them as JSON. Not a tracing backend.

Run it with `python -m uvicorn --factory lab.otlp:create_app --port P`; exporters send to `http://127.0.0.1:P/v1/traces`.
"""

import gzip
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

MAX_SPANS = 100_000
"""More than this and the traces that were quiet longest are dropped: about 150 MB."""
PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A span and the service that sent it."""

    service: str
    span: Span


class Traces:
    """The newest traces, at most `max_spans` spans in all (one trace is kept whole, whatever its size)."""

    def __init__(self, *, max_spans: int = MAX_SPANS) -> None:
        self._max_spans = max_spans
        self._spans = 0
        self._by_id: OrderedDict[bytes, list[Recorded]] = OrderedDict()

    def add(self, spans: Iterable[Recorded]) -> None:
        """Keep these spans; drops the traces that were quiet longest if there are too many."""
        for recorded in spans:
            self._by_id.setdefault(recorded.span.trace_id, []).append(recorded)
            self._by_id.move_to_end(recorded.span.trace_id)
            self._spans += 1
        while self._spans > self._max_spans and len(self._by_id) > 1:
            _, dropped = self._by_id.popitem(last=False)
            self._spans -= len(dropped)

    def ids(self, *, service: str | None, name: str | None, limit: int) -> list[str]:
        """Ids of the traces with a span of this service and name, the one heard of last first."""
        found: list[str] = []
        for trace_id in reversed(self._by_id):
            if len(found) == limit:
                break
            if any(
                service in (None, recorded.service) and name in (None, recorded.span.name)
                for recorded in self._by_id[trace_id]
            ):
                found.append(trace_id.hex())
        return found

    def spans(self, trace_id: bytes) -> list[Recorded]:
        """All spans of a trace, earliest start first; none if it is unknown."""
        return sorted(
            self._by_id.get(trace_id, []),
            key=lambda recorded: recorded.span.start_time_unix_nano,
        )


def create_app() -> FastAPI:
    """The sink, empty."""
    app = FastAPI(title="Development OTLP sink", docs_url=None, redoc_url=None, openapi_url=None)
    traces = Traces()

    @app.post("/v1/traces")
    async def export(request: Request) -> Response:
        body = await request.body()
        encoding = request.headers.get("content-encoding", "identity")
        try:
            # In a thread: a batch takes milliseconds, and the loop has readers to answer.
            spans = await run_in_threadpool(decode, body, encoding=encoding)
        except (DecodeError, ValueError) as failure:
            raise HTTPException(400, f"not an OTLP export in protobuf: {failure}") from failure
        traces.add(spans)
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type=PROTOBUF)

    @app.get("/traces")
    async def newest(service: str | None = None, name: str | None = None, limit: int = 20) -> list[str]:
        return traces.ids(service=service, name=name, limit=limit)

    @app.get("/traces/{trace_id}")
    async def one(trace_id: str) -> list[dict[str, Any]]:
        try:
            spans = traces.spans(bytes.fromhex(trace_id))
        except ValueError:
            spans = []
        if not spans:
            raise HTTPException(
                404,
                f"no trace {trace_id} here: not sent (yet), not sampled, or dropped as too old",
            )
        return [as_json(recorded) for recorded in spans]

    return app


def decode(body: bytes, *, encoding: str) -> list[Recorded]:
    """The spans in an OTLP/HTTP body. Raises DecodeError or ValueError if it isn't one."""
    if encoding == "gzip":
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as failure:
            raise ValueError(f"broken gzip ({failure})") from failure
    elif encoding != "identity":
        raise ValueError(f"content encoding {encoding}; send gzip or none")
    return list(_recorded(ExportTraceServiceRequest.FromString(body)))


def as_json(recorded: Recorded) -> dict[str, Any]:
    """A span for people and tests: ids in hex, times in nanoseconds since 1970."""
    span = recorded.span
    return {
        "service": recorded.service,
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_id": span.parent_span_id.hex() or None,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "failed": span.status.code == span.status.STATUS_CODE_ERROR,
        "links": [{"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()} for link in span.links],
        "attributes": _mapping(span.attributes),
    }


def _recorded(request: ExportTraceServiceRequest) -> Iterator[Recorded]:
    for resource_spans in request.resource_spans:
        service = str(_mapping(resource_spans.resource.attributes).get("service.name", "unknown"))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield Recorded(service, span)


def _mapping(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _mapping(value.kvlist_value.values)
        case "bytes_value":
            return value.bytes_value.hex()
        case kind:
            return getattr(value, kind)
