"""Read again, rebuilt, forked, forged: what a second look at a topic may change, and what it may not."""

import asyncio

import pytest

from chassis.store import Database
from tests.chassis.kafka import Kafka
from tests.chassis.workshop import Facts, Opens, Running, Troubles, letters_in, names_praised, until

pytestmark = pytest.mark.real


# Forks


async def test_a_fork_stands_still_and_alerts_until_somebody_has_restored_the_right_history(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    await kafka.put_facts([facts.thing("a", size=1)])
    async with opens():
        await kafka.caught_up(facts.group, facts.things)
    await kafka.put_facts([facts.thing("a", size=2), facts.thing("b")])
    for _ in range(2):  # a restart changes nothing
        async with opens() as running:
            await running.answers("/readyz", status=503, told=f"standing still: {facts.group} (fork)")
            assert (await running.metrics())[f"livinglab_consumer_stopped {facts.group} fork"] == 1
            assert await running.answers("/livez", status=200) == "ok"
            calls = list(troubles.calls)
            await kafka.put_facts([facts.thing("c")], partition=1)
            await until(running.metrics, lambda now: now[f"livinglab_consumer_lag_records {facts.group}"] >= 3)
            assert troubles.calls == calls, "it does not go on"
    assert (await kafka.committed(facts.group, facts.things))[0] == 1
    assert await letters_in(database, 0) == []
    assert await names_praised(kafka, facts) == {"a": 1}, "nothing is derived from either history"

    # Somebody found the second history to be the right one.
    await database["history"].delete_many({})
    await database["things"].delete_many({})
    async with opens() as running:
        await kafka.caught_up(facts.group, facts.things)
        await running.answers("/readyz", status=200)
    assert {d["_id"]: d["size"] for d in await database["things"].find().to_list(None)} == {"a": 2, "b": 1, "c": 1}


async def test_a_fork_that_a_letter_brings_stands_still_too(
    workshop: Running, kafka: Kafka, facts: Facts, database: Database
) -> None:
    await kafka.put_facts([facts.thing("a", tool="hammer"), facts.thing("a", size=2)])
    await letters_in(database, 1, code="unknown_reference")
    await kafka.put_facts([facts.tool("hammer")])
    await workshop.answers("/readyz", status=503, told=f"standing still: {facts.group} (fork)")
    assert (await workshop.metrics())[f"livinglab_consumer_stopped {facts.group} fork"] == 1
    (letter,) = await letters_in(database, 1, status="open")
    assert letter["detail"].startswith("Fork: two histories of a")


async def test_an_epoch_beside_garbage_is_not_believed(
    workshop: Running, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    await kafka.put_facts([facts.thing("a")])
    bad = await kafka.put(facts.things, b"no json", headers=[("epoch", b"7")])
    await kafka.put_facts([facts.thing("b")])
    await kafka.caught_up(facts.group, facts.things)
    assert troubles.handled == {"a": 1, "b": 1}
    assert [d["_id"] for d in await letters_in(database, 1)] == [f"{facts.things.name}/0/0/{bad}"]


# Repeats


async def test_a_replay_from_the_beginning_changes_nothing(
    workshop: Running, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    told = [facts.thing(f"thing-{n % 4}", revision=n // 4 + 1, size=n) for n in range(20)]
    await kafka.put_facts([*told[10:], *told[:10], *told[5:15]])
    await kafka.caught_up(facts.group, facts.things)
    before = await database["things"].find().sort("_id", 1).to_list(None)
    assert [d["revision"] for d in before] == [5, 5, 5, 5]
    await database["positions"].insert_one({"_id": facts.group, "asked": 1})
    await until(lambda: asyncio.sleep(0, sum(troubles.handled.values())), lambda times: times == 60)
    assert await database["things"].find().sort("_id", 1).to_list(None) == before
    praises = await kafka.read(facts.praises)
    ids = {dict(record.headers)["ce_id"]: record.value for record in praises}
    assert len(ids) == 20
    assert all(ids[dict(record.headers)["ce_id"]] == record.value for record in praises), "the same id, the same bytes"


async def test_a_rebuilt_topic_is_read_anew_and_its_epoch_is_part_of_its_letters(
    workshop: Running, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    await kafka.put_facts([facts.thing("old")])
    await kafka.caught_up(facts.group, facts.things)
    await kafka.put_facts([facts.thing("new")], epoch=1)
    bad = await kafka.put(facts.things, b"no json", headers=[("epoch", b"1")])
    await kafka.caught_up(facts.group, facts.things)
    (letter,) = await letters_in(database, 1)
    assert letter["_id"] == f"{facts.things.name}/1/0/{bad}"
    assert troubles.handled == {"old": 2, "new": 1}
