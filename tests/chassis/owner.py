"""A process that owns aggregates: an outbox with a producer of its own. They hold a revision and tell of its raises."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis import telemetry
from chassis.clock import now
from chassis.epochs import Epochs
from chassis.outbox import Change, Done, Outbox, Request
from chassis.producer import Producer
from chassis.relay import measure
from chassis.settings import Settings
from chassis.store import Database, Document
from chassis.telemetry import Telemetry
from tests.chassis.kafka import Kafka
from tests.chassis.workshop import Facts, until

LONG_AGO = datetime(2023, 8, 1, tzinfo=UTC)
"""What is so old was left behind, and the sweeper does not leave it to the hints any more."""
NEW = Change(set={"revision": 0})


class Owner:
    """A process that owns aggregates: an outbox with a producer of its own."""

    def __init__(self, database: Database, settings: Settings, spans: InMemorySpanExporter) -> None:
        self.watch: Telemetry = telemetry.start(settings, service="test")
        self.watch.provider.add_span_processor(SimpleSpanProcessor(spans))
        self.producer = Producer(settings, service="test")
        self.epochs = Epochs(database)
        self.outbox = Outbox(database, "aggregates", producer=self.producer, epochs=self.epochs, telemetry=self.watch)

    async def change(self, name: str, decide: Callable[[Document], Change], *, request: Request | None = None) -> Done:
        """Change one of the aggregates."""
        return await self.outbox.change(lambda: self.load(name), decide, request=request)

    async def load(self, name: str) -> Document:
        """It must be there."""
        found = await self.outbox.aggregates.find_one({"_id": name})
        assert found is not None
        return found

    @asynccontextmanager
    async def relaying(self, *, hints: bool = True, sweeps: bool = True) -> AsyncGenerator[None]:
        """Relay meanwhile."""
        wanted = ([self.outbox.relay.by_hints()] if hints else []) + ([self.outbox.relay.sweep()] if sweeps else [])
        wanted.append(measure([self.outbox.relay], self.watch.metrics))
        tasks = [asyncio.create_task(work) for work in wanted]
        yield
        ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert ended == []


Owners = Callable[[], AbstractAsyncContextManager[Owner]]


def grown(facts: Facts, *, by: int = 1, at: datetime | None = None) -> Callable[[Document], Change]:
    """Raise the revision and tell of it, `by` times in one command; just now, or at another time."""

    def decide(document: Document) -> Change:
        revision: int = document["revision"]
        raised = range(revision + 1, revision + by + 1)
        told = [facts.thing(document["_id"], revision=n, size=n, at=at or now()) for n in raised]
        return Change(set={"revision": revision + by}, facts=told, outcome={"revision": revision + by})

    return decide


async def drained(database: Database) -> None:
    """Return when no aggregate has anything pending."""
    await until(lambda: database["aggregates"].count_documents({"outbox.0": {"$exists": True}}), lambda n: n == 0)


async def told(kafka: Kafka, facts: Facts) -> dict[str, list[int]]:
    """Key → the revisions on the topic, in their order."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in await kafka.read(facts.things):
        found[(record.key or b"").decode()].append(int(dict(record.headers)["ce_revision"]))
    return dict(found)


def first_seen(revisions: Sequence[int]) -> list[int]:
    """Without the repeats."""
    return list(dict.fromkeys(revisions))
