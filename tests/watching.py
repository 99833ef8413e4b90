"""What an operator of the running lab sees: the trace sink, and the metrics of a process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from lab.system import System
from tests.acting import DEADLINE_S

Spans = Sequence[Mapping[str, Any]]


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


async def scraped(living_lab: System, service: str) -> dict[str, Any]:
    """Name → the family, as Prometheus reads it; of ours, not those of any process."""
    address = f"http://127.0.0.1:{living_lab.parts[service].env['METRICS_PORT']}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(address)).text
    families = text_string_to_metric_families(text)
    return {family.name: family for family in families if family.name.startswith("livinglab_")}
