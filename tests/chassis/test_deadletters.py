"""Letters: kept whole, dealt with once, and delivered by themselves when what they waited for arrives."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from chassis.deadletters import DeadLetters, Failure, RawRecord, record_of
from chassis.store import Database, Document
from chassis.telemetry import Metrics
from tests.chassis.kafka import Kafka
from tests.chassis.workshop import Facts, Opens, Running, Troubles, letters_in, until

pytestmark = pytest.mark.real

BUG = Failure("reaction_failed", "RuntimeError: broken")
MISSING = Failure("unknown_reference", "no hammer", "hammer")
SOON = timedelta(seconds=5)


@pytest.fixture
async def office(database: Database) -> DeadLetters:
    """The dead letters of a service, without the service."""
    office = DeadLetters(database, Metrics())
    await office.prepare()
    return office


def raw(
    *,
    offset: int = 0,
    key: bytes | None = b"\xff",
    value: bytes | None = b"\x00\xff",
    headers: tuple[tuple[str, bytes | None], ...] = (),
    timestamp_ms: int = 1_690_880_400_123,
) -> RawRecord:
    """A record as it is read."""
    untyped: Any = headers
    return ConsumerRecord("things", 2, offset, timestamp_ms, 0, key, value, None, 0, 0, untyped)


async def the_letter(database: Database) -> Document:
    """The only one."""
    (letter,) = await database["dead_letters"].find().to_list(None)
    return letter


# Kept whole


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, None, ()),
        (b"", b"", (("", b""),)),
        (b"\xff", b"\x00\xff", (("ce_id", b"\xff\xfe"), ("ce_id", None), ("naïve $x.y", b"1"))),
        (b"k", b"x" * 1_000_000, (("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),)),
    ],
    ids=["nothing", "empty", "bytes that are no text", "huge"],
)
async def test_a_record_comes_back_as_it_was_read(
    office: DeadLetters,
    database: Database,
    key: bytes | None,
    value: bytes | None,
    headers: tuple[tuple[str, bytes | None], ...],
) -> None:
    record = raw(key=key, value=value, headers=headers)
    await office.add(record, BUG, group="g", epoch=4)
    letter = await the_letter(database)
    again = record_of(letter)
    assert letter["_id"] == "things/4/2/0"
    assert (again.topic, again.partition, again.offset, again.timestamp) == ("things", 2, 0, record.timestamp)
    assert (again.key, again.value, tuple(again.headers)) == (key, value, headers)
    assert letter["recorded_at"] == datetime(2023, 8, 1, 9, 0, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize("timestamp_ms", [-1, 2**62, -(2**62)])
async def test_a_time_that_no_calendar_has_does_not_hold_a_partition(
    office: DeadLetters, database: Database, timestamp_ms: int
) -> None:
    await office.add(raw(timestamp_ms=timestamp_ms), BUG, group="g", epoch=0)
    assert record_of(await the_letter(database)).value == b"\x00\xff"


async def test_a_record_is_set_aside_once_and_counted_once(office: DeadLetters, database: Database) -> None:
    for failure in (BUG, MISSING, BUG):
        await asyncio.gather(*(office.add(raw(), failure, group="g", epoch=0) for _ in range(5)))
    assert (await the_letter(database))["code"] == "reaction_failed"
    await office.add(raw(), BUG, group="g", epoch=1)
    assert await office.count_open() == 2, "another life of the topic, another record"


async def test_another_record_at_the_same_place_is_another_letter(office: DeadLetters, database: Database) -> None:
    """A topic was rebuilt, and no fact on this partition has told of the new epoch yet."""
    await office.add(raw(), BUG, group="g", epoch=0)
    for _ in range(2):
        await office.add(raw(value=b"other"), BUG, group="g", epoch=0)
    found = await database["dead_letters"].find().sort("_id", 1).to_list(None)
    assert [letter["value"] for letter in found] == [b"other", b"\x00\xff"]
    assert (record_of(found[0]).topic, record_of(found[0]).offset) == ("things", 0)


async def test_a_long_reason_is_cut_where_it_is_only_input_any_more(office: DeadLetters, database: Database) -> None:
    await office.add(raw(), Failure("breaks_contract", "x" * 500_000), group="g", epoch=0)
    assert len((await the_letter(database))["detail"]) == 1_000


async def test_lists_show_letters_without_their_bytes(office: DeadLetters) -> None:
    for offset in range(3):
        await office.add(raw(offset=offset), BUG, group="g", epoch=0)
    listed = await office.list(status="open", limit=2)
    assert [d["_id"] for d in listed] == ["things/0/2/0", "things/0/2/1"]
    assert not {"key", "value", "headers"} & set().union(*listed)
    whole = await office.find("things/0/2/1")
    assert whole is not None
    assert whole["value"] == b"\x00\xff"
    assert await office.find("things/0/2/9") is None


# Claimed, tried, dealt with


async def test_only_what_somebody_asked_for_or_what_waits_for_a_reference_is_tried_again(
    office: DeadLetters, database: Database
) -> None:
    await office.add(raw(offset=0), BUG, group="g", epoch=0)
    await office.add(raw(offset=1), MISSING, group="g", epoch=0)
    await office.add(raw(offset=2), BUG, group="other", epoch=0)
    await database["dead_letters"].update_many({}, {"$set": {"due_at": datetime(2000, 1, 1, tzinfo=UTC)}})
    waiting = await office.claim("g")
    assert waiting is not None
    assert (waiting["_id"], await office.claim("g")) == ("things/0/2/1", None)
    assert await office.mark("things/0/2/0", "retry") == 1
    asked = await office.claim("g")
    assert asked is not None
    assert (asked["_id"], await office.claim("g"), await office.claim("other")) == ("things/0/2/0", None, None)


async def test_of_many_workers_one_tries_a_letter(office: DeadLetters) -> None:
    await office.add(raw(), BUG, group="g", epoch=0)
    await office.mark(None, "retry")
    claims = await asyncio.gather(*(office.claim("g") for _ in range(10)))
    assert len([claim for claim in claims if claim]) == 1


async def test_a_failed_retry_is_open_again_with_the_newer_reason(office: DeadLetters, database: Database) -> None:
    await office.add(raw(), MISSING, group="g", epoch=0)
    await office.mark(None, "retry")
    claimed = await office.claim("g")
    assert claimed is not None
    await office.failed_again(claimed, BUG)
    letter = await the_letter(database)
    assert (letter["status"], letter["code"], letter["reference"], letter["tries"]) == ("open", BUG.code, None, 1)


@pytest.mark.parametrize("since", ["released", "discarded", "asked for again"])
async def test_what_happened_to_a_letter_while_it_was_tried_stands(
    office: DeadLetters, database: Database, since: str
) -> None:
    """Its reference may arrive just after it was looked for: to wait for the next time would take an hour."""
    await office.add(raw(), MISSING, group="g", epoch=0)
    await office.release(["hammer"])
    claimed = await office.claim("g")
    assert claimed is not None
    if since == "released":
        await office.release(["nail", "hammer"])
    else:
        await office.mark(None, "discarded" if since == "discarded" else "retry")
    await office.failed_again(claimed, MISSING)
    letter = await the_letter(database)
    expected = {"released": "open", "discarded": "discarded", "asked for again": "retry"}[since]
    assert (letter["status"], letter["tries"]) == (expected, 1)
    again = await office.claim("g")
    assert (again is None) == (since == "discarded")


async def test_waiting_for_a_reference_grows_longer_and_never_ends(office: DeadLetters, database: Database) -> None:
    await office.add(raw(), MISSING, group="g", epoch=0)
    waits: list[float] = []
    for _ in range(5):
        await office.release(["hammer"])
        claimed = await office.claim("g")
        assert claimed is not None
        before = datetime.now(UTC)
        await office.failed_again(claimed, MISSING)
        waits.append(((await the_letter(database))["due_at"] - before).total_seconds())
    assert [round(wait, -1) for wait in waits] == [120, 600, 3_600, 3_600, 3_600]


# References


async def test_a_fact_read_before_its_reference_that_is_already_there_is_no_dead_letter(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    troubles.tools_gate.clear()
    await kafka.put_facts([facts.tool("hammer")])
    names = [f"thing-{n}" for n in range(6)]
    await kafka.put_facts([facts.thing(name, tool="hammer" if n % 2 else None) for n, name in enumerate(names)])
    async with opens():
        await asyncio.wait_for(troubles.entered.wait(), timeout=20)
        await asyncio.sleep(0.2)  # so that it is waiting by now
        assert await database["tools"].count_documents({}) == 0
        troubles.tools_gate.set()
        await kafka.caught_up(facts.group, facts.things)
    assert troubles.handled == dict.fromkeys(names, 1)
    assert await letters_in(database, 0) == []


async def test_facts_whose_reference_comes_later_wait_and_then_take_effect_by_themselves(
    workshop: Running, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    names = [f"thing-{n}" for n in range(30)]
    for partition in range(3):
        told = [facts.thing(name, tool="hammer") for name in names[partition::3]]
        await kafka.put_facts([*told, facts.thing(f"plain-{partition}")], partition=partition)
    await kafka.caught_up(facts.group, facts.things)
    letters = await letters_in(database, 30)
    assert {(d["code"], d["reference"], d["status"]) for d in letters} == {("unknown_reference", "hammer", "open")}
    assert troubles.handled == {f"plain-{partition}": 1 for partition in range(3)}
    assert await workshop.answers("/readyz", status=200) == "ok"

    await kafka.put_facts([facts.tool("nail"), facts.tool("hammer")])
    await letters_in(database, 30, status="done")
    assert troubles.handled == {f"plain-{partition}": 1 for partition in range(3)} | dict.fromkeys(names, 1)
    assert len(await kafka.read(facts.praises)) == 33


async def test_a_letter_that_fails_otherwise_once_its_reference_is_there_says_so(
    workshop: Running, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    await kafka.put_facts([facts.thing("thing", tool="hammer")])
    await letters_in(database, 1, code="unknown_reference")
    troubles.poison = {"thing"}
    await kafka.put_facts([facts.tool("hammer")])
    (letter,) = await letters_in(database, 1, code="reaction_failed")
    assert (letter["status"], letter["reference"], letter["tries"]) == ("open", None, 1)


async def test_a_letter_meets_facts_of_the_same_thing_that_went_before_it(
    workshop: Running, kafka: Kafka, facts: Facts, database: Database
) -> None:
    """Later facts of the key go on, so a letter is late when it is handled, and must not put the view back."""
    await kafka.put_facts([facts.thing("thing", revision=1, size=1, tool="hammer")])
    await kafka.put_facts([facts.thing("thing", revision=2, size=2)])
    await kafka.caught_up(facts.group, facts.things)
    await letters_in(database, 1, code="unknown_reference")
    await kafka.put_facts([facts.tool("hammer")])
    await letters_in(database, 1, status="done")
    thing = await database["things"].find_one({"_id": "thing"})
    assert thing is not None
    assert (thing["revision"], thing["size"]) == (2, 2)
    assert await database["history"].count_documents({}) == 2


async def test_a_letter_asked_for_while_nobody_works_is_tried_by_the_next_who_does(
    opens: Opens, office: DeadLetters, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    troubles.refused = {"thing"}
    await kafka.put_facts([facts.thing("thing")])
    async with opens():
        await letters_in(database, 1)
    troubles.refused = set()
    await office.mark(None, "retry")
    async with opens():
        await letters_in(database, 1, status="done")
    assert troubles.handled == {"thing": 1}
    await until(lambda: kafka.committed(facts.group, facts.things), lambda now: now[0] == 1)
