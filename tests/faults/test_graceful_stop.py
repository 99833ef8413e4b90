"""SIGTERM at the worst moments: the process ends in order and in time, and nothing is lost."""

import asyncio
import signal
from collections.abc import Callable
from time import monotonic

import pytest

from lab.parts import Part
from tests.faults.ground import Ground, died, restart, running, terminate
from tests.faults.portal import Ledger, Portal
from tests.faults.proxy import Proxy
from tests.faults.violations import no_violations
from tests.faults.watch import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

Portals = Callable[..., list[Portal]]
GRACE_S = 30.0
"""What orchestrators grant before they kill."""
IN_ORDER = (0, -signal.SIGTERM)
"""uvicorn raises the signal again once all is done, so that its parent sees what ended it."""


async def stopped_in_order(*parts: Part) -> float:
    """Terminate them all and wait; the seconds it took. Raises AssertionError unless all ended in order and in time."""
    began = monotonic()
    for part in parts:
        terminate(part)
    statuses = await asyncio.gather(*map(died, parts))
    took = monotonic() - began
    for part, status in zip(parts, statuses, strict=True):
        assert status in IN_ORDER, f"{part.name} ended with {status}:\n{part.log_tail()}"
        assert "Application shutdown complete" in part.log_tail(), f"{part.name} did not finish:\n{part.log_tail()}"
    assert took < GRACE_S, f"it took {took:.1f} s to stop"
    return took


async def test_services_stop_while_kafka_is_gone(ground: Ground, portals: Portals, ledger: Ledger) -> None:
    assessment, scoring = ground.service("assessment"), ground.service("scoring")
    async with running(assessment, scoring):
        await portals(1, assessment)[0].portray()
        await no_violations(ground, ledger)
        ground.kafka.kill()
        for portal in portals(5, assessment):
            await portal.portray()
        took = await stopped_in_order(assessment, scoring)
        await asyncio.gather(restart(ground.kafka), restart(assessment))
        await restart(scoring)
        await no_violations(ground, ledger)
    print(f"\nstopped in {took:.1f} s while Kafka was gone, violations 0")


async def test_a_worker_stops_while_a_batch_runs(ground: Ground, portals: Portals, ledger: Ledger) -> None:
    assessment, scoring = ground.service("assessment"), ground.service("scoring", BATCH_MAX_RECORDS="5")
    async with running(assessment):
        crowd = portals(60, assessment)
        theirs = {"assessment": {"$in": [portal.id for portal in crowd]}}
        await asyncio.gather(*(portal.portray() for portal in crowd))
        scoring.launch()
        async with running(scoring):

            async def begun() -> bool:
                return await ground.scoring["history"].count_documents(theirs) > 0

            await eventually("a batch runs", begun)
            took = await stopped_in_order(scoring)
            await restart(scoring)
            await no_violations(ground, ledger)
    print(f"\nstopped in {took:.1f} s while batches ran, violations 0")


async def test_a_worker_stops_while_its_batch_waits_for_kafka(ground: Ground, portals: Portals, ledger: Ledger) -> None:
    async with Proxy(0, upstream=ground.mongod.port) as proxy:
        through = {"MONGODB_URI": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"}
        assessment = ground.service("assessment")
        scoring = ground.service("scoring", MONGODB_TIMEOUT_MS="30000", **through)
        async with running(assessment, scoring):
            crowd = portals(5, assessment)
            theirs = {"assessment": {"$in": [portal.id for portal in crowd]}}
            await portals(1, assessment)[0].portray()
            await no_violations(ground, ledger)
            proxy.hold(b"history\x00")
            await asyncio.gather(*(portal.portray() for portal in crowd))

            async def written() -> bool:
                return await ground.scoring["history"].count_documents(theirs) > 0

            await eventually("the batch is written, and waits for the answer", written)
            ground.kafka.kill()
            proxy.release()

            async def waits() -> bool:
                return await ground.scoring["current"].count_documents(theirs) > 0

            await eventually("the batch has written all and publishes", waits)
            took = await stopped_in_order(scoring)
            await restart(ground.kafka)
            await restart(scoring)
            await no_violations(ground, ledger)
    print(f"\nstopped in {took:.1f} s while a batch waited for Kafka, violations 0")
