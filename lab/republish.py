"""`livinglab republish`: deletes a topic and builds it again, while the services run (design: docs/architecture.md)."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code
from pymongo.errors import PyMongoError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from chassis import republish as archive
from chassis.epochs import REREAD_AFTER_S, Epochs
from chassis.positions import Positions
from chassis.producer import KafkaDown, Producer, client_options
from chassis.settings import Settings
from chassis.store import Database, connect
from contracts import events, topics
from contracts.topics import Topic
from lab import topics as provisioning
from lab.errors import LabError
from lab.screen import Step, Told

CLIENT = "livinglab"
GONE_WITHIN_S = 30.0
NO_PROGRESS_S = 20.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Projection:
    """Facts that nobody archives: they follow from `source`, read by `group` of the service."""

    topic: Topic
    service: str
    group: str
    source: Topic


PROJECTIONS = (Projection(topics.SCORE, "scoring", "scoring.assessment", topics.ASSESSMENT),)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a topic comes again: from the archives of `services`, and by running `projections` again."""

    topic: Topic
    services: tuple[str, ...]
    projections: tuple[Projection, ...]

    @property
    def owners(self) -> list[str]:
        """Whose relays put the topic's epoch beside each fact."""
        return sorted({*self.services, *(projection.service for projection in self.projections)})


def plan(name: str) -> Plan:
    """For a topic of the contracts. Raises LabError for any other."""
    topic = next((topic for topic in topics.ALL if topic.name == name), None)
    if topic is None:
        raise LabError(f"There is no topic {name}. Those there are: {', '.join(t.name for t in topics.ALL)}")
    public = topic is topics.PUBLIC
    projections = tuple(p for p in PROJECTIONS if public or p.topic is topic)
    archives = {event.publisher for event in events.ALL if public or event.topic is topic}
    return Plan(topic, tuple(sorted(archives)), projections)


@dataclass(slots=True)
class Outcome:
    """What was done. `begun`: groups that read the topic again from its beginning; `idle`: those that do not (yet)."""

    sent: int = 0
    epochs: dict[str, int] = field(default_factory=dict[str, int])
    begun: list[str] = field(default_factory=list[str])
    idle: list[str] = field(default_factory=list[str])


async def count(planned: Plan, settings: Settings) -> int:
    """How many facts are archived for the topic. Raises LabError."""
    async with _in_words(), _databases(planned.services, settings) as databases:
        return sum([await archive.count_archived(database, planned.topic) for database in databases.values()])


async def rebuild(planned: Plan, settings: Settings, *, step: Step, told: Told) -> Outcome:
    """Delete the topic, create it as the contracts say, fill it. Raises LabError; may always be begun again."""
    outcome, topic = Outcome(), planned.topic
    async with _in_words(), _databases(planned.owners, settings) as databases, _cluster(settings) as cluster:
        readers = await cluster.readers(topic)
        step(f"deleting {topic.name}", 0)
        await cluster.delete(topic)
        # Between the two: no relay may bring the new epoch to the old topic, and soon none the old one to the new.
        for service, database in databases.items():
            raised = Epochs(database).raise_one(topic.name, from_archives=not planned.projections)
            outcome.epochs[service] = await raised
        step("every relay learns the new epoch", 0)
        await asyncio.sleep(REREAD_AFTER_S)
        await asyncio.to_thread(provisioning.create_missing, settings.kafka_bootstrap_servers)
        for service in planned.services:
            outcome.sent += await _from_archive(databases[service], topic, settings, step=step, told=told)
        for projection in planned.projections:
            again = await _run_again(projection, databases[projection.service], cluster, step=step, told=told)
            (outcome.begun if again else outcome.idle).append(projection.group)
        step("consumers begin anew", len(readers))
        begun = await _await_readers(readers, topic, cluster, told=told)
        outcome.begun += sorted(begun)
        outcome.idle += sorted(readers - begun)
    return outcome


async def _from_archive(database: Database, topic: Topic, settings: Settings, *, step: Step, told: Told) -> int:
    step(f"publishing what {database.name} archived", await archive.count_archived(database, topic))
    producer = Producer(settings, service=CLIENT)
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        told(done)

    try:
        return await archive.republish(database, topic, producer=producer, epochs=Epochs(database), told=more)
    finally:
        await producer.stop()


async def _run_again(
    projection: Projection, database: Database, cluster: "_Cluster", *, step: Step, told: Told
) -> bool:
    """Let the workers read their source again from its beginning; False if none does."""
    positions = Positions(database)
    await positions.ask_rewind(projection.group)
    asked = await positions.rewind_asked(projection.group)
    ends = await cluster.ends(projection.source)
    total = sum(ends.values())
    step(f"{projection.group} handles {projection.source.name} again", total)
    done, waiting_since = -1, monotonic()
    while monotonic() - waiting_since < NO_PROGRESS_S:
        committed = await cluster.committed(projection.group, projection.source)
        rewound = {tp for tp in ends if (await positions.of(projection.group, tp))[1] >= asked}
        now_done = sum(min(committed.get(tp, 0), ends[tp]) for tp in rewound)
        if now_done > done:
            done, waiting_since = now_done, monotonic()
            told(done)
        if done == total and len(rewound) == len(ends):
            return True
        await asyncio.sleep(POLL_S)
    return False


async def _await_readers(readers: set[str], topic: Topic, cluster: "_Cluster", *, told: Told) -> set[str]:
    """Kafka forgot their offsets with the old topic; who has new ones has begun again."""
    begun: set[str] = set()
    waiting_since = monotonic()
    while begun < readers and monotonic() - waiting_since < NO_PROGRESS_S:
        filled = {tp for tp, end in (await cluster.ends(topic)).items() if end}
        for group in readers - begun:
            if filled <= (await cluster.committed(group, topic)).keys():
                begun.add(group)
                waiting_since = monotonic()
                told(len(begun))
        await asyncio.sleep(POLL_S)
    return begun


def _passes(failure: BaseException) -> bool:
    return isinstance(failure, KafkaError) and failure.retriable


# A broker that was just started, as after a loss, still loads what it knows of groups.
_once_it_can = retry(
    retry=retry_if_exception(_passes), stop=stop_after_delay(GONE_WITHIN_S), wait=wait_fixed(POLL_S), reraise=True
)


@dataclass(frozen=True, slots=True)
class _Cluster:
    """What is asked of Kafka itself."""

    admin: AIOKafkaAdminClient
    consumer: AIOKafkaConsumer

    async def delete(self, topic: Topic) -> None:
        """Return when it is gone; harmless where it is not there."""
        answer: Any = await self.admin.delete_topics([topic.name])
        for _, code in answer.topic_error_codes:
            error: Any = for_code(code)
            if code and error is not UnknownTopicOrPartitionError:
                raise LabError(f"Kafka does not delete {topic.name}: {error.__name__}")
        deadline = monotonic() + GONE_WITHIN_S
        while topic.name in await self.admin.list_topics():
            if monotonic() > deadline:
                raise LabError(f"{topic.name} is still there after {GONE_WITHIN_S:.0f} s; look into Kafka's log")
            await asyncio.sleep(POLL_S)

    async def ends(self, topic: Topic) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition."""
        return await self.consumer.end_offsets(_partitions(topic))

    @_once_it_can
    async def committed(self, group: str, topic: Topic) -> dict[TopicPartition, int]:
        """Of the partitions that the group has an offset for."""
        offsets = await self.admin.list_consumer_group_offsets(group, partitions=_partitions(topic))
        return {tp: known.offset for tp, known in offsets.items() if known.offset >= 0}

    @_once_it_can
    async def readers(self, topic: Topic) -> set[str]:
        """Groups that have an offset on the topic."""
        groups = [group[0] for group in await self.admin.list_consumer_groups()]
        return {group for group in groups if await self.committed(group, topic)}


def _partitions(topic: Topic) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]


@asynccontextmanager
async def _cluster(settings: Settings) -> AsyncGenerator[_Cluster]:
    options = client_options(settings)
    admin = AIOKafkaAdminClient(**options, client_id=CLIENT)
    consumer = AIOKafkaConsumer(**options, client_id=CLIENT, group_id=None)
    try:
        await admin.start()
        await consumer.start()
        yield _Cluster(admin, consumer)
    finally:
        await consumer.stop()
        await admin.close()


@asynccontextmanager
async def _databases(services: Iterable[str], settings: Settings) -> AsyncGenerator[dict[str, Database]]:
    connections = {service: connect(settings, service=service) for service in services}
    try:
        yield {service: database for service, (_, database) in connections.items()}
    finally:
        for client, _ in connections.values():
            client.close()


@asynccontextmanager
async def _in_words() -> AsyncGenerator[None]:
    try:
        yield
    except (KafkaDown, KafkaError) as error:
        raise LabError(f"Kafka failed: {error!r}\nNothing is lost; begin again: livinglab republish") from error
    except PyMongoError as error:
        raise LabError(f"MongoDB failed: {error}\nNothing is lost; begin again: livinglab republish") from error
