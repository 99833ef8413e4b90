"""Kafka as compose starts it: its own command, configuration and jobs, on a real broker. Who may not is refused."""

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError, TopicAuthorizationFailedError

from contracts import topics
from lab.parts import jars
from lab.parts.broker import broker_probe, java_command
from lab.parts.process import Part, ports, repository_root
from tests.ops.rights import USERS

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Load = Callable[[Path, dict[str, str]], dict[str, Any]]
SHIMS = {
    "kafka-storage.sh": "kafka.tools.StorageTool",
    "kafka-server-start.sh": "kafka.Kafka",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
}
"""The scripts of Kafka's image → what they run, as `kafka-run-class.sh` does it."""
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Composed:
    """A broker by docker-compose.yml, and what its containers are told."""

    services: dict[str, Any]
    address: str
    inside: Part

    def told(self, name: str) -> dict[str, str]:
        """The environment of a container, with the address that is true here."""
        return {**self.services[name]["environment"], "KAFKA_BOOTSTRAP_SERVERS": self.address}

    def logged_in(self, name: str) -> dict[str, Any]:
        """The options of a client that is told what this container is."""
        told = self.told(name)
        return {
            "bootstrap_servers": self.address,
            "security_protocol": told["KAFKA_SECURITY_PROTOCOL"],
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": told["KAFKA_SASL_USERNAME"],
            "sasl_plain_password": told["KAFKA_SASL_PASSWORD"],
        }


def broker(directory: Path, service: dict[str, Any]) -> tuple[Part, str]:
    """The container's command in a process, with ports and folders of its own; and the address for services."""
    directory.mkdir()
    services, controller, inside = ports(directory, 3)
    there = {"9092": services, "9093": controller, "9094": inside}
    config = (repository_root() / "deploy" / "kafka" / "server.properties").read_text()
    for port, here in there.items():
        config = config.replace(f"localhost:{port}", f"127.0.0.1:{here}").replace(f"://:{port}", f"://127.0.0.1:{here}")
        config = config.replace(f"//kafka:{port}", f"//127.0.0.1:{here}")
    assert not [port for port in there if f":{port}" in config]
    (directory / "server.properties").write_text(config.replace("/var/lib/kafka/data", str(directory / "data")))
    classpath = jars.fetch()[0].parent
    for script, name in SHIMS.items():
        shim = directory / script
        shim.write_text(f'exec {shlex.quote(java_command())} -cp "{classpath}/*" {name} "$@"\n')
        shim.chmod(0o755)
    (command,) = service["command"]
    command = command.replace("$$", "$").replace("/opt/kafka/bin", f"sh {directory}")
    command = command.replace(" /server.properties", f" {directory}/server.properties")
    part = Part(
        "kafka",
        address=f"127.0.0.1:{inside}",
        port=services,
        command=[*service["entrypoint"], command],
        directory=directory,
        probe=broker_probe(f"127.0.0.1:{inside}"),
        ready_within_s=90,
        env={"PATH": os.environ["PATH"], "KAFKA_ADMIN_PASSWORD": service["environment"]["KAFKA_ADMIN_PASSWORD"]},
    )
    return part, f"127.0.0.1:{services}"


def job(composed: Composed, name: str, *, page: Path = USERS, **changed: str) -> subprocess.CompletedProcess[str]:
    """What a container of the lab's image does, by its command and its environment."""
    command = [word.replace("/users.yaml", str(page)) for word in composed.services[name]["command"]]
    livinglab = repository_root() / ".venv" / "bin" / "livinglab"
    told = composed.told(name) | {"PATH": os.environ["PATH"]} | changed
    return subprocess.run([livinglab, *command], env=told, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
async def composed(
    tmp_path_factory: pytest.TempPathFactory, load_compose: Load, root: Path, compose_variables: dict[str, str]
) -> AsyncGenerator[Composed]:
    services = load_compose(root / "docker-compose.yml", compose_variables)["services"]
    part, address = broker(tmp_path_factory.mktemp("composed") / "kafka", services["kafka"])
    made = Composed(services, address, part)
    await asyncio.to_thread(part.launch)
    try:
        await asyncio.to_thread(part.wait_ready)
        for name in ("topics", "rights", "rights"):  # the second time changes nothing
            done = await asyncio.to_thread(job, made, name)
            assert done.returncode == 0, done.stdout + done.stderr
        yield made
    finally:
        await asyncio.to_thread(part.stop)


async def write(options: dict[str, Any], topic: str) -> None:
    producer: Any = AIOKafkaProducer(**options, request_timeout_ms=5_000)
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"{}", key=b"k")
    finally:
        await producer.stop()


async def test_a_service_writes_its_topic_and_another_reads_it(composed: Composed) -> None:
    await write(composed.logged_in("assessment-worker"), "livinglab.assessment")
    consumer: Any = AIOKafkaConsumer(
        "livinglab.assessment",
        **composed.logged_in("scoring-worker"),
        group_id="scoring.assessment",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), WITHIN_S)
    finally:
        await consumer.stop()
    assert record.key == b"k"


@pytest.mark.parametrize(
    ("who", "topic"),
    [
        ("assessment-api", "livinglab.score"),
        ("scoring-worker", "livinglab.assessment"),
        ("notify-worker", topics.PUBLIC.name),
        ("commitment-api", "livinglab.subscription"),
    ],
)
async def test_a_service_may_not_write_anothers_topic(composed: Composed, who: str, topic: str) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await write(composed.logged_in(who), topic)


async def test_nobody_comes_in_without_their_password(composed: Composed) -> None:
    wrong = composed.logged_in("scoring-api") | {"sasl_plain_password": "guessed"}
    with pytest.raises((AuthenticationFailedError, KafkaConnectionError)):
        await write(wrong, "livinglab.score")
    with pytest.raises(KafkaConnectionError):
        await write({"bootstrap_servers": composed.address}, "livinglab.score")


async def test_a_right_that_is_taken_from_the_page_is_taken_from_the_user(composed: Composed, tmp_path: Path) -> None:
    page = USERS.read_text()
    own = "{resource: {type: topic, name: livinglab.score}, operations: [Describe, Write]}"
    assert page.count(own) == 1
    less = tmp_path / "users.yaml"
    less.write_text(page.replace(own, own.replace(", Write", "")))
    await write(composed.logged_in("scoring-worker"), "livinglab.score")
    done = await asyncio.to_thread(job, composed, "rights", page=less)
    assert "scoring" in done.stdout, done.stderr
    with pytest.raises(TopicAuthorizationFailedError):
        await write(composed.logged_in("scoring-worker"), "livinglab.score")
    assert (await asyncio.to_thread(job, composed, "rights")).returncode == 0
    await write(composed.logged_in("scoring-worker"), "livinglab.score")


async def test_a_password_that_was_changed_is_the_only_one_that_counts(composed: Composed) -> None:
    done = await asyncio.to_thread(job, composed, "rights", KAFKA_PASSWORD_SCORING="another")
    assert done.returncode == 0, done.stderr
    before = composed.logged_in("scoring-worker")
    await write(before | {"sasl_plain_password": "another"}, "livinglab.score")
    with pytest.raises((AuthenticationFailedError, KafkaConnectionError)):
        await write(before, "livinglab.score")
    assert (await asyncio.to_thread(job, composed, "rights")).returncode == 0
    await write(before, "livinglab.score")


async def test_the_administrators_password_is_changed_as_the_document_says(composed: Composed) -> None:
    text = (repository_root() / "docs" / "operations.md").read_text()
    (command,) = re.findall(r"`docker compose exec kafka /opt/kafka/bin/(kafka-configs.sh .+?)`", text)

    async def change(password: str) -> None:
        told = command.replace("localhost:9094", composed.inside.address).replace("NEW", password)
        process = await asyncio.create_subprocess_exec("sh", *shlex.split(told), cwd=composed.inside.directory)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0

    await change("another")
    assert (await asyncio.to_thread(job, composed, "topics", KAFKA_SASL_PASSWORD="another")).returncode == 0
    refused = await asyncio.to_thread(job, composed, "topics")
    assert (refused.returncode, "no answer from Kafka" in refused.stderr) == (1, True)
    await change(composed.told("topics")["KAFKA_SASL_PASSWORD"])
    assert (await asyncio.to_thread(job, composed, "topics")).returncode == 0
