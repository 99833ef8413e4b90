"""A group's place on its topic: what is settled, what is held back, and whether the topic was begun anew.

Commits name explicit offsets of partitions that are still ours. A held record keeps its offset, and thereby all after
it on its partition, uncommitted: they are handled meanwhile, and handled again if this process dies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from chassis.deadletters import Failure, RawRecord
from chassis.epochs import Epoch
from chassis.positions import Positions

log = structlog.stdlib.get_logger()


@dataclass(slots=True)
class Partition:
    """What is known of an assigned partition. `next`: the offset after the last one settled."""

    epoch: int | None = None
    rewind: int = 0
    next: int | None = None
    went_back_to: int | None = None
    committed: int | None = None
    held: dict[int, tuple[RawRecord, Failure]] = field(default_factory=dict[int, tuple[RawRecord, Failure]])
    handled_at: float = 0.0
    end: int = 0
    lag_since: float | None = None


class Offsets:
    """One group's partitions in this process, from assignment to revocation."""

    def __init__(self, group: str, positions: Positions) -> None:
        self._group = group
        self._positions = positions
        self._consumer: Callable[[], AIOKafkaConsumer | None] = lambda: None
        self._partitions: dict[TopicPartition, Partition] = {}
        self.measured_at = float("-inf")
        """When Kafka last told the ends, on the monotonic clock."""

    def attach(self, consumer: Callable[[], AIOKafkaConsumer | None]) -> None:
        """Where to find the consumer, which FastStream makes when it starts."""
        self._consumer = consumer

    def of(self, record: RawRecord) -> Partition:
        """The partition that a record was read from."""
        return self._known(TopicPartition(record.topic, record.partition))

    def forget(self, revoked: set[TopicPartition]) -> None:
        """Others read these now."""
        for tp in revoked:
            self._partitions.pop(tp, None)

    def held(self) -> list[tuple[RawRecord, Failure]]:
        """Records that failed, and wait to see whether others succeed."""
        return [held for partition in self._partitions.values() for held in partition.held.values()]

    def let_go(self) -> None:
        """All held records are dealt with."""
        for partition in self._partitions.values():
            partition.held.clear()

    def advance(self, records: Sequence[RawRecord]) -> None:
        """These are settled: handled, set aside, or held."""
        for record in records:
            partition = self.of(record)
            partition.next = max(partition.next or 0, record.offset + 1)
            partition.handled_at = record.timestamp / 1000

    async def commit(self) -> None:
        """Commit what is settled. A commit that fails is made up for by the next, or by whoever reads it again."""
        consumer = self._consumer()
        if consumer is None:
            return
        due: dict[TopicPartition, int] = {}
        for tp in consumer.assignment():
            partition = self._partitions.get(tp)
            if partition and partition.next is not None:
                offset = min(partition.held, default=partition.next)
                if offset != partition.committed:
                    due[tp] = offset
        if not due:
            return
        try:
            await consumer.commit(due)
        except (CommitFailedError, IllegalStateError, KafkaError) as error:
            log.warning("offsets not committed", group=self._group, error=repr(error))
            return
        for tp, offset in due.items():
            if tp in self._partitions:
                self._partitions[tp].committed = offset

    async def still_due(self, records: Sequence[RawRecord]) -> Sequence[RawRecord]:
        """Those of partitions that are still ours and were not begun anew since these were fetched."""
        consumer = self._consumer()
        if consumer is None:
            return ()
        last: dict[TopicPartition, int] = {}
        for record in records:
            last[TopicPartition(record.topic, record.partition)] = record.offset
        assigned = consumer.assignment()
        due = {tp for tp, offset in last.items() if tp in assigned and await consumer.position(tp) > offset}
        if len(due) == len(last):
            return records
        return [r for r in records if TopicPartition(r.topic, r.partition) in due]

    async def without_holes(self, records: Sequence[RawRecord]) -> Sequence[RawRecord]:
        """Those of partitions on which they follow what is settled. Goes back on the others, once per hole.

        aiokafka forgets what it had fetched for a call of `getmany` that fails on another partition's record (a header
        name that is not UTF-8); a later commit would skip that. Compaction leaves holes too, hence once.
        """
        first: dict[TopicPartition, int] = {}
        for record in records:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        back: dict[TopicPartition, int] = {}
        for tp, offset in first.items():
            partition = self._known(tp)
            if partition.next is None and (consumer := self._consumer()):
                partition.next = partition.committed = await consumer.committed(tp)
            if partition.next is not None and offset > partition.next != partition.went_back_to:
                partition.went_back_to = back[tp] = partition.next
        for tp, offset in back.items():
            if (consumer := self._consumer()) and tp in consumer.assignment():
                log.warning("records were jumped over", group=self._group, partition=tp.partition, back_to=offset)
                consumer.seek(tp, offset)
        return [r for r in records if TopicPartition(r.topic, r.partition) not in back] if back else records

    # A topic that was rebuilt, or is to be read again

    async def of_known_epoch(
        self, records: Sequence[RawRecord], *, is_fact: Callable[[RawRecord], bool]
    ) -> Sequence[RawRecord]:
        """Begin a partition anew when its topic was rebuilt; the records of the others."""
        anew: dict[TopicPartition, int] = {}
        for record in records:
            tp = TopicPartition(record.topic, record.partition)
            known, told = await self._epoch(tp), Epoch.read(record.headers).number
            # Only what reads as a fact is believed: anybody could put a number beside garbage.
            if told > known and is_fact(record):
                anew[tp] = max(told, anew.get(tp, 0))
        for tp, epoch in anew.items():
            await self._begin_anew(tp, epoch=epoch, rewind=self._known(tp).rewind)
        return [r for r in records if TopicPartition(r.topic, r.partition) not in anew]

    async def rewind_if_asked(self) -> None:
        """Begin all partitions anew when an operator asked for it."""
        consumer = self._consumer()
        asked = await self._positions.rewind_asked(self._group)
        for tp in consumer.assignment() if consumer else ():
            epoch = await self._epoch(tp)
            if self._known(tp).rewind < asked:
                await self._begin_anew(tp, epoch=epoch, rewind=asked)

    async def _epoch(self, tp: TopicPartition) -> int:
        partition = self._known(tp)
        if partition.epoch is None:
            partition.epoch, partition.rewind = await self._positions.of(self._group, tp)
        return partition.epoch

    async def _begin_anew(self, tp: TopicPartition, *, epoch: int, rewind: int) -> None:
        consumer = self._consumer()
        if consumer is None or tp not in consumer.assignment():
            return
        beginning = (await consumer.beginning_offsets([tp]))[tp]
        consumer.seek(tp, beginning)
        # Committed before it is remembered: a crash between the two begins anew once more, which changes nothing.
        await consumer.commit({tp: beginning})
        await self._positions.remember(self._group, tp, epoch=epoch, rewind=rewind)
        self._partitions[tp] = Partition(epoch=epoch, rewind=rewind, next=beginning, committed=beginning)
        log.warning("partition begun anew", group=self._group, partition=tp.partition, epoch=epoch, rewind=rewind)

    # Standing back

    def pause_before(self, records: Sequence[RawRecord]) -> None:
        """Read these again, later: back to the first of each partition, and pause all that is assigned."""
        consumer = self._consumer()
        if consumer is None:
            return
        first: dict[TopicPartition, int] = {}
        for record in records:
            tp = TopicPartition(record.topic, record.partition)
            first[tp] = min(record.offset, first.get(tp, record.offset))
        assigned = consumer.assignment()
        for tp in first.keys() & assigned:
            settled = self._known(tp).next  # before the batch, where the partition was just begun anew
            consumer.seek(tp, first[tp] if settled is None else min(first[tp], settled))
        consumer.pause(*assigned)

    def resume(self) -> None:
        """Go on with what is paused and still ours."""
        if consumer := self._consumer():
            consumer.resume(*(consumer.paused() & consumer.assignment()))

    # Lag

    @property
    def lag(self) -> int:
        """Records on the assigned partitions that are not committed, as of the last measurement."""
        return sum(max(0, p.end - (p.committed or 0)) for p in self._partitions.values())

    @property
    def waiting(self) -> int:
        """Those of them that were not read yet: a held record is not committed, and yet nothing waits for us."""
        return sum(max(0, p.end - (p.next or p.committed or 0)) for p in self._partitions.values())

    async def measure(self) -> float:
        """Ask Kafka for the ends of the assigned partitions; the age in seconds of the oldest record not handled."""
        consumer = self._consumer()
        assigned = sorted(consumer.assignment()) if consumer else []
        if consumer is None or not assigned:
            return 0.0
        ends: dict[TopicPartition, int] = await consumer.end_offsets(assigned)
        now, oldest = time(), 0.0
        self.measured_at = monotonic()
        for tp, end in ends.items():
            partition = self._known(tp)
            if partition.committed is None:
                partition.committed = await consumer.committed(tp)
            partition.end = end
            if end <= (partition.committed or 0):
                partition.lag_since = None
                continue
            partition.lag_since = partition.lag_since or now
            # After an idle hour the last handled record is old, but what lies there now has only just come.
            oldest = max(oldest, now - max(partition.lag_since, partition.handled_at))
        return oldest

    def _known(self, tp: TopicPartition) -> Partition:
        return self._partitions.setdefault(tp, Partition())
