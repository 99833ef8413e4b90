"""The bare chain: what submit → score → recorded costs without services. FROZEN, as bare.py is.

One process, plain loops: a compare-and-set, a hop, a write, a hop, a write. Three majority writes and two hops with
all acknowledgements; the services do a third more writes on the way, relay from an outbox, and speak HTTP.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import UpdateOne
from pymongo.write_concern import WriteConcern

FIRST, SECOND = "bench.submitted", "bench.scored"


class Chain:
    """Running: `submit` begins one, and tells how long it took until it was recorded at the end."""

    def __init__(self, database: Any, producer: Any) -> None:
        self._database = database
        self._producer = producer
        self._recorded: dict[bytes, asyncio.Future[None]] = {}

    async def submit(self, key: bytes, value: bytes) -> None:
        """Returns when the last of the three writes is acknowledged."""
        recorded = self._recorded[key] = asyncio.get_running_loop().create_future()
        document = {"_id": key.decode(), "version": 0}
        await self._database["submitted"].update_one(document, {"$set": {"body": value, "version": 1}}, upsert=True)
        await self._producer.send_and_wait(FIRST, value, key=key)
        await recorded

    async def score(self, consumer: Any) -> None:
        """The first hop: write, and send on."""
        while True:
            records = await self._written(consumer, "scored")
            sent = [await self._producer.send(SECOND, record.value, key=record.key) for record in records]
            await asyncio.gather(*sent)
            await consumer.commit()

    async def record(self, consumer: Any) -> None:
        """The second hop: write, and that was it."""
        while True:
            for record in await self._written(consumer, "recorded"):
                self._recorded.pop(record.key).set_result(None)
            await consumer.commit()

    async def _written(self, consumer: Any, collection: str) -> list[Any]:
        batches: dict[Any, list[Any]] = {}
        while not batches:
            batches = await consumer.getmany(timeout_ms=1_000, max_records=500)
        records = [record for batch in batches.values() for record in batch]
        writes = [UpdateOne({"_id": r.key.decode()}, {"$set": {"body": r.value}}, upsert=True) for r in records]
        await self._database[collection].bulk_write(writes, ordered=False)
        return records


@asynccontextmanager
async def running(kafka: str, mongodb: str, database: str) -> AsyncGenerator[Chain]:
    """The chain on these addresses, until the end of the block. Its topics must be there."""
    client: Any = AsyncIOMotorClient(mongodb)
    producer: Any = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=2)
    options: dict[str, Any] = {"bootstrap_servers": kafka, "enable_auto_commit": False, "auto_offset_reset": "latest"}
    consumers: list[Any] = [
        AIOKafkaConsumer(topic, group_id=f"{database}.{topic}", **options) for topic in (FIRST, SECOND)
    ]
    for part in (producer, *consumers):
        await part.start()
    chain = Chain(client.get_database(database, write_concern=WriteConcern("majority")), producer)
    for consumer in consumers:  # "latest" is decided before anything is submitted
        for partition in consumer.assignment():
            await consumer.position(partition)
    tasks = [asyncio.create_task(chain.score(consumers[0])), asyncio.create_task(chain.record(consumers[1]))]
    try:
        yield chain
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for part in (producer, *consumers):
            await part.stop()
        client.close()
