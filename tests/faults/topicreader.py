"""What lies on the topics, read whole, and how far the groups have come."""

from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from contracts.fact import envelope_of
from contracts.topics import Topic


@dataclass(frozen=True, slots=True)
class Record:
    """A fact as it lies on a topic."""

    id: str
    type: str
    aggregate: str
    revision: int
    value: bytes


async def read_whole(bootstrap_servers: str, topic: Topic) -> list[Record]:
    """Every record of a topic, as of now."""
    untyped: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=None, fetch_max_wait_ms=50)
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    found: list[Record] = []
    async with untyped as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    said = envelope_of(record.headers)
                    found.append(Record(str(said.id), said.type, said.subject, said.revision, record.value))
    return found


async def lag(bootstrap_servers: str, topic: Topic, *, group: str) -> int:
    """Records of a topic that the group has not committed."""
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    untyped: Any = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=None)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    async with untyped as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    try:
        await admin.start()
        committed = await admin.list_consumer_group_offsets(group, partitions=partitions)
    finally:
        await admin.close()
    # A coordinator that is only just loading leaves partitions out.
    return sum(end - (max(0, committed[tp].offset) if tp in committed else 0) for tp, end in ends.items())
