"""Something breaks for real, somebody is told; it is mended, and that is told too. Nothing here waits for less than
what is deployed waits for, but that an alert is over is told at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import httpx
import pytest
from aiohttp import web

from lab.keys import webhook_settings
from lab.observability.slos import AT_LEAST
from lab.parts import Part
from tests.faults.ground import Ground, a_ground, restart, running
from tests.faults.portal import Ledger, Portal
from tests.listening import hears_of_everything
from tests.notify.office import Endpoint, listening
from tests.ops import monitoring

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

WITHIN_S = 240.0
REGION = "32.11"


class OnCall:
    """Who is told: the newest of each alert, by its name, and where it came to."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[str, dict[str, Any]]] = {}
        self.address = ""

    async def handle(self, request: web.Request) -> web.Response:
        for alert in (await request.json())["alerts"]:
            self.told[alert["labels"]["alertname"]] = (request.path, alert)
        return web.Response()

    def status(self, alert: str) -> str | None:
        """`firing`, `resolved`, or None for one that nobody was told of."""
        return self.told[alert][1]["status"] if alert in self.told else None


@pytest.fixture
async def on_call() -> AsyncGenerator[OnCall]:
    told = OnCall()
    app = web.Application()
    app.router.add_post("/{route}", told.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield told
    await runner.cleanup()


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncGenerator[Ground]:
    async with a_ground(tmp_path / "ground") as fresh:
        yield fresh


async def refuse(_name: str, _count: int) -> web.Response:
    """What an endpoint says that has no room."""
    return web.Response(status=507)


async def a_moment() -> None:
    """Between two looks."""
    await asyncio.sleep(0.2)


async def begins_at_zero(prometheus: Part, counter: str) -> None:
    """Return once Prometheus knows it so: what was counted before its first look is no increase."""
    async with httpx.AsyncClient(base_url=f"{prometheus.address}/api/v1", trust_env=False) as client:
        async with asyncio.timeout(WITHIN_S):
            while not (series := await monitoring.asked(client, counter)):
                await a_moment()
    assert {one["value"][1] for one in series} == {"0"}


async def while_not(done: Callable[[], object], act: Callable[[], Awaitable[object]], on_call: OnCall) -> None:
    """Act again and again until it is so."""
    deadline = monotonic() + WITHIN_S
    while not done():
        assert monotonic() < deadline, f"told were {on_call.told}"
        await act()


async def test_a_broker_stops_and_an_endpoint_fails_and_both_come_back(
    ground: Ground, on_call: OnCall, tmp_path: Path
) -> None:
    keys = webhook_settings(tmp_path / "keys")
    tries = {"WEBHOOK_SCHEDULE_S": "[0]", "WEBHOOK_PAUSE_S": "0.05"}  # one for each event, not several over days
    assessment, notify = ground.service("assessment"), ground.service("notify", **(keys | tries))
    alertmanager = monitoring.alertmanager(tmp_path / "alertmanager", receivers=on_call.address)
    services = {"assessment": assessment, "notify": notify}
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=15, trust_env=False))
        endpoint = await stack.enter_async_context(listening(Endpoint()))
        prometheus = monitoring.prometheus(tmp_path / "prometheus", services, alertmanager=alertmanager)
        await stack.enter_async_context(running(assessment, notify, alertmanager, prometheus))
        endpoint.secret = await hears_of_everything(http, notify.address, ground.tokens, endpoint.url)
        headers = ground.tokens(REGION, "penanggung-jawab", "koordinator-spbe")
        portal = Portal(REGION, "spbe-2024", headers, [assessment.address], http, Ledger(), Random(REGION))
        await portal.portray()

        async def report() -> None:
            await portal.reopen()
            await portal.submit()

        def firing(alert: str) -> bool:
            return on_call.status(alert) == "firing"

        await begins_at_zero(prometheus, 'livinglab_deliveries_total{outcome="exhausted"}')
        endpoint.answers = refuse
        await while_not(lambda: len(endpoint.came) > AT_LEAST, report, on_call)
        await while_not(lambda: firing("DeliveriesExhausted"), a_moment, on_call)
        ground.kafka.kill()
        await report()
        await while_not(lambda: firing("OutboxOld"), a_moment, on_call)
        for alert in ("DeliveriesExhausted", "OutboxOld"):
            where, told = on_call.told[alert]
            assert where == "/pages"
            assert told["annotations"]["runbook"] == f"docs/runbooks/{alert}.md"
            assert told["annotations"]["summary"] != told["annotations"]["summary_id"]
        assert on_call.told["OutboxOld"][1]["labels"]["service"] == "assessment"
        held_back = (await http.get(f"{alertmanager.address}/api/v2/alerts", params={"active": "false"})).json()
        assert ("DeliveriesExhausted", "ticket") in {
            (one["labels"]["alertname"], one["labels"]["severity"]) for one in held_back if one["status"]["inhibitedBy"]
        }

        await restart(ground.kafka)
        endpoint.answers = None
        await while_not(
            lambda: {on_call.status("OutboxOld"), on_call.status("DeliveriesExhausted")} == {"resolved"},
            report,
            on_call,
        )
