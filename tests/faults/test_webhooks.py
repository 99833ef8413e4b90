"""Every event reaches every endpoint, whoever dies on the way: nothing missing, same bytes, order where asked for."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from random import Random
from time import monotonic

import httpx
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer

from chassis.crash import POINTS
from chassis.settings import Settings
from chassis.store import connect
from contracts.regions import Directory
from lab.keys import webhook_settings
from lab.parts import Part
from services.notify.consumers import reactions
from tests.acting import key
from tests.faults.ground import Ground, died, restart, running
from tests.faults.topicreader import lag
from tests.notify.office import Endpoint, Sent, listening, sent

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SETTLES_WITHIN_S = 120.0
REGIONS = [region.code for region in Directory.load() if region.code.startswith("32.")]
IN_SENDS = [point for point in POINTS if point.startswith(("send.", "batch."))]
TRIES = "[0, 0.2, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"


@dataclass
class Post:
    """Two ministries' endpoints, one of them in order, and what was sent to Kafka for them."""

    ground: Ground
    plain: Endpoint
    ordered: Endpoint
    forbidden_url: str
    forbidden: list[object] = field(default_factory=list[object])
    """Connections to a place that no webhook may go to."""
    facts: list[Sent] = field(default_factory=list[Sent])
    revisions: int = 0
    last: Part | None = None
    """The process of the service that was made last."""

    def notify(self, label: str, **environment: str) -> Part:
        """A process of the service."""
        own = webhook_settings(self.ground.directory / "notify-keys")
        told = {**own, "WEBHOOK_SCHEDULE_S": TRIES, "WEBHOOK_PAUSE_S": "0.2", "WEBHOOK_TIMEOUT_S": "2"}
        self.last = self.ground.service("notify", label=label, **told, BATCH_MAX_RECORDS="20", **environment)
        return self.last

    async def happen(self, revisions: int = 4) -> None:
        """So many facts of each region reach Kafka, in order."""
        producer = AIOKafkaProducer(bootstrap_servers=self.ground.kafka.address, acks="all")
        await producer.start()
        try:
            for _ in range(revisions):
                self.revisions += 1
                for code in REGIONS:
                    fact = sent(code, self.revisions)
                    await producer.send_and_wait(
                        fact.topic.name, fact.value, key=code.encode(), headers=fact.envelope.headers()
                    )
                    self.facts.append(fact)
        finally:
            await producer.stop()

    async def settled(self) -> tuple[int, int]:
        """Until both have everything. How many events, and how many of them came more than once."""
        wanted = {str(fact.envelope.id) for fact in self.facts}
        deadline = monotonic() + SETTLES_WITHIN_S
        while not all(wanted <= set(endpoint.taken) for endpoint in self._ends().values()):
            assert monotonic() < deadline, await self._unrest(wanted)
            await asyncio.sleep(0.1)
        repeated = 0
        for endpoint in self._ends().values():
            came = [(name, body) for name, body in endpoint.came if name in wanted]
            assert len(set(came)) == len(wanted), "an event came with other bytes"
            repeated += sum(count > 1 for count in endpoint.times().values())
        for code in REGIONS:
            order = [str(fact.envelope.id) for fact in self.facts if fact.key == code]
            firsts = list(dict.fromkeys(name for name in self.ordered.taken if name in order))
            assert firsts == order, f"{code} came out of order"
        assert not self.forbidden, "somebody connected where no webhook may go"
        return len(wanted), repeated

    async def _unrest(self, wanted: set[str]) -> str:
        """What did not come, where it waits, and what the service said."""
        said = [f"{name}: {len(wanted - set(end.taken))} did not come" for name, end in self._ends().items()]
        client, database = connect(
            Settings.model_validate({"mongodb_uri": self.ground.mongod.address}), service="notify"
        )
        with closing(client):
            for name in ("lanes", "endpoints"):
                said += [f"{name}: {one}" async for one in database[name].find().limit(10)]
            said += [f"delivery: {one}" async for one in database["deliveries"].find({"status": "pending"}).limit(10)]
        for reaction in reactions.declared:
            behind = await lag(self.ground.kafka.address, reaction.topic, group=reaction.group)
            said += [f"{reaction.group} is {behind} behind"] if behind else []
        return "\n".join([*said, self.last.log_tail() if self.last else ""])

    def _ends(self) -> dict[str, Endpoint]:
        return {"plain": self.plain, "ordered": self.ordered}


@asynccontextmanager
async def subscribed(ground: Ground, part: Part, post: Post, http: httpx.AsyncClient) -> AsyncGenerator[None]:
    """While `part` runs: Kemendagri's right is set, both its endpoints are proved."""
    address = f"{part.address}/notify/v1"
    administrator, ministry = ground.tokens("kemenpanrb", "administrator"), ground.tokens("kemendagri", "pembina")
    right = await http.put(f"{address}/rights/kemendagri", json={"reach": "national"}, headers=administrator)
    assert right.status_code == 200, right.text
    for endpoint, ordered in ((post.plain, False), (post.ordered, True)):
        asked = {"name": "Uji", "url": endpoint.url, "types": ["*"], "regions": ["32"], "ordered": ordered}
        made = await http.post(f"{address}/subscriptions", json=asked, headers=ministry | key())
        endpoint.secret = made.json()["secret"]
        proving = f"{address}/subscriptions/{made.json()['subscription']}/verification"
        proved = await http.post(proving, headers=ministry | key() | {"If-Match": made.headers["etag"]})
        assert proved.status_code == 200, proved.text
    yield


@pytest.fixture(scope="module")
async def post(ground: Ground, http: httpx.AsyncClient) -> AsyncGenerator[Post]:
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(listening(Endpoint()))
        ordered = await stack.enter_async_context(listening(Endpoint()))
        came: list[object] = []
        server = await asyncio.start_server(lambda _, writer: came.append(writer), "127.0.0.1", 0)
        await stack.enter_async_context(server)
        post = Post(ground, plain, ordered, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", came)
        part = post.notify("notify")
        async with running(part), subscribed(ground, part, post, http):
            await post.happen(1)
            await post.settled()
        yield post


@pytest.mark.parametrize("point", IN_SENDS)
async def test_a_worker_dies_while_it_hears_or_sends(point: str, post: Post) -> None:
    dying = post.notify("notify", CRASH_AT=f"{point}:3")
    await post.happen(2)
    dying.launch()
    assert await died(dying) == -signal.SIGKILL
    async with running(post.notify("notify")):
        events, repeated = await post.settled()
    print(f"\ndied at {point}: {events} events reached both endpoints, {repeated} came more than once")


async def test_an_endpoint_that_takes_nothing_for_a_while_loses_nothing(post: Post) -> None:
    async def away(_name: str, _count: int) -> web.Response:
        return web.Response(status=302, headers={"Location": post.forbidden_url})

    post.ordered.answers = away
    async with running(post.notify("notify")):
        await post.happen(2)
        async with asyncio.timeout(SETTLES_WITHIN_S):
            while len(post.ordered.came) < len(post.facts):
                await asyncio.sleep(0.05)
                if len(post.ordered.came) > len(post.ordered.taken) + 3:
                    break
        post.ordered.answers = None
        events, repeated = await post.settled()
    print(f"\na redirecting endpoint: {events} events reached both in the end, {repeated} came more than once")


@pytest.mark.parametrize("seed", [20261122, 20261123])
async def test_workers_broker_and_database_die_again_and_again(seed: int, post: Post) -> None:
    chance = Random(seed)
    workers = [post.notify("notify", ROLE="worker"), post.notify("notify-2", ROLE="worker")]
    victims: Sequence[Part] = [*workers, *workers, post.ground.mongod, post.ground.kafka]
    killed: list[str] = []
    async with running(*workers):
        for _ in range(8):
            happening = asyncio.create_task(post.happen(1))
            await asyncio.sleep(chance.uniform(0.05, 0.4))
            victim = chance.choice([*victims])
            if victim is not post.ground.kafka:
                victim.kill()
                killed.append(victim.name)
                await restart(victim)
                await happening
            else:  # what it has acknowledged it keeps; the test's own producer waits for it
                await happening
                victim.kill()
                killed.append(victim.name)
                await restart(victim)
        events, repeated = await post.settled()
    counts = {name: killed.count(name) for name in sorted(set(killed))}
    print(f"\nseed {seed}: {counts} killed, {events} events reached both endpoints, {repeated} came more than once")
