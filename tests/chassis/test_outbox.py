"""State and what follows from it are one write, decided on what is there, and once however often it is asked for."""

import asyncio
from uuid import uuid4

import pytest

from chassis.outbox import (
    CAS_ATTEMPTS,
    OUTBOX_MAX_ENTRIES,
    REQUESTS_KEPT,
    AlreadyThere,
    Change,
    Contended,
    Done,
    KeyReused,
    Note,
    OutboxFull,
    Request,
)
from chassis.store import Database, Document
from tests.chassis.kafka import Kafka
from tests.chassis.owner import NEW, Owner, Owners, drained, first_seen, grown, told
from tests.chassis.workshop import Facts, until

pytestmark = pytest.mark.real


# One write


async def test_state_and_what_follows_from_it_lie_in_one_document_before_anything_is_sent(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    await owner.outbox.create("a", NEW)
    note = Note("history", {"_id": "a/1", "what": "grown"})

    def decide(document: Document) -> Change:
        return Change(set={"revision": 1, "parts.1": "x"}, facts=[facts.thing("a")], notes=[note], outcome={"ok": 1})

    done = await owner.change("a", decide)
    stored = await owner.load("a")
    assert (stored["revision"], stored["parts"], stored["version"]) == (1, {"1": "x"}, 2)
    fact, internal = stored["outbox"]
    assert (fact["id"], fact["topic"], fact["value"]) == (
        str(facts.thing("a").envelope.id),
        facts.things.name,
        facts.thing("a").value,
    )
    assert (internal["collection"], internal["document"]) == ("history", note.document)
    assert (done.outcome, done.replayed) == ({"ok": 1}, False)
    assert {k: done.document[k] for k in ("revision", "parts", "version")} == {
        k: stored[k] for k in ("revision", "parts", "version")
    }
    assert await kafka.read(facts.things) == []
    assert await database["facts"].count_documents({}) == await database["history"].count_documents({}) == 0


async def test_a_refused_command_writes_nothing(owner: Owner) -> None:
    await owner.outbox.create("a", NEW)
    before = await owner.load("a")

    def refuse(document: Document) -> Change:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await owner.change("a", refuse)
    assert await owner.load("a") == before


async def test_a_second_aggregate_of_the_same_name_is_refused(owner: Owner) -> None:
    outcomes = await asyncio.gather(*(owner.outbox.create("a", NEW) for _ in range(5)), return_exceptions=True)
    assert [type(o) for o in outcomes if not isinstance(o, Done)] == [AlreadyThere] * 4


# Contention


@pytest.mark.parametrize("processes", [1, 3])
async def test_three_who_write_to_different_parts_at_once_all_succeed(
    owners: Owners, owner: Owner, processes: int
) -> None:
    await owner.outbox.create("a", Change(set={"revision": 0, "parts": {}}))

    async def write(owner: Owner, who: int) -> None:
        for n in range(25):
            await owner.change("a", lambda _, n=n: Change(set={f"parts.{who}-{n}": who}))

    async with owners() as other, owners() as third:
        several = [owner, other, third] if processes == 3 else [owner] * 3
        await asyncio.gather(*(write(owner, who) for who, owner in enumerate(several)))
    after = await owner.load("a")
    assert (len(after["parts"]), after["version"]) == (75, 76)


async def test_who_is_always_second_is_told_to_come_again(owner: Owner) -> None:
    await owner.outbox.create("a", NEW)
    loads = 0

    async def load() -> Document:
        nonlocal loads
        loads += 1
        found = await owner.load("a")
        await owner.outbox.aggregates.update_one({"_id": "a"}, {"$inc": {"version": 1}})
        return found

    with pytest.raises(Contended) as refused:
        await owner.outbox.change(load, lambda _: Change(set={"revision": 99}))
    assert (loads, refused.value.status, refused.value.headers["Retry-After"]) == (CAS_ATTEMPTS, 503, "1")
    assert (await owner.load("a"))["revision"] == 0


async def test_behind_one_who_hangs_nobody_waits_for_ever(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.outbox.TURN_WAIT_S", 0.1)
    await owner.outbox.create("a", NEW)
    hanging = asyncio.Event()
    loads = 0

    async def load() -> Document:
        nonlocal loads
        loads += 1
        if loads > 1:
            await hanging.wait()
        return {**await owner.load("a"), "version": 99}  # so that it loses, and loads again

    hangs = asyncio.create_task(owner.outbox.change(load, lambda _: Change(set={"revision": 1})))
    await until(lambda: asyncio.sleep(0, loads), lambda n: n == 2)
    with pytest.raises(Contended):
        await owner.change("a", lambda _: Change(set={"revision": 2}))
    hangs.cancel()
    await asyncio.gather(hangs, return_exceptions=True)
    await owner.change("a", lambda _: Change(set={"revision": 3}))
    assert (await owner.load("a"))["revision"] == 3


async def test_a_command_decides_again_on_what_is_there_now(owner: Owner, facts: Facts) -> None:
    """Twenty who add one each, in pairs: whoever lost decides anew, so that nobody's one is lost."""
    await owner.outbox.create("a", NEW)
    for _ in range(10):
        await asyncio.gather(*(owner.change("a", grown(facts)) for _ in range(2)))
    after = await owner.load("a")
    assert (after["revision"], [e["revision"] for e in after["outbox"]]) == (20, list(range(1, 21)))


# Bounded


async def test_a_full_outbox_refuses_commands_until_it_has_drained(
    owner: Owner, database: Database, kafka: Kafka, facts: Facts
) -> None:
    await owner.outbox.create("a", NEW)
    await owner.change("a", grown(facts, by=OUTBOX_MAX_ENTRIES))
    with pytest.raises(OutboxFull) as refused:
        await owner.change("a", grown(facts))
    assert (refused.value.status, refused.value.code) == (503, "outbox_full")
    assert int(refused.value.headers["Retry-After"]) >= 1
    assert (await owner.load("a"))["revision"] == OUTBOX_MAX_ENTRIES
    async with owner.relaying():
        await drained(database)
        await owner.change("a", grown(facts))
        await drained(database)
    assert await told(kafka, facts) == {"a": list(range(1, OUTBOX_MAX_ENTRIES + 2))}


async def test_an_outbox_is_full_by_its_bytes_too(owner: Owner, facts: Facts) -> None:
    large = Note("history", {"_id": "x", "text": "x" * 900_000})
    await owner.outbox.create("a", NEW)
    for n in range(4):
        await owner.change("a", lambda _, n=n: Change(set={"n": n}, notes=[large]))
    with pytest.raises(OutboxFull):
        await owner.change("a", lambda _: Change(set={"n": 9}, notes=[large]))
    await owner.change("a", lambda _: Change(set={"n": 10}))  # nothing follows from it, so there is room


# Idempotent requests


def asked(key: str, *body: str) -> Request:
    """A POST of one caller."""
    return Request.of(actor="somebody", key=key, asked=body or ("submit",))


async def test_twenty_equal_requests_at_once_have_one_effect_and_one_answer(
    owners: Owners, database: Database, kafka: Kafka, facts: Facts
) -> None:
    async with owners() as one, owners() as other, one.relaying():
        await one.outbox.create("a", NEW)
        request = asked(str(uuid4()))
        done = await asyncio.gather(
            *(owner.change("a", grown(facts), request=request) for owner in (one, other) for _ in range(10))
        )
        assert [d.outcome for d in done] == [{"revision": 1}] * 20
        assert sum(not d.replayed for d in done) == 1
        await drained(database)
        again = await other.change("a", grown(facts), request=request)
        assert (again.outcome, again.replayed) == ({"revision": 1}, True)
    assert first_seen((await told(kafka, facts))["a"]) == [1]


async def test_twenty_equal_creations_at_once_create_once(owner: Owner) -> None:
    request = asked("k")
    new = Change(set={"revision": 0}, outcome={"made": True})
    done = await asyncio.gather(*(owner.outbox.create("a", new, request=request) for _ in range(20)))
    assert [d.outcome for d in done] == [{"made": True}] * 20
    assert sum(not d.replayed for d in done) == 1
    with pytest.raises(AlreadyThere):
        await owner.outbox.create("a", new, request=asked("other"))


async def test_a_key_that_comes_again_with_another_request_is_refused(owner: Owner, facts: Facts) -> None:
    await owner.outbox.create("a", NEW, request=asked("k", "open"))
    with pytest.raises(KeyReused):
        await owner.outbox.create("a", NEW, request=asked("k", "open otherwise"))
    await owner.change("a", grown(facts), request=asked("l", "submit"))
    with pytest.raises(KeyReused) as refused:
        await owner.change("a", grown(facts), request=asked("l", "submit otherwise"))
    assert refused.value.status == 422
    assert (await owner.load("a"))["revision"] == 1


def test_keys_of_two_callers_never_meet() -> None:
    ids = {Request.of(actor=a, key=k, asked=["x"]).id for a, k in (("a", "b"), ("b", "a"), ("a\nb", ""), ("a", "b\n"))}
    assert len(ids) == 4


def test_what_was_asked_is_told_apart_by_every_part_of_it() -> None:
    hashes = {Request.of(actor="a", key="k", asked=parts).body_hash for parts in (["a", "b"], ["ab"], ["b", "a"], [])}
    assert len(hashes) == 4


async def test_the_last_requests_are_remembered_and_no_more(owner: Owner, facts: Facts) -> None:
    await owner.outbox.create("a", NEW)
    for n in range(REQUESTS_KEPT + 1):
        await owner.change("a", grown(facts), request=asked(f"key-{n}"))
    assert len((await owner.load("a"))["requests"]) == REQUESTS_KEPT
    assert (await owner.change("a", grown(facts), request=asked("key-1"))).replayed
    assert not (await owner.change("a", grown(facts), request=asked("key-0"))).replayed
