"""Endpoints and clients of a test's own, closed after it; post offices on the real database."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.settings import Settings
from chassis.store import Database
from services.notify.domain.right import Kind, Right
from services.notify.webhook import Webhooks
from tests.chassis.kafka import Kafka
from tests.notify.newsroom import Newsroom
from tests.notify.office import Office
from tests.notify.receiver import Behaviour, Receiver, Receiving, Sending, until

Furnish = Callable[..., Awaitable[Office]]


@pytest.fixture
async def receiving() -> AsyncGenerator[Receiving]:
    """Endpoints of the test's own."""
    receivers: list[Receiver] = []

    async def start(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Receiver:
        receivers.append(await Receiver(behave, tls).start())
        return receivers[-1]

    yield start
    for receiver in receivers:
        assert receiver.server is not None
        receiver.server.close()
        await until(lambda receiver=receiver: not receiver.open)


@pytest.fixture
async def sending(receiving: Receiving) -> AsyncGenerator[Sending]:
    """Clients of the test's own; they are closed before the endpoints."""
    clients: list[Webhooks] = []

    def open_(
        *,
        timeout_s: float = 15,
        lab: bool = True,
        in_flight_max: int = 512,
        ssl_context: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> Webhooks:
        client = Webhooks(
            timeout_s=timeout_s, lab=lab, in_flight_max=in_flight_max, ssl_context=ssl_context, resolver=resolver
        )
        clients.append(client)
        return client

    yield open_
    for client in clients:
        await client.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Of 127.0.0.1, signed by itself, its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(pem))
    yield file


@pytest.fixture
def furnish(database: Database, settings: Settings) -> Furnish:
    """As many as a test wants, on one database."""
    return lambda **changes: Office.furnish(database, settings, **changes)


@pytest.fixture
async def office(furnish: Furnish) -> Office:
    """One."""
    return await furnish()


@pytest.fixture
async def newsroom(kafka: Kafka, office: Office) -> Newsroom:
    """Three partitions of assessments; Kemendagri may be told of the nation."""
    await office.grant("kemendagri", Right(Kind.NATIONAL))
    return Newsroom(kafka, office, [await kafka.topic("assessment", partitions=3), await kafka.topic("cycle")])
