"""From a raw batch to handled facts and committed offsets: bad input neither blocks nor vanishes.

What may happen to a record, and the answer:
- it breaks its contract, or refers to what nobody published: dead letter, the next one is handled;
- a dependency is down: back to the first record not handled, pause, come again;
- any other exception: alone, three tries, its offset held. Set aside once another record of this subscriber has
  succeeded (before it within 10 minutes, or after it; then it is tried once more). Twenty in a row with no success:
  our bug, so stand still;
- another digest at a known (aggregate, revision, rule): a fork. Stand still, a human must look.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from chassis.catchup import CatchUp
from chassis.crash import crash_point
from chassis.deadletters import DeadLetters, Failure, RawRecord, record_of
from chassis.epochs import Epochs
from chassis.offsets import Offsets
from chassis.positions import Positions
from chassis.problem import Unavailable
from chassis.producer import KafkaDown, Producer
from chassis.publish import Publish
from chassis.records import Fact, Ignored, Rejected, incoming
from chassis.store import in_short, is_down
from chassis.telemetry import Telemetry, from_zero
from contracts.fact import Body
from contracts.topics import Topic

log = structlog.stdlib.get_logger()

B = TypeVar("B", bound=Body)
_Pair = tuple[RawRecord, Fact[B]]
_Failed = tuple[RawRecord, Failure]
React = Callable[[Sequence[Fact[B]], Publish], Awaitable[None]]

TRY_AGAIN_AFTER_S = (0.05, 0.2)
"""A record that failed alone is tried again after these."""
RECENT_SUCCESS_S = 600.0
FAILURES_IN_A_ROW = 20
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
TICK_S = 1.0


class Fork(Exception):
    """Two histories of one aggregate: a restored backup, most likely. Nothing may be derived from either."""


class UnknownReference(Exception):
    """A fact refers to `name`, which `topic` defines and this service has not heard of (yet)."""

    def __init__(self, topic: Topic, name: str) -> None:
        super().__init__(f"{topic.name} has not told of {name}")
        self.topic = topic
        self.name = name


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What all intakes of a process share."""

    producer: Producer
    epochs: Epochs
    positions: Positions
    letters: DeadLetters
    catch_up: CatchUp
    telemetry: Telemetry
    stand_still_s: float
    """As in the settings."""


def _dependency_down(error: BaseException) -> bool:
    # Unavailable: a decision's outbox is full, or others changed its aggregate each time.
    kafka_or_outbox = isinstance(error, KafkaDown | KafkaError | Unavailable)
    return kafka_or_outbox or (isinstance(error, PyMongoError) and is_down(error))


class Intake(Generic[B]):
    """One reaction at run time: its place on the topic, what failed, and why it stands still, if it does."""

    def __init__(
        self, topic: Topic, group: str, of: type[B], react: React[B], toolbox: Toolbox, groups: Mapping[str, str]
    ) -> None:
        self.topic = topic
        self.group = group
        self._of = of
        self._react = react
        self._tools = toolbox
        self._groups = groups
        self.offsets = Offsets(group, toolbox.positions)
        self._turn = asyncio.Lock()
        self._generation = 0
        self._batch_of = 0
        """The generation in which the running batch began."""
        self._caught_up: set[str] = set()
        """The topics that were caught up with since the running batch began."""
        self._failed_in_a_row: set[tuple[int, int]] = set()
        self._succeeded_at = float("-inf")
        self._back_offs = 0
        self._resuming: asyncio.Task[None] | None = None
        for reason in ("bug", "fork"):
            toolbox.telemetry.metrics.stopped.labels(group, reason).set(0)
        from_zero(toolbox.telemetry.metrics.records, (group,), ("handled", "ignored", "set_aside", "retried"))
        self.trouble: str | None = None
        """`bug` or `fork` while it stands still: not ready, and the alert is on."""
        self.progressed_at = monotonic()

    # Partitions come and go

    def take_up(self) -> None:
        """Partitions were assigned: from now on there may be progress."""
        self.progressed_at = monotonic()

    async def give_up(self, revoked: set[TopicPartition], *, wait_s: float) -> None:
        """Let a running batch finish for `wait_s`; then whatever it still does is not committed."""
        try:
            async with asyncio.timeout(wait_s), self._turn:
                pass
        except TimeoutError:
            log.warning("batch abandoned on rebalance", group=self.group, waited_s=wait_s)
        self._generation += 1
        self.offsets.forget(revoked)

    # One batch

    async def handle(self, records: Sequence[RawRecord]) -> None:
        """Settle a batch: every record handled, set aside or held; then commit. Never raises for a record."""
        async with self._turn:
            await self._handle(records)

    async def _handle(self, records: Sequence[RawRecord]) -> None:
        if self.trouble == "fork":  # a rebalance lifts the pause, a human lifts the fork
            self.offsets.pause_before(records)
            return
        metrics = self._tools.telemetry.metrics
        began = monotonic()
        self._batch_of = self._generation
        self._caught_up.clear()
        try:
            records = await self.offsets.without_holes(await self.offsets.still_due(records))
            records = await self.offsets.of_known_epoch(records, is_fact=self._is_fact)
            if not records:
                return
            metrics.batch_records.labels(self.group).observe(len(records))
            failed = await self._settle(records)
            self._must_be_ours()
            await self._judge(records, failed, succeeded=self._succeeded_at >= began)
            self._must_be_ours()
            self.offsets.advance(records)
            self.progressed_at = monotonic()
            self._back_offs = 0
            crash_point("batch.published")
            await self.offsets.commit()
            crash_point("batch.committed")
            metrics.batch_seconds.labels(self.group).observe(monotonic() - began)
        except Exception as error:
            if self._batch_of != self._generation:
                # Whoever has the partitions now reads these again, from what is committed. A seek might skip some.
                log.warning("abandoned batch ended", group=self.group, error=repr(error))
            elif isinstance(error, Fork):
                self._stand_still("fork", records, str(error))
            elif isinstance(error, _AllFail):
                self._stand_still("bug", records, str(error))
            else:
                # Also for what nobody foresaw: going on would let a later commit skip these records.
                self._back_off(records, error)

    def _is_fact(self, record: RawRecord) -> bool:
        try:
            incoming(record, self._of)
        except (Rejected, Ignored):
            return False
        return True

    def _must_be_ours(self) -> None:
        if self._batch_of != self._generation:
            raise _Abandoned

    async def _settle(self, records: Sequence[RawRecord]) -> list[_Failed]:
        """React to all; the failures that are left."""
        facts: list[_Pair[B]] = []
        for record in records:
            try:
                facts.append((record, incoming(record, self._of)))
            except Rejected as rejected:
                await self._set_aside(record, _failure(rejected))
            except Ignored:
                self._count("ignored", 1)
        failing = await self._split(facts)
        for wait_s in TRY_AGAIN_AFTER_S:
            if failing:
                await asyncio.sleep(wait_s)
                failing = [left for pair, _ in failing for left in await self._split([pair])]
        for (record, _), error in failing[:1]:  # one tells where; a bug of ours hits a whole batch
            log.warning("reaction failed", group=self.group, records=len(failing), offset=record.offset, exc_info=error)
        return [(record, _failure(error)) for (record, _), error in failing]

    async def _split(self, facts: Sequence[_Pair[B]]) -> list[tuple[_Pair[B], Exception]]:
        """React to all at once; on a failure to each half, so that few bad records cost few extra calls."""
        if not facts:
            return []
        record = facts[0][0]
        try:
            await self._run([fact for _, fact in facts])
        except Fork:
            raise
        except UnknownReference as unknown:
            if unknown.topic.name not in self._caught_up:
                await self._tools.catch_up.with_topic(unknown.topic, group=self._groups[unknown.topic.name])
                self._caught_up.add(unknown.topic.name)
                return await self._split(facts)
            if len(facts) == 1:
                await self._set_aside(record, _failure(unknown))
                return []
        except Rejected as rejected:
            if len(facts) == 1:
                await self._set_aside(record, _failure(rejected))
                return []
        except Exception as error:
            if _dependency_down(error):
                raise
            if len(facts) == 1:
                self.progressed_at = monotonic()
                return [(facts[0], error)]
        else:
            self._succeeded_at = self.progressed_at = monotonic()
            self._count("handled", len(facts))
            arrived = self._tools.telemetry.metrics.arrived
            for _, fact in facts:
                arrived("handled", fact.envelope.type, fact.envelope.time, traceparent=fact.traceparent)
            return []
        middle = len(facts) // 2
        return await self._split(facts[:middle]) + await self._split(facts[middle:])

    async def _run(self, facts: Sequence[Fact[B]], *, again: bool = False) -> None:
        publish = self._publisher()
        with publish.spans(facts, topic=self.topic.name, group=self.group, again=again):
            try:
                await self._react(facts, publish)
                crash_point("batch.handled")
            finally:
                await publish.flush()

    def _publisher(self) -> Publish:
        tools = self._tools
        return Publish(producer=tools.producer, epochs=tools.epochs, telemetry=tools.telemetry)

    async def _judge(self, records: Sequence[RawRecord], failed: Sequence[_Failed], *, succeeded: bool) -> None:
        """Our bug, or theirs? Raises _AllFail when it is ours."""
        if succeeded:
            self._failed_in_a_row.clear()
        elif failed:
            self._failed_in_a_row |= {(record.partition, record.offset) for record, _ in failed}
            if len(self._failed_in_a_row) >= FAILURES_IN_A_ROW:
                raise _AllFail(failed[-1][1].detail)
        if failed or self.offsets.held():
            for record in records:
                self.offsets.of(record).held.pop(record.offset, None)
            if monotonic() - self._succeeded_at < RECENT_SUCCESS_S:
                for record, failure in [*await self._once_more(self.offsets.held()), *failed]:
                    await self._set_aside(record, failure)
                self.offsets.let_go()
            else:
                for record, failure in failed:
                    self.offsets.of(record).held[record.offset] = (record, failure)
        if succeeded:
            self._clear_trouble()

    async def _once_more(self, held: Sequence[_Failed]) -> list[_Failed]:
        """What is held from earlier batches, now that others succeed: a bug that is gone since, or theirs?"""
        failing = await self._split([(record, incoming(record, self._of)) for record, _ in held])
        return [(record, _failure(error)) for (record, _), error in failing]

    async def _set_aside(self, record: RawRecord, failure: Failure) -> None:
        self._must_be_ours()  # else its epoch is forgotten, and with it the letter's id
        log.warning(
            "dead letter", group=self.group, code=failure.code, partition=record.partition, offset=record.offset
        )
        epoch = self.offsets.of(record).epoch or 0
        await self._tools.letters.add(record, failure, group=self.group, epoch=epoch)
        self.progressed_at = monotonic()
        self._count("set_aside", 1)

    def _count(self, outcome: str, records: int) -> None:
        self._tools.telemetry.metrics.records.labels(self.group, outcome).inc(records)

    # Standing back

    def _back_off(self, records: Sequence[RawRecord], error: BaseException) -> None:
        wait_s = BACK_OFF_S[min(self._back_offs, len(BACK_OFF_S) - 1)]
        self._back_offs += 1
        if _dependency_down(error):
            log.warning("a dependency is down", group=self.group, error=in_short(error), retry_s=wait_s)
        else:
            log.error("a batch failed where none should", group=self.group, retry_s=wait_s, exc_info=error)
        self.offsets.pause_before(records)
        self._resume_in(wait_s)

    def _stand_still(self, trouble: str, records: Sequence[RawRecord], why: str) -> None:
        log.critical("consumer stands still", group=self.group, trouble=trouble, why=why)
        self.trouble = trouble
        self._tools.telemetry.metrics.stopped.labels(self.group, trouble).set(1)
        self.offsets.pause_before(records)
        if trouble == "bug":
            self._resume_in(self._tools.stand_still_s)

    def _clear_trouble(self) -> None:
        if self.trouble == "bug":
            self._tools.telemetry.metrics.stopped.labels(self.group, self.trouble).set(0)
            self.trouble = None

    def _resume_in(self, wait_s: float) -> None:
        async def resume() -> None:
            await asyncio.sleep(wait_s)
            self.offsets.resume()

        if self._resuming is None or self._resuming.done():
            self._resuming = asyncio.create_task(resume())

    # Beside the batches

    async def tick(self) -> None:
        """For ever: commit what could not be committed, measure the lag, rewind when asked to."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._tick()
            except (KafkaError, PyMongoError) as error:
                log.warning("tick skipped", group=self.group, error=in_short(error))

    async def _tick(self) -> None:
        if not self._turn.locked():
            async with self._turn:
                await self.offsets.rewind_if_asked()
                await self.offsets.commit()
        metrics = self._tools.telemetry.metrics
        metrics.lag_seconds.labels(self.group).set(await self.offsets.measure())
        metrics.lag_records.labels(self.group).set(self.offsets.lag)
        metrics.held.labels(self.group).set(len(self.offsets.held()))

    async def retry_letters(self) -> None:
        """For ever: try again the letters of this group that are due, through the same reaction."""
        while True:
            try:
                letter = None if self.trouble else await self._tools.letters.claim(self.group)
                if letter is not None:
                    await self._retry(letter)
                    continue
            except (KafkaDown, KafkaError, PyMongoError) as error:
                log.warning("letters wait", group=self.group, error=in_short(error))
            await asyncio.sleep(TICK_S)

    async def _retry(self, letter: dict[str, Any]) -> None:
        letters = self._tools.letters
        try:
            await self._run([incoming(record_of(letter), self._of)], again=letter["status"] == "retry")
        except Ignored:
            await letters.done(letter)
        except Fork as fork:
            await letters.failed_again(letter, _failure(fork))
            self._stand_still("fork", (), str(fork))
        except Exception as error:
            if _dependency_down(error):
                raise
            await letters.failed_again(letter, _failure(error))
        else:
            await letters.done(letter)
            self._count("retried", 1)


def _failure(error: Exception) -> Failure:
    match error:
        case Rejected():
            return Failure(error.code, error.detail, error.reference)
        case UnknownReference():
            return Failure("unknown_reference", str(error), error.name)
        case _:
            return Failure("reaction_failed", in_short(error))


class _Abandoned(Exception):
    """The batch's partitions were revoked while it ran."""


class _AllFail(Exception):
    """FAILURES_IN_A_ROW records failed and none succeeded."""
