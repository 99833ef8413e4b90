"""A tiny service of the tests' own: it hears of tools and of things made with them, and praises each thing.

Two reactions, as services have them: one keeps reference data and releases what waited for it, the other is a
projection that refers to it. Tests break them while they run.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import nan
from typing import Any

import httpx
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from chassis.consumer import Reactions
from chassis.deadletters import DeadLetters
from chassis.intake import Fork, UnknownReference
from chassis.publish import Publish
from chassis.records import Fact, OutgoingFact, Rejected, outgoing
from chassis.service import Parts, service
from chassis.settings import Settings
from chassis.store import Database, Document, keep_first, put_if_newer
from contracts.events import EventType
from contracts.fact import Body, Visibility
from contracts.topics import Topic
from tests.chassis.kafka import Kafka

AT = datetime(2023, 8, 1, 9, tzinfo=UTC)
DEADLINE_S = 20.0
RULE = 3


class Tool(Body):
    """Reference data."""

    tool: str

    @property
    def aggregate(self) -> str:
        return self.tool


class Thing(Body):
    """What was made, with which tool."""

    thing: str
    size: int = 1
    tool: str | None = None

    @property
    def aggregate(self) -> str:
        return self.thing


class Praise(Body):
    """What follows from a thing."""

    thing: str
    words: str

    @property
    def aggregate(self) -> str:
        return self.thing


@dataclass(frozen=True)
class Facts:
    """The topics of one test, and facts for them."""

    tools: Topic
    things: Topic
    praises: Topic

    @property
    def group(self) -> str:
        """Who hears of things."""
        return f"{self.things.name}.praise"

    @property
    def tools_group(self) -> str:
        """Who hears of tools."""
        return f"{self.tools.name}.learn"

    def tool(self, name: str) -> OutgoingFact:
        """A tool is there."""
        event = EventType("tool.bought", self.tools, Tool, "test", "A tool is there.")
        return outgoing(event, Tool(tool=name), key=name, revision=1, time=AT, visibility=Visibility.SUPERVISED)

    def thing(
        self,
        name: str,
        *,
        revision: int = 1,
        size: int = 1,
        tool: str | None = None,
        at: datetime = AT,
    ) -> OutgoingFact:
        """A thing was made."""
        event = EventType("thing.made", self.things, Thing, "test", "A thing was made.")
        body = Thing(thing=name, size=size, tool=tool)
        return outgoing(
            event, body, key=name, revision=revision, time=at, visibility=Visibility.SUPERVISED, region="32.11"
        )

    def praise(self, fact: Fact[Thing]) -> OutgoingFact:
        """What the projection publishes of a thing."""
        event = EventType("thing.praised", self.praises, Praise, "test", "A thing was praised.")
        return outgoing(
            event,
            Praise(thing=fact.body.thing, words=f"what a {fact.body.size}"),
            key=fact.key,
            revision=fact.envelope.revision,
            rule=RULE,
            time=fact.envelope.time,
            visibility=fact.envelope.visibility,
        )


@dataclass
class Troubles:
    """What a test breaks, and what it may look at."""

    poison: set[str] = field(default_factory=set[str])
    """Things whose reaction raises."""
    refused: set[str] = field(default_factory=set[str])
    """Things that the reaction rejects."""
    bug: Exception | None = None
    """Every reaction to things raises this."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Reactions to things wait for it."""
    tools_gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Reactions to tools wait for it."""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a reaction to things begins."""
    calls: list[list[str]] = field(default_factory=list[list[str]])
    handled: Counter[str] = field(default_factory=Counter[str])
    """How often a thing's reaction ran to its end."""

    def __post_init__(self) -> None:
        self.gate.set()
        self.tools_gate.set()


class Workshop:
    """All that this service keeps."""

    def __init__(self, parts: Parts, facts: Facts, troubles: Troubles) -> None:
        self.tools = parts.collection("tools")
        self.history = parts.collection("history")
        self.things = parts.collection("things")
        self.troubles = troubles
        self._facts = facts

    async def prepare(self) -> None:
        """Read by `_id` alone."""

    async def learn(self, facts: Sequence[Fact[Tool]], letters: DeadLetters) -> None:
        """Keep tools, then release what waited for them."""
        await self.troubles.tools_gate.wait()
        if forks := await keep_first(self.tools, [{"_id": f.body.tool, "digest": f.digest} for f in facts]):
            raise Fork(f"{forks[0]['_id']} was bought twice, differently")
        await letters.release([fact.body.tool for fact in facts])

    async def praise(self, facts: Sequence[Fact[Thing]], publish: Publish) -> None:
        """A projection: keep each thing, praise it."""
        troubles = self.troubles
        names = [fact.body.thing for fact in facts]
        troubles.calls.append(names)
        troubles.entered.set()
        await troubles.gate.wait()
        if troubles.bug:
            raise troubles.bug
        if bad := troubles.poison & set(names):
            raise RuntimeError(f"cannot praise {', '.join(sorted(bad))}")
        if bad := troubles.refused & set(names):
            raise Rejected("not_praiseworthy", f"{', '.join(sorted(bad))} is bad")
        for fact in facts:
            if fact.body.tool and await self.tools.find_one({"_id": fact.body.tool}) is None:
                raise UnknownReference(self._facts.tools, fact.body.tool)
        documents: list[Document] = [
            {
                "_id": fact.body.thing,
                "size": fact.body.size,
                "revision": fact.envelope.revision,
                "rule": RULE,
                "digest": fact.digest,
            }
            for fact in facts
        ]
        forks = await keep_first(self.history, [{**d, "_id": f"{d['_id']}/{d['revision']}"} for d in documents])
        if forks:
            raise Fork(f"two histories of {forks[0]['_id']}")
        await put_if_newer(self.things, documents)
        for fact in facts:
            await publish(self._facts.praise(fact), cause=fact)
        troubles.handled.update(names)


async def learn(facts: Sequence[Fact[Tool]], workshop: Workshop, letters: DeadLetters) -> None:
    """Reaction to tools."""
    await workshop.learn(facts, letters)


async def praise(facts: Sequence[Fact[Thing]], publish: Publish, workshop: Workshop) -> None:
    """Reaction to things."""
    await workshop.praise(facts, publish)


def create_app(settings: Settings, facts: Facts, troubles: Troubles) -> FastAPI:
    """The service, put together as ours are."""
    reactions = Reactions()
    reactions.to(facts.tools, group=facts.tools_group, of=Tool)(learn)
    reactions.to(facts.things, group=facts.group, of=Thing)(praise)
    return service(
        settings,
        name="workshop",
        routers=[],
        stores=[lambda parts: Workshop(parts, facts, troubles)],
        reactions=reactions,
    )


@dataclass(frozen=True)
class Running:
    """The service while it runs."""

    app: FastAPI
    http: httpx.AsyncClient
    troubles: Troubles

    async def metrics(self) -> dict[str, float]:
        """What Prometheus would scrape: the name and the values of its labels → value; NaN for what is not there."""
        address = f"http://127.0.0.1:{self.app.state.metrics_port}/metrics"
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(address)).text
        scraped = {
            sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        return defaultdict(lambda: nan, scraped)

    async def answers(self, path: str, *, status: int, told: str | None = None) -> str:
        """The text of a probe, once it has this status, and this text if one is given."""
        answer = await until(
            lambda: self.http.get(path), lambda a: a.status_code == status and (told is None or a.text == told)
        )
        return answer.text


Opens = Callable[..., AbstractAsyncContextManager[Running]]


@asynccontextmanager
async def open_workshop(settings: Settings, facts: Facts, troubles: Troubles) -> AsyncGenerator[Running]:
    """Run the service in this process, its HTTP face included."""
    app = create_app(settings, facts, troubles)
    async with (
        LifespanManager(app, startup_timeout=30, shutdown_timeout=30) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://workshop") as client,
    ):
        yield Running(app, client, troubles)


async def until(ask: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool] = bool) -> Any:
    """The first answer that is wanted; says the last one when it never is."""
    answer: Any = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not wanted(answer := await ask()):
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        shown = answer.text if isinstance(answer, httpx.Response) else answer
        raise AssertionError(f"not within {DEADLINE_S} s; last: {shown}") from error
    return answer


async def letters_in(database: Database, count: int, **where: Any) -> list[Document]:
    """The dead letters, once there are so many, in the order of their ids."""

    async def found() -> list[Document]:
        return await database["dead_letters"].find(where).sort("_id", 1).to_list(None)

    return await until(found, lambda letters: len(letters) == count)


async def names_praised(kafka: Kafka, facts: Facts) -> Counter[str]:
    """How often each thing's praise is on its topic."""
    return Counter((record.key or b"").decode() for record in await kafka.read(facts.praises))
