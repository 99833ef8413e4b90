"""Bad input neither blocks nor vanishes: records that are no facts, poison, bugs and forks, on a real broker."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition

from chassis.deadletters import DeadLetters
from chassis.store import Database
from contracts.fact import Envelope
from tests.chassis.kafka import Kafka, RawHeaders
from tests.chassis.workshop import Facts, Opens, Running, Troubles, letters_in, names_praised, until

pytestmark = pytest.mark.real

Bad = tuple[str, bytes | None, RawHeaders]
"""(code of the letter, value, headers)."""


def dressed(envelope: Envelope, **changed: bytes | None) -> RawHeaders:
    """A fact's headers, some of them changed."""
    return list({**dict(envelope.headers()), **changed}.items())


def bad_records(facts: Facts) -> list[Bad]:
    """One of each kind."""
    fact = facts.thing("bad")
    good = fact.envelope.headers()
    return [
        ("breaks_contract", b"not json", good),
        ("breaks_contract", b'{"thing": 7}', good),
        ("breaks_contract", b"x" * 1_000_000, good),
        ("breaks_contract", b"", good),
        ("no_body", None, good),
        ("malformed_envelope", fact.value, []),
        ("malformed_envelope", fact.value, dressed(fact.envelope, ce_id=b"\xff\xfe")),
        ("malformed_envelope", fact.value, dressed(fact.envelope, ce_type=None)),
        ("malformed_envelope", fact.value, dressed(fact.envelope, ce_revision=b"-1")),
        ("wrong_identity", fact.value, dressed(fact.envelope, ce_revision=b"2")),
        ("unknown_type", fact.value, dressed(fact.envelope, ce_type=b"com.example.thing.made.v1")),
        ("malformed_envelope", None, []),
    ]


async def put_bad(kafka: Kafka, facts: Facts, bad: Bad, *, partition: int) -> str:
    """Put it; the id that its letter must have."""
    _, value, headers = bad
    offset = await kafka.put(facts.things, value, headers=headers, partition=partition, key=b"\xff")
    return f"{facts.things.name}/0/{partition}/{offset}"


def held(facts: Facts) -> str:
    """The metric that tells how many records are held."""
    return f"livinglab_consumer_held_records {facts.group}"


# No facts


@pytest.mark.parametrize("batch_max_records", [500, 2])
async def test_bad_records_at_any_place_are_set_aside_once_and_their_neighbours_applied_once(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database, batch_max_records: int
) -> None:
    kinds = bad_records(facts)
    expected: dict[str, Bad] = {}
    names: list[str] = []
    for partition in range(3):
        for position, bad in enumerate(kinds[partition:] + kinds[:partition]):
            if position:  # so that the first and the last of each partition are bad
                names.append(f"good-{partition}-{position}")
                await kafka.put_facts([facts.thing(names[-1])], partition=partition)
            expected[await put_bad(kafka, facts, bad, partition=partition)] = bad

    async with opens(batch_max_records=batch_max_records) as running:
        await kafka.caught_up(facts.group, facts.things)
        letters = await letters_in(database, len(expected))
        assert {d["_id"]: d["code"] for d in letters} == {name: bad[0] for name, bad in expected.items()}
        for letter in letters:
            _, value, headers = expected[letter["_id"]]
            assert (letter["key"], letter["value"], letter["group"]) == (b"\xff", value, facts.group)
            assert letter["headers"] == [list(pair) for pair in headers]
            assert len(letter["detail"]) <= 1_000
        assert troubles.handled == dict.fromkeys(names, 1)
        assert await names_praised(kafka, facts) == dict.fromkeys(names, 1)
        metrics = await running.metrics()
        assert metrics[f"livinglab_consumer_records_total {facts.group} set_aside"] == len(expected)
        assert metrics[f"livinglab_consumer_records_total {facts.group} handled"] == len(names)
        counted = sum(v for name, v in metrics.items() if name.startswith("livinglab_dead_letters_total"))
        assert counted == len(expected)
        await until(running.metrics, lambda now: now[f"livinglab_consumer_lag_records {facts.group}"] == 0)
        assert await running.answers("/readyz", status=200) == "ok"


async def test_oddly_dressed_facts_are_facts(
    workshop: Running, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    odd: Sequence[RawHeaders] = [
        [("traceparent", b"\xff"), ("epoch", b"\xff")],
        [("traceparent", None), ("epoch", None), ("x-null", None)],
        [("traceparent", b"00-zz-zz-01"), ("epoch", b"-1")],
        [("epoch", b""), ("epoch", b"\xd9\xa3")],
        [("x-bytes", bytes(range(256))), ("ce_unknown", b"1")],
    ]
    for number, extra in enumerate(odd):
        fact = facts.thing(f"odd-{number}")
        await kafka.put(facts.things, fact.value, headers=[*fact.envelope.headers(), *extra], key=b"odd")
    await kafka.caught_up(facts.group, facts.things)
    assert troubles.handled == {f"odd-{number}": 1 for number in range(len(odd))}
    assert await letters_in(database, 0) == []


async def test_a_later_version_is_left_alone_and_counted(
    workshop: Running, kafka: Kafka, facts: Facts, database: Database
) -> None:
    fact = facts.thing("later")
    later = dressed(fact.envelope, ce_type=b"id.livinglab.thing.made.v2")
    await kafka.put(facts.things, b'{"of": "another shape"}', headers=later)
    await kafka.caught_up(facts.group, facts.things)
    assert await letters_in(database, 0) == []
    assert (await workshop.metrics())[f"livinglab_consumer_records_total {facts.group} ignored"] == 1


async def test_bad_records_are_set_aside_once_however_often_they_are_read(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    await put_bad(kafka, facts, bad_records(facts)[0], partition=0)
    await kafka.put_facts([facts.thing("good")])
    async with opens():
        await kafka.caught_up(facts.group, facts.things)
        (first,) = await letters_in(database, 1)
        await database["positions"].insert_one({"_id": facts.group, "asked": 1})
        await until(lambda: asyncio.sleep(0, troubles.handled["good"]), lambda times: times == 2)
    assert await letters_in(database, 1) == [first]


async def test_records_that_the_client_forgot_it_had_fetched_are_read_again(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles
) -> None:
    """As aiokafka does when a call of `getmany` fails on what another partition holds."""
    await kafka.put_facts([facts.thing("before")])
    async with opens() as running:
        await kafka.caught_up(facts.group, facts.things)
        (intake,) = [i for i in running.app.state.health.intakes if i.group == facts.group]
        troubles.gate.clear()
        troubles.entered.clear()
        await kafka.put_facts([facts.thing("held-up")])
        await troubles.entered.wait()
        await kafka.put_facts([facts.thing("jumped-over"), facts.thing("after")])
        consumer = intake.offsets._consumer()
        assert consumer is not None
        consumer.seek(TopicPartition(facts.things.name, 0), 3)
        troubles.gate.set()
        await kafka.caught_up(facts.group, facts.things)
    assert troubles.handled == dict.fromkeys(["before", "held-up", "jumped-over", "after"], 1)


# Refused by the reaction, then retried


async def test_a_refused_record_costs_its_neighbours_nothing_and_a_retry_works_once_the_cause_is_gone(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    names = [f"thing-{n}" for n in range(9)]
    troubles.refused = {"thing-0", "thing-4", "thing-8"}
    for partition in range(3):
        await kafka.put_facts([facts.thing(name) for name in names[partition::3]], partition=partition)
    async with opens() as running:
        await kafka.caught_up(facts.group, facts.things)
        letters = await letters_in(database, 3)
        assert {d["code"] for d in letters} == {"not_praiseworthy"}
        assert troubles.handled == {name: 1 for name in names if name not in troubles.refused}
        assert await running.answers("/readyz", status=200) == "ok"

        office: DeadLetters = running.app.state.resources[DeadLetters]
        assert await office.mark(letters[0]["_id"], "discarded") == 1
        assert await office.mark(letters[1]["_id"], "retry") == 1
        again = await letters_in(database, 1, tries=1)
        assert [(d["_id"], d["status"], d["code"]) for d in again] == [(letters[1]["_id"], "open", "not_praiseworthy")]

        troubles.refused = set()
        assert await office.mark(None, "retry") == 2, "what was discarded is not sent again"
        done = await letters_in(database, 2, status="done")
        assert {d["_id"] for d in done} == {letters[1]["_id"], letters[2]["_id"]}
        assert await office.count_open() == 0
        metrics = await until(running.metrics, lambda now: now["livinglab_dead_letters_open"] == 0)
        assert metrics[f"livinglab_consumer_records_total {facts.group} retried"] == 2
    discarded = letters[0]["_id"]
    assert (await letters_in(database, 1, status="discarded"))[0]["_id"] == discarded
    assert set(troubles.handled.values()) == {1}
    assert len(troubles.handled) == 8
    assert await names_praised(kafka, facts) == troubles.handled


# Poison: a record that our code fails in


@pytest.mark.parametrize("place", [0, 5, 9], ids=["first", "in the middle", "last"])
async def test_poison_among_others_is_tried_alone_three_times_and_then_set_aside(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database, place: int
) -> None:
    names = [f"thing-{n}" for n in range(10)]
    troubles.poison = {names[place]}
    await kafka.put_facts([facts.thing(name) for name in names])
    async with opens() as running:
        await kafka.caught_up(facts.group, facts.things)
        (letter,) = await letters_in(database, 1)
        assert (letter["_id"], letter["code"]) == (f"{facts.things.name}/0/0/{place}", "reaction_failed")
        assert letter["detail"] == f"RuntimeError: cannot praise {names[place]}"
        assert troubles.calls.count([names[place]]) == 3
        assert troubles.handled == {name: 1 for name in names if name != names[place]}
        assert await running.answers("/readyz", status=200) == "ok"
        troubles.poison = set()
        await running.app.state.resources[DeadLetters].mark(letter["_id"], "retry")
        await letters_in(database, 1, status="done")
    assert troubles.handled == dict.fromkeys(names, 1)


async def test_lone_poison_in_quiet_traffic_is_held_and_read_again_after_a_restart(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    troubles.poison = {"poison"}
    await kafka.put_facts([facts.thing("poison")])
    async with opens() as running:
        metrics = await until(running.metrics, lambda now: now[held(facts)] == 1)
        assert metrics[f"livinglab_consumer_lag_records {facts.group}"] == 1
        assert await letters_in(database, 0) == []
        assert await running.answers("/readyz", status=200) == "ok"
        (intake,) = [i for i in running.app.state.health.intakes if i.group == facts.group]
        assert intake.offsets.waiting == 0, "nothing waits for us: a restart would change nothing"
    assert (await kafka.committed(facts.group, facts.things))[0] <= 0
    assert troubles.calls == [["poison"]] * 3

    troubles.poison = set()
    async with opens():
        await kafka.caught_up(facts.group, facts.things)
    assert troubles.handled == {"poison": 1}
    assert await letters_in(database, 0) == []


async def test_what_follows_held_poison_on_its_partition_is_handled_and_judges_it(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    troubles.poison = {"poison"}
    await kafka.put_facts([facts.thing("poison")])
    async with opens() as running:
        await until(running.metrics, lambda now: now[held(facts)] == 1)
        await kafka.put_facts([facts.thing("after", revision=2)])
        (letter,) = await letters_in(database, 1)
        assert (letter["_id"], letter["code"]) == (f"{facts.things.name}/0/0/0", "reaction_failed")
        await kafka.reaches(facts.group, facts.things, {0: 2})
        assert troubles.handled == {"after": 1}
        # From now on another record has succeeded within ten minutes: nothing is held any more.
        await kafka.put_facts([facts.thing("poison", revision=3)], partition=2)
        await letters_in(database, 2)
        await kafka.reaches(facts.group, facts.things, {0: 2, 2: 1})
        metrics = await until(running.metrics, lambda now: now[held(facts)] == 0)
        assert metrics[f"livinglab_consumer_lag_records {facts.group}"] == 0


async def test_held_records_whose_cause_is_gone_are_no_dead_letters(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    """Nineteen fail, a few at a time, then the cause goes: all of them take effect when the next record comes."""
    troubles.bug = RuntimeError("broken")
    names = [f"thing-{n}" for n in range(19)]
    await kafka.put_facts([facts.thing(name) for name in names])
    async with opens(batch_max_records=6) as running:
        await until(running.metrics, lambda now: now[held(facts)] == 19)
        assert await running.answers("/readyz", status=200) == "ok"
        troubles.bug = None
        await kafka.put_facts([facts.thing("after")], partition=1)
        await kafka.caught_up(facts.group, facts.things)
    assert troubles.handled == dict.fromkeys([*names, "after"], 1)
    assert await letters_in(database, 0) == []


async def test_many_poisoned_records_before_good_ones_do_not_block(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    troubles.poison = {f"poison-{n}" for n in range(25)}
    await kafka.put_facts([facts.thing(name) for name in sorted(troubles.poison)])
    good = [f"good-{n}" for n in range(5)]
    await kafka.put_facts([facts.thing(name) for name in good])
    async with opens() as running:
        await kafka.caught_up(facts.group, facts.things)
        assert {d["code"] for d in await letters_in(database, 25)} == {"reaction_failed"}
        assert troubles.handled == dict.fromkeys(good, 1)
        assert await running.answers("/readyz", status=200) == "ok"


# Our bug: every record fails


@pytest.mark.parametrize(
    ("batch_max_records", "quiet"),
    [(500, True), (4, True), (4, False)],
    ids=["one batch", "batch by batch", "after some went well"],
)
async def test_a_bug_that_hits_every_record_pauses_and_alerts_and_goes_on_by_itself(
    opens: Opens,
    kafka: Kafka,
    facts: Facts,
    troubles: Troubles,
    database: Database,
    batch_max_records: int,
    quiet: bool,
) -> None:
    names = [f"thing-{n}" for n in range(24)]
    async with opens(batch_max_records=batch_max_records) as running:
        if not quiet:
            await kafka.put_facts([facts.thing("before")])
            await kafka.caught_up(facts.group, facts.things)
        troubles.bug = RuntimeError("broken")
        troubles.gate.clear()
        for partition in range(3):
            await kafka.put_facts([facts.thing(name) for name in names[partition::3]], partition=partition)
        troubles.gate.set()
        await running.answers("/readyz", status=503, told=f"standing still: {facts.group} (bug)")
        assert await running.answers("/livez", status=200) == "ok", "a restart would not mend it"
        stopped = f"livinglab_consumer_stopped {facts.group} bug"
        assert (await running.metrics())[stopped] == 1
        calls = len(troubles.calls)
        await until(lambda: asyncio.sleep(0, len(troubles.calls)), lambda now: now > calls)  # it tries again
        letters = await database["dead_letters"].count_documents({})
        assert letters < 20, "the topic is not drained into dead letters"
        if quiet:
            assert letters == 0

        troubles.bug = None
        await kafka.caught_up(facts.group, facts.things)
        await running.answers("/readyz", status=200)
        assert (await running.metrics())[stopped] == 0
        assert await database["dead_letters"].count_documents({}) == letters
        await running.app.state.resources[DeadLetters].mark(None, "retry")
        await letters_in(database, letters, status="done")
    assert {name: troubles.handled[name] for name in names} == dict.fromkeys(names, 1)


async def test_a_consumer_that_stands_still_leaves_the_others_of_its_process_alone(
    workshop: Running, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    troubles.bug = RuntimeError("broken")
    await kafka.put_facts([facts.thing(f"thing-{n}") for n in range(20)])
    await workshop.answers("/readyz", status=503, told=f"standing still: {facts.group} (bug)")
    await kafka.put_facts([facts.tool("hammer")])
    await kafka.caught_up(facts.tools_group, facts.tools)
    assert await database["tools"].count_documents({}) == 1
