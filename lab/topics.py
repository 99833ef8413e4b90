"""Topics on a broker: made as contracts say, and compared with them."""

import os
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts import topics
from lab.errors import LabError

TIMEOUT_S = 15
BROKERS_DEFAULT = -1  # one copy in the lab, three in a deployment: the broker knows

# How the services are told (chassis.settings) → how librdkafka is told.
_CLIENT_SETTINGS = {
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_SSL_CAFILE": "ssl.ca.location",
}


class BrokerRefused(LabError):
    """The broker can't be asked or refuses. The message says what and which broker."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A topic of the contracts and what the broker has: no partitions means that it does not exist."""

    topic: topics.Topic
    partitions: int

    @property
    def right(self) -> bool:
        """Whether it has as many partitions as the contracts say."""
        return self.partitions == self.topic.partitions


def provisioned(bootstrap_servers: str) -> list[Provisioned]:
    """Each topic of the contracts beside the broker's. Raises BrokerRefused."""
    there = _existing(admin_of(bootstrap_servers), bootstrap_servers)
    return [Provisioned(topic, there.get(topic.name, 0)) for topic in topics.ALL]


def create_missing(bootstrap_servers: str) -> list[str]:
    """Create those that aren't there, and return their names; never changes or deletes one. Raises BrokerRefused."""
    admin = admin_of(bootstrap_servers)
    there = _existing(admin, bootstrap_servers)
    missing = [topic for topic in topics.ALL if topic.name not in there]
    if not missing:
        return []
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=BROKERS_DEFAULT,
            config=topic.config(),
        )
        for topic in missing
    ]
    created: list[str] = []
    untyped: Any = admin  # confluent_kafka leaves the futures' type open
    outcomes: dict[str, Future[None]] = untyped.create_topics(wanted, operation_timeout=TIMEOUT_S)
    for name, outcome in outcomes.items():
        try:
            outcome.result()
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:  # another `up` was faster
                continue
            raise BrokerRefused(f"topic {name} can't be created on {bootstrap_servers}: {error.str()}") from failure
        created.append(name)
    return created


def _existing(admin: AdminClient, bootstrap_servers: str) -> dict[str, int]:
    try:
        found = admin.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as failure:
        raise BrokerRefused(f"no answer from Kafka on {bootstrap_servers}: {failure.args[0]}") from failure
    return {name: len(topic.partitions) for name, topic in found.items()}


def admin_of(bootstrap_servers: str) -> AdminClient:
    """Logged in as the environment says, in the services' own words."""
    settings = {theirs: os.environ[ours] for ours, theirs in _CLIENT_SETTINGS.items() if os.environ.get(ours)}
    if settings.get("security.protocol", "").startswith("SASL"):
        settings.setdefault("sasl.mechanism", "SCRAM-SHA-512")
    return AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0, **settings})
