"""Parts that may be killed: other ones than the living lab's, fresh for each module."""

from collections.abc import AsyncGenerator, Callable, Iterator
from random import Random

import httpx
import pytest

from contracts.regions import Directory
from lab.parts import Part
from tests.faults.ground import Ground, a_ground
from tests.faults.portal import Ledger, Portal

CYCLES = ("spbe-2022", "spbe-2023", "spbe-2024")


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Ground]:
    """Kafka, mongod and an issuer of this module's own."""
    async with a_ground(tmp_path_factory.mktemp("ground")) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """What was acknowledged on this module's ground."""
    return Ledger()


@pytest.fixture(scope="module")
def unused() -> Iterator[tuple[str, str]]:
    """Regions with a cycle, each pair once."""
    codes = [r.code for r in Directory.load() if r.self_governing]
    return iter([(code, cycle) for cycle in CYCLES for code in codes])


@pytest.fixture(scope="module")
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    """The clients' connections."""
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(timeout=15, limits=limits, trust_env=False) as client:
        yield client


Portals = Callable[..., list[Portal]]


@pytest.fixture(scope="module")
def portals(ground: Ground, ledger: Ledger, unused: Iterator[tuple[str, str]], http: httpx.AsyncClient) -> Portals:
    """Portals of so many regions that nobody else speaks for; `seed` decides what they fill in."""

    def make(count: int, *services: Part, seed: int = 0) -> list[Portal]:
        addresses = [service.address for service in services]
        made: list[Portal] = []
        for code, cycle in (next(unused) for _ in range(count)):
            headers = ground.tokens(code, "penanggung-jawab", "koordinator-spbe")
            made.append(Portal(code, cycle, headers, addresses, http, ledger, Random(f"{seed}/{code}")))
        return made

    return make
