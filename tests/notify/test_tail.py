"""What lies on a topic and cannot be read holds up nobody: real Kafka, a record whose header has no name in UTF-8."""

import asyncio

import pytest
from aiokafka.record.default_records import (
    _DefaultRecordBatchBuilderPy,  # pyright: ignore[reportPrivateUsage] -- its twin in C takes names alone
)

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
