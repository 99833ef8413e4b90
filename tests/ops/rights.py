"""Kafka, MongoDB and OIDC as deployed: TLS, a user per service, no more rights than the manifests grant."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from lab.parts import Part, kafka
from lab.parts.mongo import mongod_command
from lab.parts.process import ports, repository_root
from tests.acting import Headers
from tests.ops.keycloak import Administrator

K8S = repository_root() / "deploy" / "k8s"
USERS = K8S / "components" / "strimzi" / "kafka" / "users.yaml"
CLIENT = "uji"
PASSWORD = "kata-sandi-untuk-uji-1"


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


def secured_broker(directory: Path, passwords: Mapping[str, str]) -> tuple[Part, str]:
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
    return kafka(directory, properties=properties, users=passwords), f"127.0.0.1:{secured}"


def secured_mongod(directory: Path) -> Part:
    """A mongod that asks for passwords; nobody has one yet."""
    directory.mkdir()
    (port,) = ports(directory, 1)
    key, data = directory / "key", directory / "data"
    key.write_text("bW9uZ29kYiBtZW1iZXJz")
    key.chmod(0o600)
    data.mkdir()

    def missing() -> str | None:
        try:
            with MongoClient[dict[str, Any]](port=port, directConnection=True, serverSelectionTimeoutMS=500) as client:
                client.admin.command("hello")
        except PyMongoError as failure:
            return str(failure)
        return None

    return Part(
        "mongod",
        address=f"127.0.0.1:{port}",
        port=port,
        command=[
            *(mongod_command(), "--replSet", "rs0", "--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"),
            *("--keyFile", str(key), "--dbpath", str(data), "--wiredTigerCacheSizeGB", "0.25"),
        ],
        directory=directory / "process",
        probe=missing,
        env={},
    )


def initiate(mongod: Part, passwords: Mapping[str, str]) -> dict[str, str]:
    """By the script that is deployed: the replica set, and a user per service. Service → its URI."""
    uris = {
        name: f"mongodb://{name}:{password}@{mongod.address}/{name}?replicaSet=rs0"
        for name, password in passwords.items()
    }
    told = {f"MONGODB_URI_{name.upper()}": uri for name, uri in uris.items()}
    key = (mongod.directory.parent / "key").read_text()
    script = K8S / "base" / "mongodb" / "initiate.py"
    subprocess.run([sys.executable, script], env={"MONGODB_KEY": key, **told}, check=True, capture_output=True)
    return uris


@dataclass
class Accounts:
    """Signs people in at the real Keycloak; made where they are new, as an administrator does."""

    administrator: Administrator
    issuer: str
    made: set[str] = field(default_factory=set[str])

    def __call__(self, organization: str, *roles: str, subject: str | None = None, logged_in_s_ago: int = 0) -> Headers:
        """The Authorization header of somebody, as `tests.acting.Tokens` gives them; who has just signed in."""
        assert not logged_in_s_ago
        name = subject or "-".join((organization, *roles))
        if name not in self.made:
            self.administrator.add_user(name, PASSWORD, organization=organization, roles=[*roles])
            self.made.add(name)
        asked = {"client_id": CLIENT, "grant_type": "password", "username": name, "password": PASSWORD}
        answer = httpx.post(f"{self.issuer}/protocol/openid-connect/token", data=asked, timeout=30)
        return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
