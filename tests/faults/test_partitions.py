"""Partitions are added to a topic with facts on it: keys move, and what follows from them is the same."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from contracts.topics import ASSESSMENT
from tests.acting import Region
from tests.faults.ground import Ground, a_ground, running

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

CODES = ("32.11", "32.73", "32.05", "32.04", "32.08", "32.10", "32.09", "32.74")
MORE = ASSESSMENT.partitions + 5


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncGenerator[Ground]:
    async with a_ground(tmp_path / "ground") as fresh:
        yield fresh


def add_partitions(address: str) -> None:
    """As `kafka-topics.sh --alter --partitions` does it."""
    admin: Any = AdminClient({"bootstrap.servers": address})
    for done in admin.create_partitions([NewPartitions(ASSESSMENT.name, MORE)]).values():
        done.result()


def on(address: str, partition: int) -> int:
    """How many records a partition has."""
    consumer: Any = Consumer({"bootstrap.servers": address, "group.id": "looks"})
    try:
        return consumer.get_watermark_offsets(TopicPartition(ASSESSMENT.name, partition), timeout=20)[1]
    finally:
        consumer.close()


async def test_every_region_is_scored_on_wherever_its_key_lies(ground: Ground) -> None:
    parts = [ground.service("assessment"), ground.service("scoring")]
    async with AsyncExitStack() as stack:
        clients: list[httpx.AsyncClient] = []
        for part in parts:
            client = httpx.AsyncClient(base_url=f"{part.address}/{part.name}/v1", timeout=20, trust_env=False)
            clients.append(await stack.enter_async_context(client))
        regions = [
            Region(code, "spbe-2023", ground.tokens(code, "penanggung-jawab", "koordinator-spbe"), *clients)
            for code in CODES
        ]
        async with running(*parts):
            for region in regions:
                await region.open()
                await region.fill(2)
                assert (await region.submit()).status_code == 200
            for region in regions:
                await region.score()
            await asyncio.to_thread(add_partitions, ground.kafka.address)
        async with running(*parts):  # started anew, they see the new ones at once; else within five minutes
            for region in regions:
                assert (await region.reopen()).status_code == 200
                await region.fill(4)
                submitted = await region.submit()
                score = await region.score(revision=submitted.json()["revision"])
                assert score["scores"]["self"]["index"]["shown"] == "4.00", region.code
    moved = [await asyncio.to_thread(on, ground.kafka.address, n) for n in range(ASSESSMENT.partitions, MORE)]
    assert sum(moved), "no key moved: nothing was shown"
