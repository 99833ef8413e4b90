"""What benches of webhooks have in common: an office that subscribes without HTTP, a worker, facts onto Kafka."""

import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from confluent_kafka import Producer

from chassis.settings import Settings
from chassis.store import connect
from contracts import topics
from lab.parts import Part, service
from services.notify.domain.matching import asked_tokens
from services.notify.domain.subscription import Subscription
from services.notify.settings import NotifySettings
from tests.bench.stage import Stage
from tests.notify.office import Office, Sent

COPIED_AT_ONCE = 1_000


@asynccontextmanager
async def furnished(stage: Stage, database: str) -> AsyncGenerator[Office]:
    """An office on this database; subscriptions that it makes are sealed with keys of its own."""
    settings = Settings.model_validate(
        {"mongodb_uri": stage.environment["MONGODB_URI"], "mongodb_database": database, "metrics_port": 0}
    )
    client, own = connect(settings, service="bench")
    try:
        yield await Office.furnish(own, settings)
    finally:
        client.close()


def keys_of(settings: NotifySettings) -> Mapping[str, str]:
    """For a process that is to send what an office with these settings subscribed to; it may call this machine."""
    sealing, signing = settings.webhook_sealing_keys, settings.webhook_signing_key
    assert sealing and signing
    return {
        "WEBHOOK_SEALING_KEYS": sealing.get_secret_value(),
        "WEBHOOK_SIGNING_KEY": signing.get_secret_value(),
        "WEBHOOK_LAB": "true",
    }


async def subscribe_alike(
    office: Office, like: Subscription, asked: Mapping[str, tuple[Sequence[str], Sequence[str]]]
) -> None:
    """Many at once: name → (types, regions); all else, its sealed secret too, as `like`, which is made already."""
    collection = office.parts.collection("subscriptions")
    made = await collection.find_one({"_id": like.id})
    assert made is not None
    copies = [
        {**made, "_id": name, "types": types, "regions": regions, "tokens": asked_tokens(types, regions, ())}
        for name, (types, regions) in asked.items()
    ]
    for begin in range(0, len(copies), COPIED_AT_ONCE):
        await collection.insert_many(copies[begin : begin + COPIED_AT_ONCE])


@contextmanager
def worker(stage: Stage, database: str, env: Mapping[str, str]) -> Generator[Part]:
    """A notify worker as it is deployed, which hears what comes from now on."""
    for topic in (topics.ASSESSMENT, topics.SCORE):
        stage.begin_at(f"notify.{topic.name.removeprefix('livinglab.')}", topic.name, stage.ends(topic.name))
    shared = {**stage.environment, "MONGODB_DATABASE": database, "TRACES_SAMPLE_RATIO": "0.01", "ROLE": "worker"}
    with service(stage.directory / "side", "notify", {**shared, **env}) as part:
        yield part


class Publisher:
    """Puts facts on their topics one by one, at once."""

    def __init__(self, stage: Stage) -> None:
        self._producer = Producer({"bootstrap.servers": stage.kafka, "linger.ms": 0, "acks": "all"})

    def publish(self, fact: Sent) -> float:
        """When it was handed to the producer, in seconds of `time.perf_counter`."""
        at = time.perf_counter()
        headers: Any = fact.envelope.headers()
        self._producer.produce(fact.topic.name, fact.value, key=fact.key.encode(), headers=headers)
        self._producer.poll(0)
        return at

    def close(self) -> None:
        """Until all is acknowledged."""
        self._producer.flush()
