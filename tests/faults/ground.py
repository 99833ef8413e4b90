"""Parts of the fault tests' own, to be killed: Kafka, MongoDB, an issuer, and services as processes."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from chassis.settings import Settings
from chassis.store import Database, connect
from lab import topics
from lab.parts import Part, http_server, kafka, mongod, service
from lab.parts.process import ports
from tests.acting import Tokens

SESSION_TIMEOUT_MS = 2_000
MONGODB_TIMEOUT_MS = 3_000
DIES_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What the services stand on. Both databases are read as the services themselves would."""

    directory: Path
    kafka: Part
    kafka_proxied: str
    """The broker's second address, which leads through a port that a test may listen on."""
    kafka_behind: int
    """The port to which that proxy forwards."""
    mongod: Part
    tokens: Tokens
    assessment: Database
    scoring: Database

    def service(self, name: str, *, label: str | None = None, **environment: str) -> Part:
        """A process of a service, not started yet. The same label is the same port again."""
        told = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.address,
            "KAFKA_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
            "MONGODB_URI": self.mongod.address,
            "MONGODB_TIMEOUT_MS": str(MONGODB_TIMEOUT_MS),
            "OIDC_ISSUER": self.tokens.issuer,
            "RATE_LIMIT_PER_MINUTE": "1000000",
        }
        return service(self.directory / (label or name), name, told | environment)


@asynccontextmanager
async def a_ground(directory: Path) -> AsyncGenerator[Ground]:
    """Fresh parts, the topics created, no service yet. All ends with the block."""
    broker, kafka_proxied, kafka_behind = _kafka(directory / "kafka")
    database = mongod(directory / "mongod")
    key_path = directory / "oidc" / "key.json"
    issuer = _issuer(directory / "oidc", key_path)
    async with AsyncExitStack() as stack:
        parts = (broker, database, issuer)
        for part in parts:
            stack.push_async_callback(asyncio.to_thread, part.stop)
            part.launch()
        for part in parts:
            await asyncio.to_thread(part.wait_ready)
        await asyncio.to_thread(topics.create_missing, broker.address)
        databases: dict[str, Database] = {}
        for name in ("assessment", "scoring"):
            client, databases[name] = connect(
                Settings.model_validate({"mongodb_uri": database.address, "mongodb_timeout_ms": 20_000}), service=name
            )
            stack.callback(client.close)
        tokens = Tokens(issuer.address, key_path)
        yield Ground(
            directory,
            broker,
            kafka_proxied,
            kafka_behind,
            database,
            tokens,
            databases["assessment"],
            databases["scoring"],
        )


@asynccontextmanager
async def running(*parts: Part) -> AsyncGenerator[None]:
    """Start these side by side; stop them, whatever became of them, at the end."""
    try:
        for part in parts:
            part.launch()
        for part in parts:
            await asyncio.to_thread(part.wait_ready)
        yield
    finally:
        for part in parts:
            part.resume()
        await asyncio.gather(*(asyncio.to_thread(part.stop) for part in parts))


async def restart(part: Part) -> None:
    """Start it again, on the same port and data."""
    await asyncio.to_thread(part.start)


async def died(part: Part) -> int:
    """Wait until it ends by itself; its exit status, negative for a signal. Raises AssertionError if it lives on."""
    process = psutil.Process(_pid(part))
    try:
        status = await asyncio.to_thread(process.wait, DIES_WITHIN_S)
    except psutil.TimeoutExpired as error:
        raise AssertionError(f"{part.name} lives on; its log ends with:\n{part.log_tail()}") from error
    return int(status)


def terminate(part: Part) -> None:
    """Ask it to end (SIGTERM), as an orchestrator does, and do not wait."""
    psutil.Process(_pid(part)).send_signal(signal.SIGTERM)


def _pid(part: Part) -> int:
    pid = part.pid
    assert pid is not None, f"{part.name} does not run; its log ends with:\n{part.log_tail()}"
    return pid


def _kafka(directory: Path) -> tuple[Part, str, int]:
    """A broker with a second listener that it advertises on another port: a proxy may stand there."""
    port, controller_port = ports(directory, 2)
    behind, proxied = ports(directory / "proxied", 2)
    listeners = {"PLAINTEXT": port, "CONTROLLER": controller_port, "PROXIED": behind}
    broker = kafka(
        directory,
        properties={
            "listeners": ",".join(f"{name}://127.0.0.1:{number}" for name, number in listeners.items()),
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxied}",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
            "inter.broker.listener.name": "PLAINTEXT",
        },
    )
    return broker, f"127.0.0.1:{proxied}", behind


def _issuer(directory: Path, key_path: Path) -> Part:
    (port,) = ports(directory, 1)
    return http_server(
        "oidc",
        factory="lab.oidc:create_app",
        directory=directory,
        port=port,
        ready_path="/.well-known/openid-configuration",
        env={"LAB_OIDC_ISSUER": f"http://127.0.0.1:{port}", "LAB_OIDC_KEY": str(key_path)},
    )
