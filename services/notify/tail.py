"""Reads Kafka for the live streams: without a group, so that every replica hears everything and none commits anything.

One tail per process follows the ends for all streams; whoever missed something reads that alone (`missed`).
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from time import monotonic

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from chassis.deadletters import RawRecord
from chassis.epochs import Epoch
from chassis.producer import KafkaDown, client_options
from chassis.records import Ignored, Rejected, incoming
from chassis.settings import Settings
from contracts import events, topics
from contracts.regions import Directory
from contracts.topics import Topic
from services.notify.domain.event import structured
from services.notify.domain.matching import event_tokens
from services.notify.domain.place import Place
from services.notify.keys import Keys, Purpose
from services.notify.streams import Heard, Streams
from services.notify.usecases.deliver import about_of

log = structlog.stdlib.get_logger()

AT_ONCE = 50
"""Records between two turns of the event loop: some milliseconds of decoding."""
TOLD_AT_ONCE = 500
"""Messages handed to streams between two turns of the event loop."""
POLL_MS = 1_000
STEP_MS = 50
COMMITTED_WITHIN = timedelta(seconds=30)
"""After a fact's `time` its write is done, or was refused, by whichever clock: state that is read later holds it."""
NO_PROGRESS_S = 10.0
TOPICS = tuple(topic for topic in topics.ALL if topic is not topics.PUBLIC)
"""What is on the public one is on the topic of its noun too."""
_Bounds = Mapping[TopicPartition, tuple[int, int]]
"""Of each partition its first offset, and that of the next record."""
_BODIES = {event.topic.name.split(".")[1]: event.body for event in events.ALL}


class Rebuilt(Exception):
    """Of these topics, offsets of before mean nothing any more. `epochs`: noun → its epoch, None where not known."""

    def __init__(self, epochs: Mapping[str, int | None]) -> None:
        super().__init__(", ".join(sorted(epochs)))
        self.epochs = epochs


@dataclass(frozen=True)
class Source:
    """Where events come from. Places name topics by their nouns."""

    settings: Settings
    directory: Directory
    topics: Sequence[Topic] = TOPICS

    def partitions(self, nouns: Iterable[str] | None = None) -> list[TopicPartition]:
        """All there are, or those of some."""
        wanted = [topic for topic in self.topics if nouns is None or noun_of(topic.name) in nouns]
        return [TopicPartition(topic.name, number) for topic in wanted for number in range(topic.partitions)]

    @asynccontextmanager
    async def consumer(self) -> AsyncGenerator[AIOKafkaConsumer]:
        """Started, with nothing assigned. Raises KafkaDown for whatever Kafka does inside."""
        consumer = AIOKafkaConsumer(
            **client_options(self.settings),
            client_id="notify.stream",
            group_id=None,
            auto_offset_reset="none",
            enable_auto_commit=False,
        )
        try:
            await consumer.start()
            # aiokafka 0.14 asks for leaders of what is assigned and can't be seen 1,600 times a second, for ever.
            if unseen := {topic.name for topic in self.topics} - await consumer.topics():
                raise KafkaDown(f"not there, or not to be read by this user: {', '.join(sorted(unseen))}")
            yield consumer
        except (KafkaError, OSError) as error:
            raise KafkaDown("reading for live streams") from error
        finally:
            await consumer.stop()

    def heard(self, record: RawRecord) -> Heard | None:
        """None for what is no fact, or one of a version that is not read: the workers set it aside."""
        try:
            fact = incoming(record, _BODIES[noun_of(record.topic)])
        except (Rejected, Ignored):
            return None
        envelope, epoch, about = fact.envelope, Epoch.read(record.headers), about_of(fact, self.directory)
        return Heard(
            type=envelope.type,
            tokens=event_tokens(envelope.type, about.within, self.directory),
            about=about,
            body=structured(envelope, fact.value),
            epoch=epoch,
            past=epoch.rebuilt_at is not None and envelope.time < epoch.rebuilt_at - COMMITTED_WITHIN,
        )

    async def missed(self, place: Place, until: Place) -> AsyncGenerator[Heard]:
        """What lies between the two; `place` moves along, past each as it is taken.

        Raises Rebuilt, KafkaDown (also when nothing comes).
        """
        async with self.consumer() as consumer:
            reading = Reading(consumer, place)
            ends = {TopicPartition(self._name(noun), n): until.next(noun, n) for noun, n in place.missed(until)}
            consumer.assign(list(ends))
            for tp in ends:
                consumer.seek(tp, place.next(noun_of(tp.topic), tp.partition))
            progressed_at = monotonic()
            while ends:
                page = await reading.page()
                await asyncio.sleep(0)  # what is there already, aiokafka gives without a turn of the loop
                for record in page:
                    if record.offset >= ends.get(TopicPartition(record.topic, record.partition), 0):
                        continue
                    noun, heard = noun_of(record.topic), self.heard(record)
                    if heard and heard.epoch.number > place.epoch(noun):
                        raise Rebuilt({noun: heard.epoch.number})
                    place.move(noun, record.partition, next=record.offset + 1)
                    progressed_at = monotonic()
                    if heard and not heard.past:
                        yield heard
                done = [tp for tp, end in ends.items() if await consumer.position(tp) >= end]
                for tp in done:
                    place.move(noun_of(tp.topic), tp.partition, next=ends.pop(tp))
                    consumer.pause(tp)
                if not done and monotonic() - progressed_at > NO_PROGRESS_S:
                    raise KafkaDown("what a stream missed does not come")

    def _name(self, noun: str) -> str:
        return next(topic.name for topic in self.topics if noun_of(topic.name) == noun)


class Reading:
    """Pages of what is assigned. Before the next page the caller moves `place` past every record of the one before."""

    def __init__(self, consumer: AIOKafkaConsumer, place: Place) -> None:
        self._consumer = consumer
        self._place = place

    async def page(self) -> list[RawRecord]:
        """In order per partition; nothing after POLL_MS without any. Raises Rebuilt, and what aiokafka does."""
        try:
            found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=AT_ONCE)
        except OffsetOutOfRangeError as error:
            raise Rebuilt({noun_of(tp.topic): None for tp in error.args[0]}) from error
        except UnicodeDecodeError:
            return await self._up_to_the_unreadable()
        return [record for records in found.values() for record in records]

    async def _up_to_the_unreadable(self) -> list[RawRecord]:
        """aiokafka fails on a header's name that is not UTF-8, and forgets what else it had for that call.

        So one by one from where we are, to find that record and step over it: it is no fact.
        """
        read: list[RawRecord] = []
        assigned = self._consumer.assignment() - self._consumer.paused()
        for tp in assigned:
            self._consumer.seek(tp, self._place.next(noun_of(tp.topic), tp.partition))
        for tp in assigned:
            try:
                while found := await self._consumer.getmany(tp, timeout_ms=STEP_MS, max_records=1):
                    read += found[tp]
                    if len(read) == AT_ONCE:
                        return read
            except UnicodeDecodeError:
                if any((record.topic, record.partition) == (tp.topic, tp.partition) for record in read):
                    continue  # it is the first of the next time, when these were told
                unreadable = await self._consumer.position(tp)
                log.warning("a record cannot be read", topic=tp.topic, partition=tp.partition, offset=unreadable)
                # Passed for good: of two such, on two partitions, each would lead back to the other.
                self._place.move(noun_of(tp.topic), tp.partition, next=unreadable + 1)
                self._consumer.seek(tp, unreadable + 1)
        return read


class Tail:
    """Follows the ends of all topics, and tells the open streams. What it knows outlives it: it is in `streams`."""

    def __init__(self, source: Source, streams: Streams, keys: Keys) -> None:
        self._source = source
        self._streams = streams
        self._keys = keys
        self._place = streams.place or Place()

    async def run(self) -> None:
        """For ever. Raises KafkaDown; then begin again with another one, which goes on where this one was."""
        async with self._source.consumer() as consumer:
            everything = self._source.partitions()
            consumer.assign(everything)
            if self._streams.place is None:
                ends = self._go_to_ends(consumer, await _bounds(consumer, everything))
            else:
                ends = {}
                await self._go_back(consumer, everything)
            reading = Reading(consumer, self._place)
            while True:
                try:
                    await self._tell(await reading.page())
                except Rebuilt as rebuilt:
                    await self._begin_anew(consumer, rebuilt.epochs)
                    ends = {tp: end for tp, end in ends.items() if noun_of(tp.topic) not in rebuilt.epochs}
                if all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                    ends.clear()
                    self._streams.place = self._place

    async def _tell(self, records: Sequence[RawRecord]) -> None:
        """Raises Rebuilt when all were told but those of rebuilt topics."""
        told, rebuilt = 0, dict[str, int | None]()
        for record in records:
            noun = noun_of(record.topic)
            heard = self._source.heard(record)
            # Only what reads as a fact is believed: anybody could put a number beside garbage.
            if heard and (epoch := heard.epoch.number) > self._place.epoch(noun):
                if self._streams.place is None:  # not begun: the record before the end tells, and nobody listens yet
                    self._place.learn(noun, epoch=epoch)
                else:
                    rebuilt[noun] = epoch
            if noun in rebuilt or record.offset < self._place.next(noun, record.partition):
                continue  # the latter: the one before the end
            # Nothing is awaited between the two: whoever opens a stream now has either passed the record or hears it.
            self._place.move(noun, record.partition, next=record.offset + 1)
            if heard and not heard.past and (listening := self._streams.listening(heard)):
                message = heard.message(self._keys.seal_for(Purpose.PLACE, self._place.encoded()))
                for stream in listening:
                    stream.put(message)
                told += len(listening)
                if told >= TOLD_AT_ONCE:
                    told = 0
                    await asyncio.sleep(0)
        if rebuilt:
            raise Rebuilt(rebuilt)

    def _go_to_ends(self, consumer: AIOKafkaConsumer, bounds: _Bounds) -> dict[TopicPartition, int]:
        """One before them, since only a record tells its topic's epoch. The ends, where there is such a record."""
        for tp, (begin, end) in bounds.items():
            self._place.move(noun_of(tp.topic), tp.partition, next=end)
            consumer.seek(tp, max(begin, end - 1))
        return {tp: end for tp, (begin, end) in bounds.items() if end > begin}

    async def _go_back(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        """To where another tail was; also one before."""
        bounds = await _bounds(consumer, partitions)
        lost: dict[str, int | None] = {}
        for tp in partitions:
            next = self._place.next(noun_of(tp.topic), tp.partition)
            begin, end = bounds[tp]
            if begin <= next <= end:
                consumer.seek(tp, max(begin, next - 1))
            else:
                lost[noun_of(tp.topic)] = None
        if lost:
            await self._begin_anew(consumer, lost)

    async def _begin_anew(self, consumer: AIOKafkaConsumer, epochs: Mapping[str, int | None]) -> None:
        """Topics were rebuilt: go on from their ends, and tell every stream that it may have missed something."""
        log.warning("topics were rebuilt", epochs=epochs)
        bounds = await _bounds(consumer, self._source.partitions(epochs))
        # From here to the reset nothing is awaited: a place that had moved before Kafka fails would never be told.
        for noun, epoch in epochs.items():
            self._place.begin(noun, epoch=epoch or self._place.epoch(noun))
        self._go_to_ends(consumer, bounds)
        self._streams.reset("rebuilt", self._keys.seal_for(Purpose.PLACE, self._place.encoded()))


async def _bounds(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> _Bounds:
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    return {tp: (begins[tp], ends[tp]) for tp in partitions}


@lru_cache(maxsize=64)
def noun_of(topic: str) -> str:
    """`livinglab.assessment` → `assessment`."""
    return topic.split(".")[1]
