"""The store's few operations, raced: whoever comes in whatever order, nothing is lost and nothing goes back."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from chassis.settings import Settings
from chassis.store import (
    MARK_REST_S,
    Collection,
    Database,
    Document,
    Files,
    claim_due,
    clear_mark,
    connect,
    insert_once,
    is_down,
    keep_first,
    ping,
    put_if_newer,
    raise_marks,
)
from lab.parts.process import ports

LEASE_S = 0.3
FIELDS: Document = {"province": "32"}


@pytest.fixture
def things(database: Database) -> Collection:
    return database["things"]


def version(thing: str, revision: int, rule: int = 0) -> Document:
    """What a projection keeps of one revision: nothing but what follows from the fact."""
    return {"_id": thing, "revision": revision, "rule": rule, "said": f"{thing} {revision}.{rule}", "deep": {"a.b": 1}}


async def eventually(ask: Callable[[], Any], *, within_s: float = 5.0) -> Any:
    """The first answer that is not None."""
    async with asyncio.timeout(within_s):
        while (answer := await ask()) is None:
            await asyncio.sleep(0.02)
    return answer


# put_if_newer


@pytest.mark.real
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_fifty_racing_writers_lose_nothing(things: Collection, seed: int) -> None:
    chance = random.Random(seed)
    facts = [version(f"thing-{n}", revision, rule) for n in range(20) for revision in range(1, 16) for rule in (0, 1)]
    portions = [chance.sample(facts, len(facts) // 10) for _ in range(49)] + [facts]
    await asyncio.gather(*(put_if_newer(things, portion) for portion in portions))
    kept = {d["_id"]: d for d in await things.find().to_list(None)}
    assert kept == {f"thing-{n}": version(f"thing-{n}", 15, 1) for n in range(20)}


@pytest.mark.real
async def test_a_view_never_goes_back_while_it_is_written_to(things: Collection) -> None:
    chance = random.Random(5)
    seen: list[tuple[int, int]] = []
    writing = True

    async def watch() -> None:
        while writing:
            if found := await things.find_one({"_id": "thing"}):
                seen.append((found["revision"], found["rule"]))

    watcher = asyncio.create_task(watch())
    facts = [version("thing", revision, rule) for revision in range(1, 60) for rule in (0, 1)]
    shuffled = chance.sample(facts, len(facts))
    for first in range(0, len(shuffled), 12):
        await asyncio.gather(*(put_if_newer(things, [fact]) for fact in shuffled[first : first + 12]))
    writing = False
    await watcher
    assert len(seen) > 3, "it looked too rarely to see anything"
    assert seen == sorted(seen)


@pytest.mark.real
async def test_of_one_batch_the_newest_is_kept_wherever_it_stands(things: Collection) -> None:
    await put_if_newer(things, [version("a", 2), version("a", 3, 1), version("a", 3), version("a", 1, 9)])
    assert await things.find_one({"_id": "a"}) == version("a", 3, 1)


@pytest.mark.real
async def test_a_repeat_is_byte_equal(database: Database) -> None:
    codec = CodecOptions(document_class=RawBSONDocument)
    raw: Any = database["things"].with_options(codec_options=codec)
    await put_if_newer(database["things"], [version("a", 7), version("b", 1)])
    before = [d.raw for d in await raw.find().sort("_id", 1).to_list(None)]
    for repeat in ([version("a", 7)], [version("a", 6, 9), version("b", 0)], [version("b", 1), version("a", 7)]):
        await put_if_newer(database["things"], repeat)
    assert [d.raw for d in await raw.find().sort("_id", 1).to_list(None)] == before


@pytest.mark.real
async def test_content_that_looks_like_a_query_is_kept_as_it_is(things: Collection) -> None:
    odd = version("a", 1) | {"said": "$$NOW", "list": ["$said", {"$add": [1, 1]}]}
    await put_if_newer(things, [odd])
    assert await things.find_one({"_id": "a"}) == odd


@pytest.mark.real
async def test_nothing_to_put_is_no_mistake(things: Collection) -> None:
    await put_if_newer(things, [])
    assert await keep_first(things, []) == []
    await raise_marks(things, {}, {})
    assert await things.count_documents({}) == 0


# keep_first


def history(thing: str, digest: str) -> Document:
    """One revision, with the digest of the fact that it came from."""
    return {"_id": thing, "digest": digest, "said": digest}


@pytest.mark.real
async def test_a_repeat_changes_nothing_and_a_fork_is_named(things: Collection) -> None:
    assert await keep_first(things, [history("a", "1"), history("b", "1")]) == []
    again = [history("a", "1") | {"said": "by another clock"}, history("b", "2"), history("c", "1")]
    assert [d["_id"] for d in await keep_first(things, again)] == ["b"]
    kept = {d["_id"]: d["said"] for d in await things.find().to_list(None)}
    assert kept == {"a": "1", "b": "1", "c": "1"}


@pytest.mark.real
async def test_a_fork_inside_one_batch_is_a_fork(things: Collection) -> None:
    assert len(await keep_first(things, [history("a", "1"), history("a", "1"), history("a", "2")])) == 1
    assert await things.count_documents({}) == 1


@pytest.mark.real
async def test_racing_writers_of_the_same_are_no_fork(things: Collection) -> None:
    documents = [history(f"thing-{n}", "1") for n in range(100)]
    forks = await asyncio.gather(*(keep_first(things, random.Random(n).sample(documents, 100)) for n in range(20)))
    assert (sum(map(len, forks)), await things.count_documents({})) == (0, 100)


@pytest.mark.real
async def test_of_racing_writers_that_differ_all_but_one_history_is_a_fork(things: Collection) -> None:
    """Two histories, ten writers each: whichever was first stays, and each writer of the other one is told."""
    forks = await asyncio.gather(*(keep_first(things, [history("a", str(n % 2))]) for n in range(20)))
    kept = await things.find_one({"_id": "a"})
    assert kept is not None
    assert Counter(d["digest"] for found in forks for d in found) == {"1" if kept["digest"] == "0" else "0": 10}


# claim_due


@pytest.mark.real
async def test_of_many_claimants_each_document_has_one(things: Collection) -> None:
    await things.insert_many([{"_id": n, "due_at": None} for n in range(30)])
    assert await claim_due(things, {}, lease_s=LEASE_S) is None, "due_at null is never due"
    await things.update_many({}, [{"$set": {"due_at": "$$NOW"}}])

    async def take() -> list[Document]:
        mine: list[Document] = []
        while claimed := await claim_due(things, {}, lease_s=30):
            mine.append(claimed)
        return mine

    taken = [d for mine in await asyncio.gather(*(take() for _ in range(8))) for d in mine]
    assert sorted(d["_id"] for d in taken) == list(range(30))
    assert len({d["claim"] for d in taken}) == 30


@pytest.mark.real
async def test_the_longest_due_comes_first(things: Collection) -> None:
    ages = {"young": 10, "old": 5_000, "middle": 700}
    for name, age_ms in ages.items():
        await things.insert_one({"_id": name})
        await things.update_one({"_id": name}, [{"$set": {"due_at": {"$subtract": ["$$NOW", age_ms]}}}])
    claimed = [await claim_due(things, {}, lease_s=30) for _ in range(3)]
    assert [d["_id"] for d in claimed if d] == ["old", "middle", "young"]


@pytest.mark.real
async def test_a_lease_ends_by_the_databases_clock_and_its_token_with_it(things: Collection) -> None:
    await things.insert_one({"_id": "a"})
    await things.update_one({}, [{"$set": {"due_at": "$$NOW"}}])
    first = await claim_due(things, {}, lease_s=LEASE_S)
    assert first is not None
    assert await claim_due(things, {}, lease_s=LEASE_S) is None
    second = await eventually(lambda: claim_due(things, {}, lease_s=LEASE_S))
    assert second["claim"] != first["claim"]
    assert (second["due_at"] - first["due_at"]).total_seconds() >= LEASE_S - 0.001


# Marks


async def claim(things: Collection, *, lease_s: float = 30.0) -> Document:
    """A mark, once it is due."""
    return await eventually(lambda: claim_due(things, {"raised": {"$gt": 0}}, lease_s=lease_s))


@pytest.mark.real
async def test_a_mark_rests_before_it_is_due_and_a_flood_does_not_put_it_off(things: Collection) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await raise_marks(things, {"32": 1}, {"32": FIELDS})
    while await claim_due(things, {"raised": {"$gt": 0}}, lease_s=30) is None:
        assert loop.time() - began < MARK_REST_S + 2
        await raise_marks(things, {"32": 1}, {"32": FIELDS})
    assert loop.time() - began >= MARK_REST_S - 0.01
    found = await things.find_one({"_id": "32"})
    assert found is not None
    assert (found["province"], found["raised"] > 3) == ("32", True)


@pytest.mark.real
async def test_a_mark_that_was_raised_while_it_was_worked_on_comes_again(things: Collection) -> None:
    await raise_marks(things, {"32": 2}, {"32": FIELDS})
    claimed = await claim(things)
    await raise_marks(things, {"32": 1}, {"32": FIELDS})
    await clear_mark(things, claimed, {"count": 27})
    after = await things.find_one({"_id": "32"})
    assert after is not None
    assert (after["count"], after["raised"]) == (27, 3), "what was found is kept, what came since is not forgotten"
    again = await claim(things)
    await clear_mark(things, again, {"count": 28})
    cleared = await things.find_one({"_id": "32"})
    assert cleared == FIELDS | {"_id": "32", "raised": 0, "count": 28}
    await raise_marks(things, {"32": 1}, {"32": FIELDS})
    assert (await claim(things))["raised"] == 1


@pytest.mark.real
@pytest.mark.parametrize("raised_since", [False, True])
async def test_a_slow_worker_that_lost_its_lease_writes_nothing(things: Collection, raised_since: bool) -> None:
    await raise_marks(things, {"32": 1}, {"32": FIELDS})
    slow = await claim(things, lease_s=0.05)
    quick = await claim(things)
    if raised_since:
        await raise_marks(things, {"32": 1}, {"32": FIELDS})
    await clear_mark(things, quick, {"count": 27})
    before = await things.find_one({"_id": "32"})
    await clear_mark(things, slow, {"count": 1})
    assert await things.find_one({"_id": "32"}) == before
    assert before is not None
    assert (before["count"], before["raised"]) == (27, 2 if raised_since else 0)


@pytest.mark.real
async def test_marks_raised_by_racing_workers_add_up(things: Collection) -> None:
    marks = {f"{n:02}": 1 for n in range(10)}
    await asyncio.gather(*(raise_marks(things, marks, dict.fromkeys(marks, FIELDS)) for _ in range(20)))
    assert {d["raised"] for d in await things.find().to_list(None)} == {20}


@pytest.mark.real
async def test_whatever_was_raised_is_derived_in_the_end(things: Collection) -> None:
    """Raisers and two workers at once: at the end no mark is left, and the last result saw everything."""
    raised = 0

    async def work() -> None:
        while raised < 60 or await things.find_one({"raised": {"$gt": 0}}):
            if claimed := await claim_due(things, {"raised": {"$gt": 0}}, lease_s=0.1):
                found = raised
                await asyncio.sleep(random.Random(raised).random() * 0.15)
                await clear_mark(things, claimed, {"seen": found})
            await asyncio.sleep(0.01)

    async def raise_them() -> None:
        nonlocal raised
        for _ in range(60):
            raised += 1
            await raise_marks(things, {"32": 1}, {"32": FIELDS})
            await asyncio.sleep(0.005)

    async with asyncio.timeout(20):
        await asyncio.gather(raise_them(), work(), work())
    found = await things.find_one({"_id": "32"})
    assert found is not None
    assert (found["raised"], found["seen"]) == (0, 60)


# The rest


@pytest.mark.real
async def test_of_many_who_insert_the_same_one_did(things: Collection) -> None:
    outcomes = await asyncio.gather(*(insert_once(things, {"_id": "a", "by": n}) for n in range(10)))
    assert Counter(outcomes) == {True: 1, False: 9}


async def test_a_database_that_is_not_there_is_down(settings_of_nobody: Settings) -> None:
    client, database = connect(settings_of_nobody, service="test")
    with pytest.raises(PyMongoError) as failed:
        await ping(database)
    assert is_down(failed.value)
    client.close()


@pytest.fixture
def settings_of_nobody(tmp_path: Any) -> Settings:
    """MongoDB on a port where nobody listens."""
    (port,) = ports(tmp_path, 1)
    address = f"mongodb://127.0.0.1:{port}"
    return Settings.model_validate({"mongodb_uri": address, "mongodb_timeout_ms": 200})


def refused(code: int) -> OperationFailure:
    return OperationFailure("refused", code)


def bulk(errors: Sequence[Document] = (), concerns: Sequence[Document] = ()) -> BulkWriteError:
    return BulkWriteError({"writeErrors": list(errors), "writeConcernErrors": list(concerns)})


@pytest.mark.parametrize(
    ("error", "down"),
    [
        (AutoReconnect(), True),
        (ServerSelectionTimeoutError(), True),
        (NotPrimaryError(), True),
        (WaitQueueTimeoutError(), True),
        (ExecutionTimeout("too long", 50), True),
        (WTimeoutError("majority not reached", 64), True),
        (WriteConcernError("stepped down", 189), True),
        (refused(10107), True),  # not the primary any more
        (refused(11600), True),  # shutting down
        (refused(91), True),  # shutting down
        (refused(13436), True),  # not primary or secondary: recovering
        (refused(134), True),  # just started: nothing is known to be on a majority yet
        (bulk(concerns=[{"code": 64}]), True),
        (bulk([{"code": 11000}, {"code": 189}]), True),
        (bulk([{"code": 11000}]), False),
        (bulk([{"code": 2}]), False),
        (DuplicateKeyError("taken", 11000), False),
        (refused(2), False),  # bad value: our mistake
        (refused(18), False),  # wrong password
        (refused(13), False),  # not allowed
        (PyMongoError(), False),
        (ValueError(), False),
        (TimeoutError(), False),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'code', '')}" if isinstance(value, Exception) else None,
)
def test_what_counts_as_down(error: Exception, down: bool) -> None:
    assert is_down(error) is down


async def test_a_file_keeps_its_first_content_and_ends_when_deleted(database: Database) -> None:
    files = Files(database, "things")
    content = random.Random(6).randbytes(600_000)  # more than one chunk
    await files.put("a", content, {"owner": "32.11"})
    await files.put("a", b"another", {"owner": "32.12"})
    found = await files.find("a")
    assert found is not None
    assert (found["owner"], found["bytes"]) == ("32.11", 600_000)
    assert await files.read("a") == content
    assert await files.put_before(found["at"]) == []
    assert await files.put_before(found["at"] + timedelta(seconds=1)) == ["a"]
    await files.delete("a")
    await files.delete("a")
    assert await files.find("a") is None
    assert await files.read("a") is None
