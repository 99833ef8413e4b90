"""Has this service read everything that a topic held a moment ago?

A submission may be read before the instrument that it refers to, although that lies on its topic already: the two are
consumed independently. Before a reference counts as unknown, its topic is caught up with.
"""

import asyncio
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from chassis.producer import KafkaDown, client_options
from chassis.settings import Settings
from contracts.topics import Topic

POLL_S = 0.05
NO_PROGRESS_S = 15.0
"""So long without a step forward: the topic's own consumer is stuck on something, and waiting longer would block us."""


class CatchUp:
    """Compares a group's committed offsets with the ends of its topic."""

    def __init__(self, settings: Settings, *, service: str) -> None:
        self._settings = settings
        self._service = service

    async def with_topic(self, topic: Topic, *, group: str) -> None:
        """Return when `group` has committed all that `topic` holds now, or makes no progress. Raises KafkaDown."""
        options = client_options(self._settings)
        consumer = AIOKafkaConsumer(**options, client_id=f"{self._service}.catchup", group_id=None)
        admin = AIOKafkaAdminClient(**options, client_id=f"{self._service}.catchup")
        partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        try:
            await consumer.start()
            await admin.start()
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            reached, reached_at = -1, monotonic()
            while True:
                committed = await admin.list_consumer_group_offsets(group, partitions=partitions)
                # A coordinator that is only just loading leaves partitions out.
                offsets = {tp: max(0, committed[tp].offset) if tp in committed else 0 for tp in partitions}
                missing = [tp for tp in partitions if offsets[tp] < ends[tp]]
                so_far = sum(offsets.values())
                if so_far > reached:
                    reached, reached_at = so_far, monotonic()
                if all(ends[tp] == 0 for tp in missing) or monotonic() - reached_at > NO_PROGRESS_S:
                    return
                await asyncio.sleep(POLL_S)
        except KafkaError as error:
            raise KafkaDown(f"catching up with {topic.name}") from error
        finally:
            await consumer.stop()
            await admin.close()
