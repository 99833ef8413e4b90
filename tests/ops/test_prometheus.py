"""A real Prometheus beside the running system, under the very rules that are deployed: every panel shows something."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from contracts import topics
from contracts.telemetry import metrics
from lab import system
from tests.acting import Region, Tokens
from tests.committing import drafted
from tests.listening import Listener, Subscriber
from tests.ops import monitoring
from tests.ops.monitoring import OBSERVABILITY, asked

pytestmark = [pytest.mark.ops, pytest.mark.real, pytest.mark.timeout(540)]

WITHIN_S = 120.0
VARIABLES = {"$__rate_interval": "1m", "$service": "notify"}
ONLY_IN_TROUBLE = frozenset({"Errors by status"})
"""Of notify, on a good day."""


@pytest.fixture
async def prometheus(living_lab: system.System, tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """It scrapes every process."""
    services = {name: living_lab.parts[name] for name in metrics.ALL_SERVICES}
    with monitoring.prometheus(tmp_path / "prometheus", services) as part:
        async with httpx.AsyncClient(base_url=f"{part.address}/api/v1", trust_env=False) as client:
            yield client


def panels() -> Iterator[tuple[str, str]]:
    """Title and query."""
    for path in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                query = target["expr"]
                for name, value in VARIABLES.items():
                    query = query.replace(name, value)
                yield panel["title"], query


async def test_every_panel_and_every_metric_shows_something_under_load(
    prometheus: httpx.AsyncClient,
    living_lab: system.System,
    commitment: httpx.AsyncClient,
    tokens: Tokens,
    region_in: Callable[[str], Region],
    free_regions: Iterator[str],
    subscriber: Callable[..., Subscriber],
    listeners: Callable[[str], Listener],
) -> None:
    administrator = subscriber("kemenpanrb", "administrator")
    assert (await administrator.send("PUT", "rights/kemendagri", json={"reach": "national"})).status_code == 200
    ministry, listener = subscriber("kemendagri", "pembina"), listeners("receiver")
    made = await ministry.subscribe(listener.url, "*")
    await listener.told(secrets=[made["secret"]])
    assert (await ministry.command(made["subscription"], "verification")).status_code == 200
    two = sorted(next(free_regions) for _ in range(2))
    one = await drafted(commitment, tokens, living_lab.directory / "pki", two[0], two)
    text = (await one.open())["text_sha256"]
    await _put_garbage(living_lab)

    region = region_in("spbe-2022")
    await region.open()
    await region.fill(3)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(ministry.stream("stream"))
        assert (await one.sign(two[0], text_sha256=text)).status_code == 200
        await one.follow_up(two[0])
        signs_later = two[1:]  # the first of a kind makes a series, the second a rate
        missing: list[str] = []
        async with asyncio.timeout(WITHIN_S):
            while True:
                # Again and again: counters that stand still have no rate.
                assert (await region.submit()).status_code == 200
                assert (await region.reopen()).status_code == 200
                await ministry.deliveries()
                async with ministry.stream("stream"):
                    pass
                missing = [
                    f"{title}: {query}"
                    for title, query in panels()
                    if title not in ONLY_IN_TROUBLE and not await asked(prometheus, query)
                ]
                missing += [
                    row.full_name
                    for row in metrics.ALL
                    if not await asked(prometheus, row.full_name + ("_count" if row.kind == "histogram" else ""))
                ]
                if not missing:
                    break
                print(f"{len(missing)} missing: {missing[:3]}")
                if signs_later and await asked(prometheus, 'livinglab_signing_seconds_count{outcome="signed"}'):
                    assert (await one.sign(signs_later.pop(), text_sha256=text)).status_code == 200
    groups = (await prometheus.get("rules")).json()["data"]["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
    ever = {"start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
    for metric in (metrics.HTTP_SECONDS, metrics.EVENT_AGE):
        found = await prometheus.get("query_exemplars", params={"query": f"{metric.full_name}_bucket", **ever})
        exemplars = [one for series in found.json()["data"] for one in series["exemplars"]]
        assert all(len(one["labels"]["trace_id"]) == 32 for one in exemplars)
        assert exemplars, f"no exemplar of {metric.name} leads to a trace"


async def _put_garbage(living_lab: system.System) -> None:
    """A record that breaks its contract: it is set aside, and counted."""
    producer = AIOKafkaProducer(bootstrap_servers=living_lab.environment["KAFKA_BOOTSTRAP_SERVERS"])
    await producer.start()
    try:
        await producer.send_and_wait(topics.ASSESSMENT.name, b"no fact", key=uuid4().bytes)
    finally:
        await producer.stop()
