"""A trace goes on after whoever carried it has died: all of its edges are there in the end."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.telemetry import spans
from lab.parts import Part, http_server
from lab.parts.process import ports
from tests.faults.ground import Ground, died, restart, running
from tests.faults.portal import Portal
from tests.watching import Sink, lacking, traced

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

Portals = Callable[..., list[Portal]]
EDGES = [edge for edge in spans.EDGES["A region submits"] if {place[0] for place in edge} <= {"assessment", "scoring"}]
"""From the request to the published score."""


@pytest.fixture(scope="module")
async def sink(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Sink]:
    directory: Path = tmp_path_factory.mktemp("otlp")
    (port,) = ports(directory, 1)
    part = http_server(
        "otlp", factory="lab.otlp:create_app", directory=directory, port=port, ready_path="/traces", env={}
    )
    async with running(part):
        yield Sink(part.address)


@pytest.fixture(scope="module")
async def assessment(ground: Ground, sink: Sink) -> AsyncGenerator[Part]:
    part = ground.service("assessment", OTEL_EXPORTER_OTLP_ENDPOINT=sink.address)
    async with running(part):
        yield part


@pytest.fixture(scope="module")
async def scoring(ground: Ground, sink: Sink, assessment: Part) -> AsyncGenerator[Part]:
    part = ground.service("scoring", OTEL_EXPORTER_OTLP_ENDPOINT=sink.address)
    async with running(part):
        yield part


async def submitted(portal: Portal) -> str:
    """The trace in which a region submits."""
    await portal.open()
    await portal.fill()
    trace_id, header = traced()
    await replace(portal, headers=portal.headers | header).submit()
    return trace_id


async def test_a_process_dies_between_its_outbox_and_kafka(
    ground: Ground, assessment: Part, scoring: Part, portals: Portals, sink: Sink
) -> None:
    (portal,) = portals(1, assessment)
    ground.kafka.kill()
    trace_id = await submitted(portal)
    await sink.trace(trace_id, lambda found: not found)  # what a process knows of its spans dies with it
    assessment.kill()
    await restart(ground.kafka)
    await restart(assessment)
    assert EDGES
    await sink.trace(trace_id, lacking(EDGES))


@pytest.mark.parametrize("point", ["batch.handled", "batch.published"])
async def test_a_fact_comes_again_after_its_consumer_died(
    point: str, ground: Ground, assessment: Part, scoring: Part, portals: Portals, sink: Sink
) -> None:
    (portal,) = portals(1, assessment)
    await asyncio.to_thread(scoring.stop)
    trace_id = await submitted(portal)
    scoring.env["CRASH_AT"] = point
    try:
        scoring.launch()
    finally:
        del scoring.env["CRASH_AT"]
    assert await died(scoring) == -signal.SIGKILL
    await restart(scoring)
    found = await sink.trace(trace_id, lacking(EDGES))
    assert len({span["attributes"]["cloudevents.event_id"] for span in found if span["kind"] == "producer"}) == 2
