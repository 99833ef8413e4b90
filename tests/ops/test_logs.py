"""The real collector under deploy/observability/logs.yaml: lines of our services come to Loki's address, no others."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.ops import tracing

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

WITHIN_S = 60.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
OURS = {
    "service": "scoring",
    "trace_id": TRACE,
    "span_id": "b7ad6b7169203331",
    "event": "relay comes again",
    "level": "warning",
    "timestamp": "2026-11-23T10:00:00.123456Z",
}


@dataclass
class Loki:
    """Stands in for it: keeps what comes by OTLP, with the name of its service."""

    address: str = ""
    came: list[tuple[str, LogRecord]] = field(default_factory=list[tuple[str, LogRecord]])

    async def take(self, request: web.Request) -> web.Response:
        told = ExportLogsServiceRequest.FromString(await request.read())
        for resource in told.resource_logs:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.came += [
                (named.get("service.name", ""), line) for scope in resource.scope_logs for line in scope.log_records
            ]
        return web.Response()


@pytest.fixture
async def loki() -> AsyncGenerator[Loki]:
    made = Loki()
    app = web.Application()
    app.router.add_post("/otlp/v1/logs", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}/otlp"
    yield made
    await runner.cleanup()


@pytest.fixture
async def containers(tmp_path: Path, loki: Loki) -> AsyncGenerator[Path]:
    """A folder as a container engine keeps it, read by the collector."""
    folder = tmp_path / "containers"
    folder.mkdir()
    part = await asyncio.to_thread(tracing.logs, tmp_path / "collector", containers=folder, logs_to=loki.address)
    with part:
        yield folder


def write(containers: Path, container: str, *lines: str) -> None:
    """As the engine's driver json-file does."""
    folder = containers / container
    folder.mkdir(exist_ok=True)
    with (folder / f"{container}-json.log").open("a") as file:
        for line in lines:
            kept = {"log": f"{line}\n", "stream": "stdout", "time": "2026-11-23T10:00:00.2Z"}
            file.write(json.dumps(kept) + "\n")


async def test_lines_of_services_come_whole_under_their_name_and_trace_and_no_others_come(
    containers: Path, loki: Loki
) -> None:
    others = ["[2026-11-23 10:00:00,000] INFO Kafka Server started", '{"t": {"$date": "…"}, "s": "I"}', "", "{broken"]
    others.append(json.dumps({**OURS, "service": "somebody-else"}))
    write(containers, "a" * 64, *others)
    write(containers, "b" * 64, json.dumps(OURS), json.dumps({**OURS, "service": "notify", "level": "info"}))
    deadline = monotonic() + WITHIN_S
    while len(loki.came) < 2:
        assert monotonic() < deadline, loki.came
        await asyncio.sleep(0.1)
    write(containers, "a" * 64, *others)
    write(containers, "b" * 64, json.dumps({**OURS, "event": "the last"}))
    while len(loki.came) < 3:
        assert monotonic() < deadline, loki.came
        await asyncio.sleep(0.1)
    (first, line), (second, _), (_, last) = loki.came
    assert [first, second] == ["scoring", "notify"]
    assert json.loads(line.body.string_value) == OURS
    assert (line.trace_id.hex(), line.severity_text.lower()) == (TRACE, "warning")
    assert line.time_unix_nano == 1_795_428_000_123_456_000
    assert "the last" in last.body.string_value
