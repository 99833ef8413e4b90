"""The bare chain from a request to a webhook: its durable steps in one process, nothing else. FROZEN.

A change makes old ratios void. A POST over HTTP, a majority write, a hop with all acknowledgements, a majority write,
a POST to the receiver, a majority write. No tokens, no outbox, no subscriptions, no signature, no leases. Run by
`make bench`; addresses in the environment.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, TCPConnector
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import UpdateOne
from pymongo.write_concern import WriteConcern
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TOPIC = "bench.whole"


@asynccontextmanager
async def _running(app: Starlette) -> AsyncGenerator[None]:
    client: Any = AsyncIOMotorClient(os.environ["MONGODB_URI"])
    database = client.get_database(os.environ["MONGODB_DATABASE"], write_concern=WriteConcern("majority"))
    kafka = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    producer: Any = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=2)
    consumer: Any = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=kafka,
        group_id=os.environ["MONGODB_DATABASE"],
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    await producer.start()
    await consumer.start()
    for partition in consumer.assignment():  # "latest" is decided before anything is submitted
        await consumer.position(partition)
    session = ClientSession(connector=TCPConnector(limit=0))
    app.state.database, app.state.producer = database, producer
    passing = asyncio.create_task(_pass_on(consumer, database, session))
    try:
        yield
    finally:
        passing.cancel()
        await asyncio.gather(passing, return_exceptions=True)
        await session.close()
        await consumer.stop()
        await producer.stop()
        client.close()


async def _submit(request: Request) -> Response:
    name, body = request.headers["webhook-id"], await request.body()
    database, producer = request.app.state.database, request.app.state.producer
    await database["submitted"].update_one({"_id": name, "version": 0}, {"$set": {"version": 1}}, upsert=True)
    await producer.send_and_wait(TOPIC, body, key=name.encode())
    return Response(status_code=204)


async def _pass_on(consumer: Any, database: Any, session: ClientSession) -> None:
    async def post(record: Any) -> None:
        headers = {"webhook-id": record.key.decode(), "Content-Type": "application/cloudevents+json"}
        async with session.post(os.environ["BENCH_RECEIVER"], data=record.value, headers=headers) as answer:
            await answer.read()

    def written(collection: str, records: list[Any]) -> Any:
        changes = [UpdateOne({"_id": r.key.decode()}, {"$set": {"body": r.value}}, upsert=True) for r in records]
        return database[collection].bulk_write(changes, ordered=False)

    while True:
        batches = await consumer.getmany(timeout_ms=1_000, max_records=500)
        if records := [record for batch in batches.values() for record in batch]:
            await written("heard", records)
            await asyncio.gather(*map(post, records))
            await written("delivered", records)
            await consumer.commit()


async def _ready(_: Request) -> Response:
    return Response(status_code=204)


def create_app() -> Starlette:
    """`POST /` submits."""
    routes = [Route("/", _submit, methods=["POST"]), Route("/readyz", _ready)]
    return Starlette(routes=routes, lifespan=_running)
