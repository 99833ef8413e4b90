"""What the tail passes by, on the real Kafka: records that nobody can read, and the past that a rebuilt topic holds."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiokafka.record.default_records import (
    _DefaultRecordBatchBuilderPy,  # pyright: ignore[reportPrivateUsage] -- its twin in C takes names alone
)

from chassis.clock import now
from chassis.epochs import Epoch
from chassis.producer import KafkaDown
from chassis.records import Fact
from services.notify import tail
from tests.notify.newsroom import WITHIN_S, Newsroom
from tests.notify.office import DIRECTORY, state

pytestmark = pytest.mark.real
REGIONS = [region.code for region in DIRECTORY if region.code.startswith("32.")][:6]
PARTITIONS = range(3)


class Unnamed(str):
    """No header that our producers would write; others' may."""

    __slots__ = ()

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        return b"\xff\xfe"


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets our own producer write such a header: its part in C takes nothing but names."""
    for module in ("aiokafka.producer.producer", "aiokafka.producer.message_accumulator"):
        monkeypatch.setattr(f"{module}.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)


async def put_unreadable(newsroom: Newsroom, partition: int) -> None:
    await newsroom.kafka.put(newsroom.assessments, b"{}", headers=[(Unnamed("x"), b"")], partition=partition)


@pytest.mark.usefixtures("unnamed")
async def test_unreadable_records_on_all_partitions_are_passed_and_all_others_told_once(newsroom: Newsroom) -> None:
    sent = [state(region, revision) for revision in range(1, 6) for region in REGIONS]
    async with newsroom.replica() as here, here.listener() as listener:
        await listener.until_id()
        begun = listener.last
        for number, fact in enumerate(sent):
            if number % 4 == 0:
                await put_unreadable(newsroom, partition=number // 4 % len(PARTITIONS))
            await newsroom.publish(fact)
        with pytest.raises(UnicodeDecodeError):  # else this test tests nothing
            await newsroom.kafka.read(newsroom.assessments)
        async with asyncio.timeout(WITHIN_S):
            heard = await listener.take(len(sent))
        assert [message.name for message in heard] == list(dict.fromkeys(message.name for message in heard))
        assert {message.name for message in heard} == {str(fact.envelope.id) for fact in sent}
        # Whoever missed all that, too, and a replica that finds such records where its topics end.
        for partition in PARTITIONS:
            await put_unreadable(newsroom, partition)
        async with newsroom.replica() as there:
            for where in (here, there):
                async with asyncio.timeout(WITHIN_S), where.listener(since=begun) as again:
                    assert {message.name for message in await again.take(len(sent))} == {m.name for m in heard}


def names(*facts: Fact[Any]) -> set[str]:
    return {str(fact.envelope.id) for fact in facts}


async def test_what_a_rebuilt_topic_holds_of_before_is_told_to_nobody(newsroom: Newsroom) -> None:
    at = now()
    rebuilt = Epoch(1, rebuilt_at=at)
    history = [state(region, 1, at=at - timedelta(hours=1, seconds=n)) for n, region in enumerate(REGIONS)]
    during, since = state(REGIONS[0], 2, at=at - timedelta(seconds=1)), state(REGIONS[1], 2, at=at)
    async with newsroom.replica() as here, here.listener() as listener:
        await listener.until_id()
        await newsroom.publish(*history[:3], epoch=rebuilt)
        [reset] = await listener.take(1)
        assert reset.event == "reset"
        missed_since = listener.last
        await newsroom.publish(*history[3:], during, epoch=rebuilt)
        # A replica that begins in the middle of it; whoever missed some of it; and whoever was there.
        async with newsroom.replica() as there, there.listener() as late:
            await late.until_id()
            await newsroom.publish(*history, since, epoch=rebuilt)
            assert [message.name for message in await late.take(1)] == [str(since.envelope.id)]
            async with there.listener(since=missed_since) as again:
                assert {message.name for message in await again.take(2)} == names(during, since)
        assert {message.name for message in await listener.take(2)} == names(during, since)


async def test_a_topic_that_was_counted_as_rebuilt_long_after_it_was_gone_is_told_by_reset_again(
    newsroom: Newsroom,
) -> None:
    async with newsroom.replica() as here, here.listener() as listener:
        await here.stop()
        assert here.desk.streams.place is not None
        here.desk.streams.place.move("assessment", 0, next=1_000)  # gone: its offsets are not there any more
        here.begin()
        assert [message.event for message in await listener.take(1)] == ["reset"]
        # What was committed while it was gone is older than the count.
        counted = now() + timedelta(hours=1)
        await newsroom.publish(state(REGIONS[0], 1), epoch=Epoch(1, rebuilt_at=counted))
        assert [message.event for message in await listener.take(1)] == ["reset"]
        fact = state(REGIONS[0], 2, at=counted)
        await newsroom.publish(fact, epoch=Epoch(1, rebuilt_at=counted))
        assert [message.name for message in await listener.take(1)] == [str(fact.envelope.id)]


async def test_a_reset_is_not_lost_when_kafka_fails_before_it_is_told(
    newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> Any:
        raise KafkaDown("just now")

    rebuilt = Epoch(1, rebuilt_at=now())
    async with newsroom.replica() as here, here.listener() as listener:
        await listener.until_id()
        with monkeypatch.context() as patched:
            patched.setattr(tail, "_bounds", fails)
            await newsroom.publish(state(REGIONS[0], 1, at=now() - timedelta(hours=1)), epoch=rebuilt)
            assert here.tail is not None
            await asyncio.wait([here.tail], timeout=WITHIN_S)
            assert isinstance(here.tail.exception(), KafkaDown)
        here.begin()
        await newsroom.publish(state(REGIONS[1], 2), epoch=rebuilt)
        assert [message.event for message in await listener.take(1)] == ["reset"]
