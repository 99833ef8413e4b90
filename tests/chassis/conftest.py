"""A workshop on the real parts, for tests of what the chassis does around a reaction."""

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis.settings import Settings
from chassis.store import Database
from tests.chassis.kafka import Kafka
from tests.chassis.owner import Owner, Owners
from tests.chassis.workshop import Facts, Opens, Running, Troubles, open_workshop


@pytest.fixture
def logs_as_they_were() -> Generator[None]:
    """A service takes the process's log for itself."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level


@pytest.fixture
async def facts(kafka: Kafka) -> Facts:
    """Topics of the test's own; things have three partitions."""
    return Facts(
        tools=await kafka.topic("tool"),
        things=await kafka.topic("thing", partitions=3),
        praises=await kafka.topic("praise", partitions=3),
    )


@pytest.fixture
def troubles() -> Troubles:
    """None yet."""
    return Troubles()


@pytest.fixture
def opens(settings: Settings, database: Database, facts: Facts, troubles: Troubles, logs_as_they_were: None) -> Opens:
    """Opens the workshop, as often as one likes, on one database; with other settings if wanted."""

    def opening(**changed: object) -> AbstractAsyncContextManager[Running]:
        mine = {"mongodb_database": database.name, "stand_still_s": 0.3, **changed}
        return open_workshop(settings.model_copy(update=mine), facts, troubles)

    return opening


@pytest.fixture
async def workshop(opens: Opens) -> AsyncGenerator[Running]:
    """Open."""
    async with opens() as running:
        yield running


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What was traced."""
    return InMemorySpanExporter()


@pytest.fixture
def owners(database: Database, settings: Settings, spans: InMemorySpanExporter) -> Owners:
    """As many processes as a test wants, on one database."""

    @asynccontextmanager
    async def starting() -> AsyncGenerator[Owner]:
        watched = {"otel_exporter_otlp_endpoint": None, "traces_sample_ratio": 1.0}
        owner = Owner(database, settings.model_copy(update=watched), spans)
        await owner.outbox.prepare()
        yield owner
        await owner.producer.stop()
        owner.watch.provider.shutdown()

    return starting


@pytest.fixture
async def owner(owners: Owners) -> AsyncGenerator[Owner]:
    """One process."""
    async with owners() as owner:
        yield owner
