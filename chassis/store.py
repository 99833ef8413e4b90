"""MongoDB, through Motor: the only module that imports it (ADR 0003).

Stores use the calls that Motor and PyMongo's async API spell alike; what they spell differently (aggregate, indexes)
goes through here. All writes are `w: majority`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from gridfs.errors import FileExists, NoFile
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
)
from pymongo import IndexModel, InsertOne, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, ExecutionTimeout, OperationFailure
from pymongo.errors import NetworkTimeout as NetworkTimeout
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from chassis.settings import Settings

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
Write = InsertOne[Document] | UpdateOne

DUPLICATE_KEY = 11000
MARK_REST_S = 0.5
"""So long a mark gathers before it is due: a flood of records costs one recount, not one each."""
# Codes that a healthy replica set gives in passing: stepping down, shutting down, write concern not reached in time,
# no majority known yet.
PASSING_CODES = frozenset({6, 7, 50, 64, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})

REFUSALS = frozenset({13, 18})
"""Not authorized, wrong password: the text names user and database, and no document once it is cut."""


def connect(settings: Settings, *, service: str) -> tuple[Client, Database]:
    """A client for this process and the service's own database. Connects at the first operation, not here."""
    client: Client = AsyncIOMotorClient(
        settings.mongodb_uri.get_secret_value(),
        appname=service,
        tz_aware=True,
        maxPoolSize=50,
        minPoolSize=2,
        serverSelectionTimeoutMS=settings.mongodb_timeout_ms,
        timeoutMS=settings.mongodb_timeout_ms,
        retryWrites=True,
    )
    database = client.get_database(
        settings.mongodb_database or service,
        write_concern=WriteConcern("majority"),
        read_concern=ReadConcern("majority"),  # whatever is published was read here: never what may be rolled back
    )
    return client, database


def is_down(error: BaseException) -> bool:
    """Whether the database could not answer, as against refusing what it was asked."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout):
        return True
    if isinstance(error, BulkWriteError):
        concerns: Sequence[Any] = error.details.get("writeConcernErrors", ()) if error.details else ()
        errors: Sequence[Mapping[str, Any]] = error.details.get("writeErrors", ()) if error.details else ()
        return bool(concerns) or any(e.get("code") in PASSING_CODES for e in errors)
    return isinstance(error, OperationFailure) and (error.code in PASSING_CODES or error.timeout)


def in_short(error: BaseException) -> str:
    """An error for logs and letters. A bulk write's own text holds the documents, hence what people wrote."""
    if isinstance(error, BulkWriteError):
        codes = sorted({e["code"] for e in (error.details or {}).get("writeErrors", ())})
        return f"BulkWriteError: codes {codes}"
    if isinstance(error, OperationFailure):
        about = str((error.details or {}).get("errmsg", "")) if error.code in REFUSALS else ""
        return f"{type(error).__name__}: code {error.code} {about.partition(' to execute')[0]}".rstrip()
    return f"{type(error).__name__}: {error}"


async def ensure_indexes(collection: Collection, indexes: Sequence[IndexModel]) -> None:
    """Create what is missing; harmless to repeat, and for two processes at once."""
    if indexes:
        await collection.create_indexes(list(indexes))


async def aggregate(collection: Collection, pipeline: Sequence[Document]) -> list[Document]:
    """All results of a pipeline; the caller bounds them."""
    return await collection.aggregate(list(pipeline)).to_list(None)


async def ping(database: Database) -> None:
    """Raises what `is_down` recognises when the database does not answer."""
    await database.command("ping")


async def _bulk(collection: Collection, writes: Sequence[Write], *, ordered: bool = False) -> list[int]:
    """Write all; return the positions refused as duplicates, everything else raised."""
    try:
        await collection.bulk_write(list(writes), ordered=ordered)
    except BulkWriteError as error:
        refused: list[Mapping[str, Any]] = error.details["writeErrors"] if error.details else []
        if is_down(error) or any(e["code"] != DUPLICATE_KEY for e in refused):
            raise
        return [e["index"] for e in refused]
    return []


async def put_if_newer(collection: Collection, documents: Sequence[Document]) -> None:
    """Keep each document unless what is there is as new or newer by (`revision`, `rule`).

    Safe under any order, repetition and concurrency. The filter is `_id` alone: with the revision in it and the
    duplicate-key error swallowed, a measured race lost 405 of 3,000 writes; this loses none.
    """
    newest: dict[str, Document] = {}
    for document in documents:
        known = newest.get(document["_id"])
        if known is None or (known["revision"], known["rule"]) < (document["revision"], document["rule"]):
            newest[document["_id"]] = document
    await upsert_all(collection, [_put(document) for document in newest.values()])


async def upsert_all(collection: Collection, writes: Sequence[Write]) -> None:
    """Upserts by `_id`. Two of one new `_id` may collide; the loser finds the winner's document when it comes again."""
    while writes:
        refused = await _bulk(collection, writes)
        writes = [writes[position] for position in refused]


def _put(document: Document) -> UpdateOne:
    there = [{"$ifNull": ["$revision", -1]}, {"$ifNull": ["$rule", -1]}]
    newer = {"$lt": [there, [document["revision"], document["rule"]]]}
    return UpdateOne(
        {"_id": document["_id"]},
        [{"$replaceWith": {"$cond": [newer, {"$literal": document}, "$$ROOT"]}}],
        upsert=True,
    )


async def keep_first(collection: Collection, documents: Sequence[Document]) -> list[Document]:
    """Insert each document once; return those whose `_id` is taken by another `digest`: forks.

    A repeat (same `_id`, same `digest`) changes nothing. The unique `_id` itself is the judge: what it refuses is
    upserted by a filter on both, which finds the repeat, and is refused again where the digest differs, so that no
    read is needed.
    """
    pending = list({(d["_id"], d["digest"]): d for d in documents}.values())
    # An insert first: nearly all are new, and it costs the database half of an upsert. The second upsert tells a fork
    # from a race of two upserts of the same document.
    for write in (InsertOne[Document], _upsert_same, _upsert_same):
        if not pending:
            break
        pending = [pending[position] for position in await _bulk(collection, [write(d) for d in pending])]
    return pending


def _upsert_same(document: Document) -> UpdateOne:
    same = {"_id": document["_id"], "digest": document["digest"]}
    return UpdateOne(same, {"$setOnInsert": document}, upsert=True)


async def insert_new(collection: Collection, documents: Sequence[Document]) -> None:
    """Insert those whose `_id` is not taken; what is there stays as it is."""
    if documents:
        await _bulk(collection, [InsertOne(document) for document in documents])


async def raise_marks(collection: Collection, marks: Mapping[str, int], fields: Mapping[str, Document]) -> None:
    """Add to the counter `raised` of each mark, creating it with its `fields`; due MARK_REST_S after it was clear."""
    due = {"$ifNull": ["$due_at", {"$add": ["$$NOW", round(MARK_REST_S * 1000)]}]}
    writes = [
        UpdateOne(
            {"_id": name},
            [
                {
                    "$set": {
                        **{key: {"$literal": value} for key, value in fields[name].items()},
                        "raised": {"$add": [{"$ifNull": ["$raised", 0]}, count]},
                        "due_at": due,
                    }
                }
            ],
            upsert=True,
        )
        for name, count in marks.items()
    ]
    await upsert_all(collection, writes)


async def clear_mark(collection: Collection, claimed: Document, result: Document) -> None:
    """Write what was derived for a claimed mark, and clear the mark if nobody raised it since it was claimed.

    Whoever lost the claim to another writes nothing: a slow worker cannot put an older result over a newer one.
    """
    mine = {"_id": claimed["_id"], "claim": claimed["claim"]}
    cleared = await collection.update_one(
        {**mine, "raised": claimed["raised"]},
        {"$set": {**result, "raised": 0}, "$unset": {"due_at": "", "claim": ""}},
    )
    if not cleared.matched_count:
        soon = {"$add": ["$$NOW", round(MARK_REST_S * 1000)]}
        literal = {key: {"$literal": value} for key, value in result.items()}
        await collection.update_one(mine, [{"$set": {**literal, "due_at": soon}}, {"$unset": "claim"}])


async def claim_due(collection: Collection, where: Document, *, lease_s: float) -> Document | None:
    """Take the document of `where` that is longest due, by the database's clock, for `lease_s` seconds.

    `due_at` moves to the end of the lease in the same write, so that of several claimants one gets it, and it comes
    up again by itself when the claimant dies. Returns it as it is after the claim, with its token `claim`, or None.
    """
    return await collection.find_one_and_update(
        {**where, "$expr": {"$and": [{"$gt": ["$due_at", None]}, {"$lte": ["$due_at", "$$NOW"]}]}},
        [{"$set": {"due_at": {"$add": ["$$NOW", round(lease_s * 1000)]}, "claim": uuid4().hex}}],
        sort=[("due_at", 1)],
        return_document=ReturnDocument.AFTER,
    )


async def insert_once(collection: Collection, document: Document) -> bool:
    """Insert unless the `_id` is taken; whether it was inserted."""
    try:
        await collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


class Files:
    """Files in GridFS, each under an id of its owner: put before whatever points to it, swept when nothing does.

    A file is its chunks first and its entry last, so that one half written is not there.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._bucket = AsyncIOMotorGridFSBucket(database, name)
        self._entries: Collection = database[f"{name}.files"]

    async def put(self, file_id: str, content: bytes, metadata: Document) -> None:
        """Keep it; a repeat of the same id keeps what is there."""
        try:
            await self._bucket.upload_from_stream_with_id(file_id, file_id, content, metadata=metadata)
        except (FileExists, DuplicateKeyError):
            return

    async def find(self, file_id: str) -> Document | None:
        """Its metadata, or None."""
        found = await self._entries.find_one({"_id": file_id})
        return found and {**found["metadata"], "bytes": found["length"], "at": found["uploadDate"]}

    async def read(self, file_id: str) -> bytes | None:
        """Its content, or None."""
        try:
            return await (await self._bucket.open_download_stream(file_id)).read()
        except NoFile:
            return None

    async def put_before(self, moment: datetime) -> list[str]:
        """Ids of files older than that, at most 1,000: candidates for a sweep."""
        where = {"uploadDate": {"$lt": moment}}
        found = await self._entries.find(where, {"_id": 1}).sort("uploadDate", 1).limit(1000).to_list(None)
        return [entry["_id"] for entry in found]

    async def delete(self, file_id: str) -> None:
        """Remove it; harmless where it is not."""
        try:
            await self._bucket.delete(file_id)
        except NoFile:
            return
