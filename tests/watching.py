"""What an operator of the running lab sees: the trace sink, and the metrics of a process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from lab.system import System
from tests.acting import DEADLINE_S, Headers

Spans = Sequence[Mapping[str, Any]]
Edge = tuple[tuple[str, str], tuple[str, str]]
"""Parent and child, each by its service and name."""


@dataclass(frozen=True)
class Sink:
    """The trace sink of the running lab."""

    address: str

    async def trace(self, trace_id: str, lacks: Callable[[Spans], object]) -> Spans:
        """The spans of a trace, once it lacks nothing."""
        found: Spans = []
        async with httpx.AsyncClient(base_url=self.address, trust_env=False) as client:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    while not found or lacks(found):
                        await asyncio.sleep(0.05)
                        answer = await client.get(f"/traces/{trace_id}")
                        found = answer.json() if answer.status_code == 200 else []
            except TimeoutError as error:
                names = [(span["service"], span["name"]) for span in found]
                raise AssertionError(f"trace {trace_id} lacks {found and lacks(found)}, has {names}") from error
        return found

    async def linked(self, trace_id: str, *, name: str) -> Spans:
        """The spans of this name that are linked to the trace from others, once there are any."""
        async with httpx.AsyncClient(base_url=self.address, trust_env=False) as client, asyncio.timeout(DEADLINE_S):
            while True:
                newest = (await client.get("/traces", params={"name": name})).json()
                traces = [(await client.get(f"/traces/{one}")).json() for one in newest if one != trace_id]
                spans: Spans = [span for found in traces for span in found]
                if leading := [s for s in spans if trace_id in {link["trace_id"] for link in s["links"]}]:
                    return leading
                await asyncio.sleep(0.05)


def traced() -> tuple[str, Headers]:
    """The id of a new trace, and the header that begins it."""
    trace_id = uuid4().hex
    return trace_id, {"traceparent": f"00-{trace_id}-{uuid4().hex[:16]}-01"}


def lacking(edges: Sequence[Edge]) -> Callable[[Spans], Sequence[Edge]]:
    """Which of these a trace does not have."""

    def lacks(found: Spans) -> Sequence[Edge]:
        by_id = {span["span_id"]: (span["service"], span["name"]) for span in found}
        had = {(by_id.get(span["parent_id"]), (span["service"], span["name"])) for span in found}
        return [edge for edge in edges if edge not in had]

    return lacks


async def scraped(living_lab: System, service: str) -> dict[str, Any]:
    """Name → the family, as Prometheus reads it; of ours, not those of any process."""
    address = f"http://127.0.0.1:{living_lab.parts[service].env['METRICS_PORT']}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(address)).text
    families = text_string_to_metric_families(text)
    return {family.name: family for family in families if family.name.startswith("livinglab_")}
