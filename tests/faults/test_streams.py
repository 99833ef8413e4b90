"""Live streams while Kafka and the processes that serve them die: whoever comes with the last id misses nothing."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from contracts.regions import Directory
from lab.keys import webhook_settings
from lab.parts import Part
from tests.faults.ground import Ground, restart, running
from tests.notify.listener import Listener
from tests.notify.office import Sent, sent

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

WITHIN_S = 90.0
REGIONS = [region.code for region in Directory.load() if region.code.startswith("33.")]


class Reader:
    """A ministry's screen: stays on, at one replica after the other, with the last id that it was given."""

    def __init__(self, ground: Ground, replicas: Sequence[Part], http: httpx.AsyncClient) -> None:
        self._ground = ground
        self._replicas = replicas
        self._http = http
        self.last = ""
        self.heard: list[str] = []
        self.opened = 0
        self.resets = 0

    async def read(self) -> None:
        """For ever."""
        while True:
            part = self._replicas[self.opened % len(self._replicas)]
            self.opened += 1
            with suppress(httpx.TransportError):
                await self._listen(part)
            await asyncio.sleep(0.1)  # as browsers do, if shorter

    async def _listen(self, part: Part) -> None:
        headers = self._ground.tokens("kemendagri", "pembina") | ({"Last-Event-ID": self.last} if self.last else {})
        asked = {"region": "33", "type": "assessment.*"}
        address = f"{part.address}/notify/v1/stream"
        async with self._http.stream("GET", address, params=asked, headers=headers, timeout=20) as answer:
            if answer.status_code != 200:
                return
            listener = Listener(answer.aiter_bytes())
            if not self.last:
                await listener.until_id()
                self.last = listener.last
            try:
                while taken := await listener.take(1):
                    self.resets += taken[0].event == "reset"
                    if "specversion" in taken[0].data:
                        self.heard.append(taken[0].name)
            finally:
                self.last = listener.last or self.last


@asynccontextmanager
async def screen(ground: Ground, replicas: Sequence[Part], http: httpx.AsyncClient) -> AsyncGenerator[Reader]:
    """It is on."""
    administrator = ground.tokens("kemenpanrb", "administrator")
    right = f"{replicas[0].address}/notify/v1/rights/kemendagri"
    assert (await http.put(right, json={"reach": "national"}, headers=administrator)).status_code == 200
    reader = Reader(ground, replicas, http)
    reading = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(WITHIN_S):
            while not reader.last:
                await asyncio.sleep(0.05)
        yield reader
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


class Happenings:
    """What was acknowledged by Kafka, whatever became of the broker."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.revision = 0
        self.facts: list[Sent] = []

    async def happen(self, revisions: int) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._ground.kafka.address, acks="all")
        await producer.start()
        try:
            for _ in range(revisions):
                self.revision += 1
                for code in REGIONS:
                    fact = sent(code, self.revision)
                    headers = fact.envelope.headers()
                    await producer.send_and_wait(fact.topic.name, fact.value, key=code.encode(), headers=headers)
                    self.facts.append(fact)
        finally:
            await producer.stop()

    async def all_heard(self, reader: Reader) -> str:
        wanted = {str(fact.envelope.id) for fact in self.facts}
        async with asyncio.timeout(WITHIN_S):
            while not wanted <= set(reader.heard):
                await asyncio.sleep(0.1)
        for code in REGIONS:
            order = [str(fact.envelope.id) for fact in self.facts if fact.key == code]
            known = set(order)
            assert list(dict.fromkeys(name for name in reader.heard if name in known)) == order, code
        mine = [name for name in reader.heard if name in wanted]
        return f"{len(wanted)} events, none missing, {len(mine) - len(wanted)} repeats, {reader.opened} connections"


@pytest.fixture(scope="module")
async def replicas(ground: Ground) -> AsyncGenerator[list[Part]]:
    own = webhook_settings(ground.directory / "notify-keys")
    parts = [ground.service("notify", label=f"stream-{n}", ROLE="api", **own) for n in range(2)]
    async with running(*parts):
        yield parts


async def test_kafka_dies_and_comes_back(ground: Ground, replicas: list[Part], http: httpx.AsyncClient) -> None:
    happenings = Happenings(ground)
    async with screen(ground, replicas, http) as reader:
        for _ in range(2):
            await happenings.happen(2)
            ground.kafka.kill()
            await restart(ground.kafka)
            await happenings.happen(2)
        told = await happenings.all_heard(reader)
        assert reader.resets == 0
    print(f"\nKafka killed twice under a stream: {told}")


async def test_the_replicas_die_in_turns(ground: Ground, replicas: list[Part], http: httpx.AsyncClient) -> None:
    happenings = Happenings(ground)
    happenings.revision = 100
    async with screen(ground, replicas, http) as reader:
        for part in (*replicas, *replicas):
            happening = asyncio.create_task(happenings.happen(2))
            part.kill()
            await happening
            await restart(part)
        told = await happenings.all_heard(reader)
        assert reader.resets == 0
        assert reader.opened > 2
    print(f"\nreplicas killed four times under a stream: {told}")
