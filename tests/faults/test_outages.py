"""Kafka or MongoDB is killed under traffic, and comes back."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from time import monotonic
from typing import Any

import httpx
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chassis.producer import KafkaDown, Producer, Sent
from chassis.settings import Settings
from lab.parts import Part
from tests.faults.ground import Ground, restart, running
from tests.faults.portal import Ledger, Portal
from tests.faults.violations import no_violations

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

Portals = Callable[..., list[Portal]]
SCRATCH = "scratch"
KAFKA_GONE_S = 30.0
MONGOD_GONE_S = 10.0
"""Three times what one operation may take: whatever gives up does so meanwhile."""


@pytest.fixture(scope="module")
async def assessment(ground: Ground) -> AsyncGenerator[Part]:
    part = ground.service("assessment")
    async with running(part):
        yield part


@pytest.fixture(scope="module")
async def scoring(ground: Ground, assessment: Part) -> AsyncGenerator[Part]:
    part = ground.service("scoring")
    async with running(part):
        yield part


@pytest.fixture
async def producer(ground: Ground) -> AsyncGenerator[Producer]:
    """One of our own, with a topic of its own."""
    admin: Any = AdminClient({"bootstrap.servers": ground.kafka.address, "log_level": 0})  # its futures have no type
    admin.create_topics([NewTopic(SCRATCH, num_partitions=1)])[SCRATCH].result()
    own = Producer(Settings(kafka_bootstrap_servers=ground.kafka.address), service="test")
    yield own
    await own.stop()


async def probe(http: httpx.AsyncClient, part: Part, path: str) -> int:
    return (await http.get(f"{part.address}{path}")).status_code


async def until(portals: Iterable[Portal], end: float) -> int:
    """Portray one region after the other until that time; how many."""
    done = 0
    for portal in portals:
        if monotonic() > end:
            break
        await portal.portray()
        done += 1
        await asyncio.sleep(0.1)
    return done


async def until_full(producer: Producer) -> list[Sent]:
    """Send to one partition until the buffer takes no more; what it took."""
    sent: list[Sent] = []
    with pytest.raises(KafkaDown):
        while True:
            sent.append(await producer.send(SCRATCH, key=b"one", value=bytes(4_096), headers=[]))
    return sent


async def test_submissions_are_taken_while_kafka_is_gone_and_scored_when_it_is_back(
    ground: Ground,
    assessment: Part,
    scoring: Part,
    producer: Producer,
    portals: Portals,
    ledger: Ledger,
    http: httpx.AsyncClient,
) -> None:
    waiting = iter(portals(400, assessment))
    await until(waiting, monotonic() + 2)
    await producer.wait([await producer.send(SCRATCH, key=b"one", value=b"", headers=[])])
    ground.kafka.kill()
    end = monotonic() + KAFKA_GONE_S
    traffic = asyncio.create_task(until(waiting, end))
    filling = asyncio.create_task(until_full(producer))
    probed: set[tuple[str, int]] = set()
    while monotonic() < end:
        probed.add(("assessment /readyz", await probe(http, assessment, "/readyz")))
        probed |= {(f"{part.name} /livez", await probe(http, part, "/livez")) for part in (assessment, scoring)}
        await asyncio.sleep(0.2)
    done = await traffic
    assert {status for _, status in probed} == {200}, probed
    assert ledger.unanswered() == 0, ledger.answers
    back = monotonic()
    await restart(ground.kafka)
    await no_violations(ground, ledger)
    # The client that could take no more was not given up: what it took arrives, and it takes more.
    await producer.wait(await filling)
    await producer.wait([await producer.send(SCRATCH, key=b"one", value=b"", headers=[])])
    print(
        f"\nkafka gone {KAFKA_GONE_S:.0f} s: {done} regions submitted meanwhile, all scored {monotonic() - back:.1f} s "
        f"after it was started again, violations 0"
    )


async def test_nothing_acknowledged_is_lost_when_mongod_is_killed(
    ground: Ground, assessment: Part, scoring: Part, portals: Portals, ledger: Ledger, http: httpx.AsyncClient
) -> None:
    crowd = portals(30, assessment)
    turns = asyncio.Semaphore(4)

    async def act(portal: Portal) -> None:
        async with turns:
            await portal.portray()
            await portal.correct()

    before = ledger.commands
    traffic = asyncio.gather(*map(act, crowd))
    await asyncio.wait([traffic], timeout=1)
    ground.mongod.kill()
    gone_at, acknowledged = monotonic(), ledger.commands
    probed: set[int] = set()
    while monotonic() - gone_at < MONGOD_GONE_S:
        probed.add(await probe(http, assessment, "/readyz"))
        await asyncio.sleep(0.2)
    assert acknowledged < before + 3 * len(crowd), "the traffic was over before mongod was killed"
    assert 503 in probed, probed
    await restart(ground.mongod)
    back = monotonic()
    await traffic
    await no_violations(ground, ledger)
    assert {await probe(http, part, path) for part in (assessment, scoring) for path in ("/livez", "/readyz")} == {200}
    done, took = ledger.commands - before, monotonic() - back
    print(
        f"\nmongod gone {MONGOD_GONE_S:.0f} s: {ledger.unanswered()} requests refused or cut, {done} commands "
        f"acknowledged, at rest {took:.1f} s after it was back, violations 0"
    )
