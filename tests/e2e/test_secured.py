"""As deployed: TLS, a SCRAM user per service, and the very rights that deploy/k8s/base/kafka/users.yaml grants."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.helpers import create_ssl_context
from confluent_kafka.admin import (  # its documented names; the package does not declare them exported
    AclBinding,  # pyright: ignore[reportPrivateImportUsage]
    AclOperation,  # pyright: ignore[reportPrivateImportUsage]
    AclPermissionType,  # pyright: ignore[reportPrivateImportUsage]
    AdminClient,
    ResourcePatternType,  # pyright: ignore[reportPrivateImportUsage]
    ResourceType,  # pyright: ignore[reportPrivateImportUsage]
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import system, topics
from lab.parts import Part, kafka, service
from lab.parts.process import ports
from tests.acting import Region, Tokens

pytestmark = pytest.mark.real

USERS = Path(__file__).parents[2] / "deploy/k8s/base/kafka/users.yaml"
PASSWORDS = {"assessment": "for-assessment-only", "scoring": "for-scoring-only"}


def certificate(directory: Path) -> dict[str, str]:
    """A certificate for 127.0.0.1, signed by itself, as Kafka's PEM properties; the file `ca.pem` beside."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = signed.public_bytes(serialization.Encoding.PEM).decode()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    (directory / "ca.pem").write_text(chain)
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": chain.replace("\n", "\\n"),
        "ssl.keystore.key": secret.replace("\n", "\\n"),
    }


def secured_broker(directory: Path) -> tuple[Part, str]:
    """A broker with a plain listener for its administrator, and the address of its SASL_SSL one for the services."""
    directory.mkdir()
    plain, controller = ports(directory, 2)
    (secured,) = ports(directory / "secured", 1)
    jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    listeners = f"PLAINTEXT://127.0.0.1:{plain},SECURED://127.0.0.1:{secured}"
    properties = certificate(directory) | {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SECURED:SASL_SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secured.scram-sha-512.sasl.jaas.config": jaas,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }
    return kafka(directory, properties=properties, users=PASSWORDS), f"127.0.0.1:{secured}"


def grant(bootstrap: str) -> None:
    """What the Kubernetes manifest grants, given by hand instead of by the operator."""
    bindings = [
        AclBinding(
            ResourceType[acl["resource"]["type"].upper()],
            acl["resource"]["name"],
            ResourcePatternType.PREFIXED
            if acl["resource"].get("patternType") == "prefix"
            else ResourcePatternType.LITERAL,
            f"User:{user['metadata']['name']}",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for user in yaml.safe_load_all(USERS.read_text())
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    ]
    admin: Any = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.create_acls(bindings).values():
        done.result()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, living_lab: system.System) -> Generator[dict[str, str]]:
    """Both services on a secured broker, each as itself; the addresses."""
    directory = tmp_path_factory.mktemp("secured")
    with ExitStack() as stack:
        broker, address = secured_broker(directory / "kafka")
        stack.enter_context(broker)
        topics.create_missing(broker.address)
        grant(broker.address)
        run = uuid4().hex[:8]
        addresses: dict[str, str] = {"kafka": address, "ca": str(directory / "kafka" / "ca.pem")}
        for name, password in PASSWORDS.items():
            environment = dict(living_lab.environment) | {
                "KAFKA_BOOTSTRAP_SERVERS": address,
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "KAFKA_SASL_USERNAME": name,
                "KAFKA_SASL_PASSWORD": password,
                "KAFKA_SSL_CAFILE": addresses["ca"],
                "MONGODB_DATABASE": f"{name}-{run}",
            }
            addresses[name] = stack.enter_context(service(directory / name, name, environment)).address
        yield addresses


async def test_a_score_is_made_with_no_more_rights_than_the_manifest_grants(
    secured: dict[str, str], tokens: Tokens, region_in: Callable[[str], Region]
) -> None:
    code = region_in("spbe-2023").code
    async with (
        httpx.AsyncClient(base_url=f"{secured['assessment']}/assessment/v1", timeout=20) as assessment,
        httpx.AsyncClient(base_url=f"{secured['scoring']}/scoring/v1", timeout=20) as scoring,
    ):
        region = Region(code, "spbe-2023", tokens(code, "penanggung-jawab", "koordinator-spbe"), assessment, scoring)
        await region.open()
        await region.fill(4)
        assert (await region.submit()).status_code == 200
        assert (await region.score())["scores"]["self"]["index"]["shown"] == "4.00"


async def test_a_service_cannot_write_where_it_only_reads(secured: dict[str, str]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=secured["kafka"],
        security_protocol="SASL_SSL",
        ssl_context=create_ssl_context(cafile=secured["ca"]),
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="scoring",
        sasl_plain_password=PASSWORDS["scoring"],
    )
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("livinglab.assessment", b"{}", key=b"32.11")
    finally:
        await producer.stop()
