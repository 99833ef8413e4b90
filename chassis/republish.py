"""Fills a topic again from what its owner keeps: after it was lost or damaged, or to give it other partitions.

Facts keep their ids, so that whoever handled them before recognises them. What is sent is complete: a fact that is
neither archived nor pending when its topic was deleted is committed later, and relayed to the new topic.
"""

from collections.abc import AsyncIterator, Callable, Sequence

from chassis.epochs import Epochs
from chassis.producer import Producer, Sent
from chassis.relay import LONG_AGO, wire_headers
from chassis.store import Database, Document
from contracts import topics
from contracts.topics import Topic

PAGE_MAX_FACTS = 500
Told = Callable[[int], None]
"""Hears how many more were done."""


async def count_archived(database: Database, topic: Topic) -> int:
    """How many facts of `topic` this service keeps."""
    return sum([await database["facts"].count_documents(where) for where in _archived(topic)])


async def republish(database: Database, topic: Topic, *, producer: Producer, epochs: Epochs, told: Told) -> int:
    """Send every fact of `topic` that this service keeps, per aggregate in order; how many. `topic` must be new.

    Safe while the service relays: what both send is sent twice under one id. Raises KafkaDown: begin again then.
    """
    # Pending entries are read before the archive: whatever leaves an outbox in between is in the archive by then.
    pending = await _pending(database, topic)
    sent = 0
    async for page in _pages(database, topic):
        sent += await _send(page, topic, producer=producer, epochs=epochs)
        told(len(page))
    return sent + await _send(pending, topic, producer=producer, epochs=epochs)


async def _send(facts: Sequence[Document], topic: Topic, *, producer: Producer, epochs: Epochs) -> int:
    sent: list[Sent] = []
    for fact in facts:
        headers = wire_headers(fact["headers"], traceparent=None, epoch=await epochs.of(topic.name))
        value = bytes(fact["value"])
        sent.append(await producer.send(topic.name, key=fact["key"].encode(), value=value, headers=headers))
    await producer.wait(sent)
    return len(sent)


async def _pages(database: Database, topic: Topic) -> AsyncIterator[list[Document]]:
    for where in _archived(topic):
        after: Document = {}
        # Page by page, each a query of its own: no cursor has to outlive a slow broker.
        while (
            page := await database["facts"]
            .find({**where, **after})
            .sort([("aggregate", 1), ("revision", 1)])
            .limit(PAGE_MAX_FACTS)
            .to_list(None)
        ):
            yield page
            aggregate, revision = page[-1]["aggregate"], page[-1]["revision"]
            after = {
                "$or": [
                    {"aggregate": {"$gt": aggregate}},
                    {"aggregate": aggregate, "revision": {"$gt": revision}},
                ]
            }


def _archived(topic: Topic) -> list[Document]:
    """Queries for the facts of a topic, one per topic of origin: each has an index."""
    if topic is topics.PUBLIC:
        return [{"topic": origin.name, "public": True} for origin in topics.ALL if origin is not topics.PUBLIC]
    return [{"topic": topic.name}]


async def _pending(database: Database, topic: Topic) -> list[Document]:
    wanted: Document = {"public": True} if topic is topics.PUBLIC else {"topic": topic.name}
    found: list[Document] = []
    for collection in await database.list_collection_names():
        where = {"outbox.at": {"$gt": LONG_AGO}, "outbox": {"$elemMatch": wanted}}
        for document in await database[collection].find(where, {"outbox": 1}).to_list(None):
            found += [entry for entry in document["outbox"] if wanted.items() <= entry.items()]
    return found
