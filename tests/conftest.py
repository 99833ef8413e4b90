"""The real parts, started once for all tests that need them: Kafka, MongoDB, an issuer, a trace sink, all services."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from chassis.settings import Settings
from chassis.store import Database, connect
from contracts.regions import Directory
from lab import system
from lab.parts import Part, http_server
from lab.parts.process import ports
from tests.acting import Region, Tokens
from tests.chassis.kafka import Kafka
from tests.listening import Listener, Subscriber

# uvicorn drops an idle connection after 5 s, as httpx does: whoever is second finds it gone.
LIMITS = httpx.Limits(keepalive_expiry=2)


@pytest.fixture(scope="session")
def living_lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[system.System]:
    """Everything as processes of its own, as `livinglab up` starts it."""
    directory = tmp_path_factory.mktemp("lab")
    running = system.up(directory, outlives_parent=False)
    yield running
    system.down(directory)


@pytest.fixture(scope="session")
def tokens(living_lab: system.System) -> Tokens:
    """Tokens of the running issuer."""
    return Tokens(living_lab.environment["OIDC_ISSUER"], living_lab.directory / "oidc" / "key.json")


@pytest.fixture(scope="session")
async def assessment(living_lab: system.System) -> AsyncGenerator[httpx.AsyncClient]:
    """The assessment service, over HTTP."""
    async with httpx.AsyncClient(
        base_url=f"{living_lab.services['assessment']}/assessment/v1", timeout=20, limits=LIMITS
    ) as client:
        yield client


@pytest.fixture(scope="session")
async def scoring(living_lab: system.System) -> AsyncGenerator[httpx.AsyncClient]:
    """The scoring service, over HTTP."""
    async with httpx.AsyncClient(
        base_url=f"{living_lab.services['scoring']}/scoring/v1", timeout=20, limits=LIMITS
    ) as client:
        yield client


@pytest.fixture(scope="session")
async def commitment(living_lab: system.System) -> AsyncGenerator[httpx.AsyncClient]:
    """The commitment service, over HTTP."""
    async with httpx.AsyncClient(
        base_url=f"{living_lab.services['commitment']}/commitment/v1", timeout=20, limits=LIMITS
    ) as client:
        yield client


@pytest.fixture(scope="session")
def free_regions() -> Iterator[str]:
    """Regencies that no test names; province 14 is that of the table of roles."""
    named = {"32.11", "32.15"}
    regencies = [r for r in Directory.load() if r.kind == "regency" and r.self_governing and r.province != "14"]
    return iter([r.code for r in regencies if r.code not in named])


@pytest.fixture
def region_in(
    free_regions: Iterator[str], tokens: Tokens, assessment: httpx.AsyncClient, scoring: httpx.AsyncClient
) -> Callable[[str], Region]:
    """A region of the test's own in a cycle; another one at each call."""

    def take(cycle: str) -> Region:
        code = next(free_regions)
        return Region(code, cycle, tokens(code, "penanggung-jawab", "koordinator-spbe"), assessment, scoring)

    return take


@pytest.fixture
def region(region_in: Callable[[str], Region]) -> Region:
    """A region of the test's own, in the cycle of 2022."""
    return region_in("spbe-2022")


@pytest.fixture
async def visitor() -> AsyncGenerator[httpx.AsyncClient]:
    """Connections of a test's own, to whatever address."""
    async with httpx.AsyncClient(timeout=20, trust_env=False, limits=httpx.Limits(keepalive_expiry=2)) as client:
        yield client


@pytest.fixture
def listeners(
    tmp_path: Path, living_lab: system.System, visitor: httpx.AsyncClient
) -> Generator[Callable[[str], Listener]]:
    """Receivers, each a process of its own."""
    parts: list[Part] = []

    def begin(name: str) -> Listener:
        directory = tmp_path / name
        (port,) = ports(directory, 1)
        endpoint = living_lab.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "LISTEN_NAME": name}
        part = http_server(
            name, factory="lab.listen:create_app", directory=directory, port=port, ready_path="/received", env=env
        )
        parts.append(part)
        part.launch()
        part.wait_ready()
        return Listener(part, visitor)

    yield begin
    for part in parts:
        part.stop()


@pytest.fixture
def subscriber(living_lab: system.System, visitor: httpx.AsyncClient, tokens: Tokens) -> Callable[..., Subscriber]:
    """Organizations at the notify service."""

    def sign_in(organization: str, *roles: str) -> Subscriber:
        return Subscriber(visitor, living_lab.services["notify"], tokens(organization, *roles))

    return sign_in


@pytest.fixture(scope="session")
def settings(living_lab: system.System) -> Settings:
    """For parts of the chassis that a test runs in its own process, on the same Kafka and MongoDB."""
    environment = {name.lower(): value for name, value in living_lab.environment.items()}
    del environment["smtp_uri"], environment["tsa_url"]  # of one service each
    return Settings.model_validate(
        environment | {"kafka_session_timeout_ms": 2_000, "mongodb_timeout_ms": 20_000, "metrics_port": 0}
    )


@pytest.fixture(scope="session")
async def kafka(settings: Settings) -> AsyncGenerator[Kafka]:
    """Clients of the running broker, and topics of a test's own."""
    clients = await Kafka.start(settings)
    yield clients
    await clients.stop()


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    """An empty database of the test's own."""
    name = f"test-{uuid4().hex[:12]}"
    client, database = connect(settings.model_copy(update={"mongodb_database": name}), service="test")
    yield database
    await client.drop_database(name)
    client.close()
