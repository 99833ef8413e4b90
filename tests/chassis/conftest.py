"""A workshop on the real parts, for tests of what the chassis does around a reaction."""

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager

import pytest

from chassis.settings import Settings
from chassis.store import Database
from tests.chassis.kafka import Kafka
from tests.chassis.workshop import Facts, Running, Troubles, open_workshop

Opens = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture(scope="session")
async def kafka(settings: Settings) -> AsyncGenerator[Kafka]:
    """The running broker."""
    clients = await Kafka.start(settings)
    yield clients
    await clients.stop()


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
