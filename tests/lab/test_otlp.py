"""The development trace sink, fed as an exporter would."""

import gzip

import pytest
from httpx import ASGITransport, AsyncClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from lab import otlp

TRACE, OTHER = b"\x01" * 16, b"\x02" * 16


@pytest.fixture
def client() -> AsyncClient:
    return AsyncClient(transport=ASGITransport(otlp.create_app()), base_url="http://sink")


@pytest.fixture
def export() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "scoring"
    span = resource.scope_spans.add().spans.add(
        trace_id=TRACE,
        span_id=b"\x0a" * 8,
        parent_span_id=b"\x0b" * 8,
        name="score",
        start_time_unix_nano=5,
        end_time_unix_nano=9,
    )
    span.links.add(trace_id=OTHER, span_id=b"\x0c" * 8)
    span.attributes.add(key="batch.size").value.int_value = 500
    return request


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.asyncio
async def test_an_exported_span_can_be_read_back(
    client: AsyncClient, export: ExportTraceServiceRequest, encoding: str
) -> None:
    body = export.SerializeToString()
    sent = await client.post(
        "/v1/traces",
        content=gzip.compress(body) if encoding == "gzip" else body,
        headers={"content-type": "application/x-protobuf", "content-encoding": encoding},
    )
    assert sent.status_code == 200
    (span,) = (await client.get(f"/traces/{TRACE.hex()}")).json()
    assert (span["service"], span["name"], span["start_ns"], span["end_ns"]) == ("scoring", "score", 5, 9)
    assert (span["span_id"], span["parent_id"]) == ("0a" * 8, "0b" * 8)
    assert span["links"] == [{"trace_id": OTHER.hex(), "span_id": "0c" * 8}]
    assert span["attributes"] == {"batch.size": 500}


@pytest.mark.asyncio
async def test_traces_are_found_by_service_and_name(client: AsyncClient, export: ExportTraceServiceRequest) -> None:
    await client.post("/v1/traces", content=export.SerializeToString())
    assert (await client.get("/traces", params={"service": "scoring", "name": "score"})).json() == [TRACE.hex()]
    assert (await client.get("/traces", params={"service": "assessment"})).json() == []


@pytest.mark.parametrize("path", ["/traces/" + "ff" * 16, "/traces/not-hex"])
@pytest.mark.asyncio
async def test_an_unknown_trace_is_not_found(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "gzip"}, {"content-encoding": "br"}])
@pytest.mark.asyncio
async def test_a_body_that_is_no_export_is_refused(client: AsyncClient, headers: dict[str, str]) -> None:
    assert (await client.post("/v1/traces", content=b"\xff\xff", headers=headers)).status_code == 400


def test_the_traces_that_were_quiet_longest_are_dropped_first() -> None:
    traces = otlp.Traces(max_spans=3)

    def hear(trace_id: bytes) -> None:
        traces.add([otlp.Recorded("scoring", Span(trace_id=trace_id, name="score"))])

    for trace_id in (TRACE, OTHER, TRACE, b"\x03" * 16):
        hear(trace_id)
    assert traces.ids(service=None, name=None, limit=10) == [(b"\x03" * 16).hex(), TRACE.hex()]
