"""The real servers start, survive `kill -9` with their data, and stop."""

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient, WriteConcern

from lab.parts import Part, embedded_kafka, kafka, mongod

pytestmark = pytest.mark.real


@pytest.fixture
def broker(tmp_path: Path) -> Generator[Part]:
    with kafka(tmp_path / "kafka") as part:
        yield part


@pytest.fixture
def small_broker(tmp_path: Path) -> Generator[Part]:
    with embedded_kafka(tmp_path / "kafka") as part:
        yield part


@pytest.fixture
def database(tmp_path: Path) -> Generator[Part]:
    with mongod(tmp_path / "mongod") as part:
        yield part


def test_kafka_keeps_acknowledged_records_over_kill_9(broker: Part) -> None:
    admin: Any = AdminClient({"bootstrap.servers": broker.address})  # its futures have no type
    admin.create_topics([NewTopic("facts", num_partitions=1)])["facts"].result()
    sent = [f"fact {n}".encode() for n in range(50)]
    asyncio.run(_send(broker.address, sent))
    broker.kill()
    broker.start()
    assert asyncio.run(_read(broker.address, len(sent))) == sent


def test_kafka_says_why_it_does_not_start(tmp_path: Path) -> None:
    part = kafka(tmp_path / "kafka", properties={"process.roles": "nonsense"})
    with pytest.raises(Exception, match="nonsense"):
        part.start()
    assert not part.running


def test_the_embedded_broker_carries_records(small_broker: Part) -> None:
    asyncio.run(_send(small_broker.address, [b"fact"]))
    assert asyncio.run(_read(small_broker.address, 1)) == [b"fact"]


def test_mongod_keeps_majority_writes_over_kill_9(database: Part) -> None:
    _insert(database.address, 50)
    database.kill()
    database.start()
    with _client(database.address) as client:
        assert client["test"]["facts"].count_documents({}) == 50


def test_mongod_finds_itself_again_when_its_port_was_taken(tmp_path: Path, database: Part) -> None:
    _insert(database.address, 1)
    database.stop()
    (database.directory / "ports").unlink()
    with mongod(tmp_path / "mongod") as moved, _client(moved.address) as client:
        assert client["test"]["facts"].count_documents({}) == 1


def _client(address: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(address, serverSelectionTimeoutMS=10_000)


def _insert(address: str, count: int) -> None:
    with _client(address) as client:
        facts = client["test"].get_collection("facts", write_concern=WriteConcern("majority"))
        for n in range(count):
            facts.insert_one({"_id": n})


async def _send(address: str, values: list[bytes]) -> None:
    untyped: Any = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    async with untyped as producer:
        for value in values:
            await producer.send("facts", value, partition=0)
        await producer.flush()


async def _read(address: str, count: int) -> list[bytes]:
    untyped: Any = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    async with untyped as consumer:
        consumer.assign([TopicPartition("facts", 0)])
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(count)]
