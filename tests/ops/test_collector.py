"""The real collector under the very configuration that is deployed: the right traces are kept."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from lab.parts import http_server
from lab.parts.process import ports
from tests.ops import tracing

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

PROTOBUF = {"Content-Type": "application/x-protobuf"}
WITHIN_S = 60.0
SECOND = 10**9
OF_EACH, OTHERS = 10, 70


@dataclass(frozen=True, slots=True)
class Collected:
    """A collector, and the sink that it sends to."""

    otlp: str
    metrics: str
    spanmetrics: str
    sink: str


@pytest.fixture
async def collected(tmp_path: Path) -> AsyncGenerator[Collected]:
    (port,) = ports(tmp_path, 1)
    sink = http_server(
        "otlp", factory="lab.otlp:create_app", directory=tmp_path / "sink", port=port, ready_path="/traces", env={}
    )
    collector = await asyncio.to_thread(
        tracing.collector,
        tmp_path / "collector",
        traces_to=sink.address,
        DECISION_WAIT="2s",
        FLUSH_INTERVAL="1s",
    )
    with sink, collector:
        yield Collected(
            otlp=collector.address,
            metrics=f"http://127.0.0.1:{collector.env['METRICS_PORT']}",
            spanmetrics=f"http://{collector.env['SPANMETRICS_ENDPOINT']}",
            sink=sink.address,
        )


def trace(*, seconds: float = 0.01, failed: bool = False, attributes: Mapping[str, str] | None = None) -> list[Span]:
    """Two spans, parent and child, the child as described."""
    trace_id, parent = secrets.token_bytes(16), secrets.token_bytes(8)
    begin = 1_700_000_000 * SECOND
    end = begin + int(seconds * SECOND)
    told = [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in (attributes or {}).items()]
    status = Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET)
    first = Span(trace_id=trace_id, span_id=parent, name="POST /x", kind=Span.SPAN_KIND_SERVER)
    child = Span(trace_id=trace_id, span_id=secrets.token_bytes(8), parent_span_id=parent, name="x", status=status)
    child.attributes.extend(told)
    for span in (first, child):
        span.start_time_unix_nano, span.end_time_unix_nano = begin, end
    return [first, child]


async def send(client: httpx.AsyncClient, otlp: str, traces: Iterable[Sequence[Span]]) -> None:
    named = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="made"))])
    for spans in traces:
        whole = ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=named, scope_spans=[ScopeSpans(spans=spans)])]
        )
        answer = await client.post(f"{otlp}/v1/traces", content=whole.SerializeToString(), headers=PROTOBUF)
        assert answer.status_code == 200, answer.text


def ids(traces: Iterable[Sequence[Span]]) -> set[str]:
    return {spans[0].trace_id.hex() for spans in traces}


async def test_of_100_traces_the_right_ones_are_kept(collected: Collected) -> None:
    failed = [trace(failed=True) for _ in range(OF_EACH)]
    slow = [trace(seconds=2.5) for _ in range(OF_EACH)]
    signing = [trace(attributes={"livinglab.signing.provider": "local"}) for _ in range(OF_EACH)]
    others = [trace() for _ in range(OTHERS)]
    wanted = ids([*failed, *slow, *signing])
    async with httpx.AsyncClient(trust_env=False) as client:
        await send(client, collected.otlp, [*others, *failed, *slow, *signing])

        async def kept() -> set[str]:
            return set((await client.get(f"{collected.sink}/traces", params={"limit": 200})).json())

        async with asyncio.timeout(WITHIN_S):
            while not wanted <= await kept():
                await asyncio.sleep(0.2)
        # One that is kept, sent after them: when it has arrived, everything before it was decided on.
        last = [trace(failed=True)]
        await send(client, collected.otlp, last)
        async with asyncio.timeout(WITHIN_S):
            while not ids(last) <= await kept():
                await asyncio.sleep(0.2)
        rest = await kept() - wanted - ids(last)
        print(f"kept {len(wanted)} of {3 * OF_EACH} that must be, {len(rest)} of {OTHERS} others")
        assert rest <= ids(others)
        assert len(rest) <= OTHERS // 4  # 5 %: more than 17 of 70 come once in ten million runs
        whole = (await client.get(f"{collected.sink}/traces/{min(wanted)}")).json()
        assert len(whole) == 2

        # Rate, errors and duration are of all spans, kept or not.
        sent = 2 * (3 * OF_EACH + OTHERS + 1)
        async with asyncio.timeout(WITHIN_S):
            while await counted(client, collected.spanmetrics, "traces_span_metrics_calls_total") < sent:
                await asyncio.sleep(0.2)
        assert await counted(client, collected.metrics, "otelcol_receiver_accepted_spans_total") == sent
        assert await counted(client, collected.metrics, "otelcol_exporter_send_failed_spans_total") == 0


async def counted(client: httpx.AsyncClient, address: str, name: str) -> float:
    """The sum over a metric's series."""
    lines = (await client.get(f"{address}/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))
