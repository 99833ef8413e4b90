"""The request arrives, the answer is cut: between services and MongoDB, and between services and Kafka."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from tests.faults.ground import Ground, running
from tests.faults.portal import Ledger, Portal
from tests.faults.proxy import Proxy
from tests.faults.violations import no_violations

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

Portals = Callable[..., list[Portal]]
REGIONS = 30
LOST = 0.02
"""Share of the pieces of MongoDB's answers; each breaks its connection too."""
LOST_OF_KAFKA = 0.4
STORM_S = 3.5
"""So long all are lost, which is longer than an operation may take: clients are refused what was done."""
SEED = 20261122
ENOUGH = 10
"""Answers lost. How many pieces carry the facts depends on the machine: on a slow one, outboxes send many together."""


async def portray_all(crowd: list[Portal]) -> None:
    async def portray(portal: Portal) -> None:
        await portal.portray()
        await portal.correct()

    await each(crowd, portray)


async def each(crowd: list[Portal], act: Callable[[Portal], Awaitable[object]]) -> None:
    turns = asyncio.Semaphore(4)

    async def in_turn(portal: Portal) -> None:
        async with turns:
            await act(portal)

    await asyncio.gather(*map(in_turn, crowd))


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
async def test_mongod_answers_are_lost(seed: int, ground: Ground, portals: Portals, ledger: Ledger) -> None:
    rng = Random(seed)
    async with Proxy(0, upstream=ground.mongod.port) as proxy:
        through = {"MONGODB_URI": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"}
        services = [ground.service(name, label=f"{name}-{seed}", **through) for name in ("assessment", "scoring")]
        async with running(*services):
            before, unanswered = ledger.commands, ledger.unanswered()
            proxy.loses = lambda: rng.random() < LOST
            traffic = asyncio.create_task(portray_all(portals(REGIONS, services[0], seed=seed)))
            for _ in range(2):
                await asyncio.wait([traffic], timeout=rng.uniform(0.5, 1.5))
                proxy.loses = lambda: True
                await asyncio.wait([traffic], timeout=STORM_S)
                proxy.loses = lambda: rng.random() < LOST
            await traffic
            proxy.loses = lambda: False
            await no_violations(ground, ledger)
    assert proxy.cuts > ENOUGH, "hardly any answer was lost"
    assert ledger.unanswered() > unanswered, "no client was left in doubt"
    print(
        f"\nseed {seed}: {proxy.cuts} answers of mongod lost, {ledger.unanswered() - unanswered} requests refused, "
        f"{ledger.commands - before} commands acknowledged, violations 0"
    )


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
async def test_kafka_answers_are_lost(seed: int, ground: Ground, portals: Portals, ledger: Ledger) -> None:
    rng = Random(seed)
    through = {"KAFKA_BOOTSTRAP_SERVERS": ground.kafka_proxied}
    async with Proxy(int(ground.kafka_proxied.rpartition(":")[2]), upstream=ground.kafka_behind) as proxy:
        services = [ground.service(name, label=f"{name}-k{seed}", **through) for name in ("assessment", "scoring")]
        async with running(*services):
            before, refused = ledger.commands, ledger.unanswered()
            proxy.loses = lambda: rng.random() < LOST_OF_KAFKA
            crowd = portals(REGIONS, services[0], seed=seed)
            await portray_all(crowd)
            while proxy.cuts <= ENOUGH:
                await each(crowd, Portal.correct)
            proxy.loses = lambda: False
            await no_violations(ground, ledger)
    assert ledger.unanswered() == refused, "a client noticed that Kafka is in trouble"
    done = ledger.commands - before
    print(f"\nseed {seed}: {proxy.cuts} answers of Kafka lost, {done} commands acknowledged, violations 0")
