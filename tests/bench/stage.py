"""Kafka, MongoDB, issuer and trace sink, started once and shared by all that is compared."""

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka import admin as untyped_admin
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from contracts import topics
from lab import system
from lab.oidc import kept_key, mint

kafka: Any = untyped_admin  # what its package offers is not all declared
PARTITIONS = 12
ASK_TIMEOUT_S = 5.0
Offsets = Mapping[int, int]
"""Partition → offset."""
# A broker refuses in passing: while its first topics and groups form, or when the machine is too busy for heartbeats.
patient = retry(
    retry=retry_if_exception_type(KafkaException), wait=wait_fixed(0.1), stop=stop_after_delay(30), reraise=True
)


@dataclass(frozen=True, slots=True)
class Stage:
    """What both sides of a comparison run on. Offsets and groups are asked of the broker by its admin API."""

    directory: Path
    environment: Mapping[str, str]
    admin: Any
    mongo: "MongoClient[dict[str, Any]]"

    @property
    def kafka(self) -> str:
        """host:port."""
        return self.environment["KAFKA_BOOTSTRAP_SERVERS"]

    @patient
    def ends(self, topic: str) -> Offsets:
        """Where each partition of a topic ends."""
        asked = {TopicPartition(topic, p): kafka.OffsetSpec.latest() for p in range(PARTITIONS)}
        found = self.admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return {tp.partition: future.result().offset for tp, future in found.items()}

    @patient
    def committed(self, group: str, topic: str) -> Offsets:
        """What a group has committed; 0 where nothing."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, p) for p in range(PARTITIONS)])
        answer = self.admin.list_consumer_group_offsets([asked], request_timeout=ASK_TIMEOUT_S)[group].result()
        return {tp.partition: max(0, tp.offset) for tp in answer.topic_partitions}

    @patient
    def begin_at(self, group: str, topic: str, offsets: Offsets) -> None:
        """Let a group, of which nobody runs, read on from there."""
        places = [TopicPartition(topic, p, offset) for p, offset in offsets.items()]
        asked = ConsumerGroupTopicPartitions(group, places)
        self.admin.alter_consumer_group_offsets([asked], request_timeout=ASK_TIMEOUT_S)[group].result()

    def create_topics(self, *names: str) -> None:
        """As many partitions as ours have."""
        for future in self.admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
            future.result()

    def stamp_arrival(self, topic: str) -> None:
        """Let the broker stamp records when it appends them: a latency that no reader takes part in."""
        entry = kafka.ConfigEntry(
            "message.timestamp.type", "LogAppendTime", incremental_operation=kafka.AlterConfigOpType.SET
        )
        resource = kafka.ConfigResource(kafka.ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result()

    @contextmanager
    def database(self) -> Generator[str]:
        """The name of an empty database, dropped at the end."""
        name = f"bench-{uuid4().hex[:8]}"
        yield name
        self.mongo.drop_database(name)

    def token(self, organization: str, *roles: str, subject: str | None = None) -> dict[str, str]:
        """The Authorization header of somebody."""
        key = kept_key(self.directory / "oidc" / "key.json")
        token = mint(
            key, issuer=self.environment["OIDC_ISSUER"], organization=organization, roles=roles, subject=subject
        )
        return {"Authorization": f"Bearer {token}"}


@contextmanager
def stage() -> Generator[Stage]:
    """Everything but services, empty, in a folder that is removed at the end.

    Addresses in the environment are not used: a bench moves offsets and drops databases.
    """
    for variable in system.ADDRESS_VARIABLES.values():
        os.environ.pop(variable, None)
    directory = Path(mkdtemp(prefix="livinglab-bench-"))
    try:
        running = system.up(directory, services=(), outlives_parent=False)
        asking: dict[str, str | int | float | bool] = {
            "bootstrap.servers": running.environment["KAFKA_BOOTSTRAP_SERVERS"],
            "log_level": 0,
        }
        with (
            AdminClient(asking) as admin,
            MongoClient[dict[str, Any]](running.environment["MONGODB_URI"], tz_aware=True) as mongo,
        ):
            shared = Stage(directory, running.environment, admin, mongo)
            shared.stamp_arrival(topics.SCORE.name)
            yield shared
    finally:
        system.down(directory)
        shutil.rmtree(directory)
