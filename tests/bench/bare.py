"""The bare loop: what the scoring worker's job costs without a framework. FROZEN: a change makes old ratios void.

The same models and validation (contracts), the same arithmetic (services.scoring.domain), the same three bulk writes,
batch, linger, acks, event loop and garbage collection as the worker; one plain loop: no chassis, no metrics, no traces,
no dead letters, no rebalance. It gives up where the worker goes on. Run by `make bench`; addresses in the environment.
"""

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from bson.decimal128 import Decimal128
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import IndexModel, InsertOne, UpdateOne
from pymongo.write_concern import WriteConcern

from contracts import events
from contracts.assessment import AssessmentState
from contracts.fact import Envelope, envelope_of, fact_id
from contracts.regions import Directory
from contracts.scoring import ScoreRecalculated
from services.assessment import catalogue
from services.scoring.domain.score import RULE, Instrument, scores

Document = dict[str, Any]
BATCH_MAX_RECORDS = 500
LINGER_MS = 2
COLLECT_AFTER_OBJECTS = 10_000


async def main() -> None:
    """Until killed."""
    kafka, group = os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["BENCH_GROUP"]
    client: Any = AsyncIOMotorClient(os.environ["MONGODB_URI"], tz_aware=True)
    database = client.get_database(os.environ["MONGODB_DATABASE"], write_concern=WriteConcern("majority"))
    await prepare(database)
    directory = Directory.load()
    instruments = {i.instrument: Instrument.of(i) for i in catalogue.instruments()}
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=LINGER_MS, max_batch_size=256 * 1024
    )
    consumer: Any = AIOKafkaConsumer(
        events.ASSESSMENT_SUBMITTED.topic.name,
        bootstrap_servers=kafka,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await producer.start()
    await consumer.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    while True:
        batches = await consumer.getmany(max_records=BATCH_MAX_RECORDS, timeout_ms=1_000)
        records = [record for batch in batches.values() for record in batch]
        if records:
            documents, results = handle(records, instruments, directory)
            await write(database, documents)
            sent = [
                await producer.send(events.SCORE_RECALCULATED.topic.name, value, key=key, headers=headers)
                for key, value, headers in results
            ]
            await asyncio.gather(*sent)
            await consumer.commit()


def handle(
    records: Sequence[Any], instruments: dict[str, Instrument], directory: Directory
) -> tuple[list[Document], list[tuple[bytes, bytes, list[tuple[str, bytes]]]]]:
    """Validate, score, and build what is stored and what is sent."""
    documents: list[Document] = []
    results: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = []
    type_ = events.SCORE_RECALCULATED.type
    for record in records:
        came = envelope_of(record.headers)
        state = AssessmentState.model_validate_json(record.value)
        if came.id != fact_id(aggregate=state.assessment, revision=came.revision, rule=came.rule, type=came.type):
            raise ValueError("wrong identity")
        region = directory.get(state.region)
        body = ScoreRecalculated.model_construct(
            score=state.assessment,
            region=state.region,
            instrument=state.instrument,
            cycle=state.cycle,
            period=state.period,
            predicate_basis=state.predicate_basis,
            status=state.status,
            scores=scores(state, instruments[state.instrument]),
        )
        plain = body.model_dump(mode="json")
        envelope = Envelope(
            id=fact_id(aggregate=state.assessment, revision=came.revision, rule=RULE, type=type_),
            type=type_,
            source=events.SCORE_RECALCULATED.source,
            subject=state.assessment,
            time=came.time,
            revision=came.revision,
            rule=RULE,
            visibility=came.visibility,
            region=state.region,
        )
        traceparent = dict(record.headers)["traceparent"]
        headers = [*envelope.headers(), ("traceparent", traceparent), ("epoch", b"0")]
        results.append((record.key, orjson.dumps(plain), headers))
        documents.append(
            {
                **plain,
                "_id": state.assessment,
                "assessment": state.assessment,
                "province": region.province,
                "kind": region.kind.value,
                "revision": came.revision,
                "rule": RULE,
                "time": came.time,
                "digest": blake2b(came.type.encode() + b"\n" + record.value, digest_size=16).hexdigest(),
                "public": False,
                "order": {stage: Decimal128(score["index"]["value"]) for stage, score in plain["scores"].items()},
            }
        )
    return documents, results


async def write(database: Any, documents: Sequence[Document]) -> None:
    """History once per revision, the newest of each assessment, a mark per province."""
    history = [{**d, "_id": f"{d['_id']}/{d['revision']}/{d['rule']}"} for d in documents]
    await database["history"].bulk_write([InsertOne(document) for document in history], ordered=False)
    newest: dict[str, Document] = {}
    for document in documents:
        known = newest.get(document["_id"])
        if known is None or known["revision"] < document["revision"]:
            newest[document["_id"]] = document
    await database["current"].bulk_write([put_if_newer(document) for document in newest.values()], ordered=False)
    marks = Counter((d["cycle"], d["province"]) for d in documents)
    await database["summaries"].bulk_write(
        [
            UpdateOne(
                {"_id": f"{cycle}/{province}"},
                {"$inc": {"raised": count}, "$setOnInsert": {"cycle": cycle, "province": province}},
                upsert=True,
            )
            for (cycle, province), count in marks.items()
        ],
        ordered=False,
    )


def put_if_newer(document: Document) -> UpdateOne:
    """Keep what is there if it is as new."""
    there = [{"$ifNull": ["$revision", -1]}, {"$ifNull": ["$rule", -1]}]
    newer = {"$lt": [there, [document["revision"], document["rule"]]]}
    update: list[Document] = [{"$replaceWith": {"$cond": [newer, {"$literal": document}, "$$ROOT"]}}]
    return UpdateOne({"_id": document["_id"]}, update, upsert=True)


async def prepare(database: Any) -> None:
    """The worker's indexes: each costs every write."""
    await database["history"].create_indexes([IndexModel([("assessment", 1), ("revision", 1)])])
    await database["current"].create_indexes(
        [
            IndexModel([("region", 1), ("period", -1)]),
            IndexModel([("cycle", 1), ("kind", 1), ("order.self", -1), ("_id", 1)]),
            IndexModel([("cycle", 1), ("province", 1), ("kind", 1), ("order.self", -1), ("_id", 1)]),
        ]
    )
    await database["summaries"].create_indexes(
        [IndexModel("due_at", sparse=True), IndexModel([("cycle", 1), ("province", 1)])]
    )


if __name__ == "__main__":
    uvloop.run(main())
