"""Kafka as tests use it: topics of their own, raw records, whatever is on a topic, what a group has committed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.producer import client_options
from chassis.records import OutgoingFact
from chassis.settings import Settings
from contracts.topics import Topic

DEADLINE_S = 20.0
Record = ConsumerRecord[Any, Any]
RawHeaders = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Kafka:
    """Clients of one test session."""

    settings: Settings
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient

    @classmethod
    async def start(cls, settings: Settings) -> "Kafka":
        """Connect."""
        options = client_options(settings)
        producer = AIOKafkaProducer(**options, linger_ms=0, max_request_size=1_048_576)
        admin = AIOKafkaAdminClient(**options)
        await producer.start()
        await admin.start()
        return cls(settings, producer, admin)

    async def stop(self) -> None:
        """Disconnect."""
        await self.producer.stop()
        await self.admin.close()

    async def topic(self, noun: str, *, partitions: int = 1) -> Topic:
        """A topic that nobody else has."""
        topic = Topic(f"test.{noun}.{uuid4().hex[:8]}", partitions, "any", compacted=False, about="of a test")
        made: Any = await self.admin.create_topics([NewTopic(topic.name, partitions, 1)])
        assert all(code == 0 for _, code, *_ in made.topic_errors), made
        return topic

    async def put(
        self,
        topic: Topic,
        value: bytes | None,
        *,
        headers: RawHeaders = (),
        key: bytes | None = b"key",
        partition: int = 0,
        timestamp_ms: int | None = None,
    ) -> int:
        """Put a raw record on a partition; its offset."""
        raw: Any = list(headers)
        sent = await self.producer.send_and_wait(
            topic.name, value, key=key, headers=raw, partition=partition, timestamp_ms=timestamp_ms
        )
        return sent.offset

    async def put_facts(self, facts: Sequence[OutgoingFact], *, partition: int = 0, epoch: int = 0) -> list[int]:
        """Put facts on a partition, in order; their offsets."""
        sent = [
            await self.producer.send(
                fact.topic.name,
                fact.value,
                key=fact.key.encode(),
                headers=[*fact.envelope.headers(), ("epoch", str(epoch).encode())],
                partition=partition,
            )
            for fact in facts
        ]
        return [metadata.offset for metadata in await asyncio.gather(*sent)]

    async def read(self, topic: Topic) -> list[Record]:
        """Everything that is on a topic now, partition by partition in order."""
        consumer = AIOKafkaConsumer(**client_options(self.settings), group_id=None, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[Record] = []
            async with asyncio.timeout(DEADLINE_S):
                while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                    batches = await consumer.getmany(*partitions, timeout_ms=100)
                    found += [record for records in batches.values() for record in records]
        finally:
            await consumer.stop()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    async def committed(self, group: str, topic: Topic) -> dict[int, int]:
        """What a group has committed; -1 where it has not."""
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        found = await self.admin.list_consumer_group_offsets(group, partitions=partitions)
        return {tp.partition: offset.offset for tp, offset in found.items()}

    async def caught_up(self, group: str, topic: Topic) -> None:
        """Return when the group has committed the end of every partition that holds anything."""
        consumer = AIOKafkaConsumer(**client_options(self.settings), group_id=None)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
            wanted = {tp.partition: end for tp, end in (await consumer.end_offsets(partitions)).items() if end}
        finally:
            await consumer.stop()
        await self.reaches(group, topic, wanted)

    async def reaches(self, group: str, topic: Topic, wanted: dict[int, int]) -> None:
        """Return when the group has committed exactly this; says what it has when it never does."""
        found: dict[int, int] = {}
        try:
            async with asyncio.timeout(DEADLINE_S):
                while {number: found.get(number) for number in wanted} != wanted:
                    await asyncio.sleep(0.02)
                    found = await self.committed(group, topic)
        except TimeoutError as error:
            raise AssertionError(f"{group} has committed {found} of {topic.name}, wanted {wanted}") from error
