"""What a consumer does when something moves under it: a dependency, its partitions, its own process."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from chassis.consumer import Reactions, build_broker
from chassis.publish import Publish
from chassis.records import Fact
from chassis.settings import Settings
from chassis.store import Database
from contracts.topics import Topic
from tests.chassis.kafka import Kafka
from tests.chassis.proxy import proxy
from tests.chassis.workshop import Facts, Opens, Thing, Troubles, letters_in, until

real = pytest.mark.real
THINGS = Topic("test.things", 1, "any", compacted=False, about="of a test")


# Declared


class Shelf:
    """A store."""


async def keep(facts: Sequence[Fact[Thing]], publish: Publish, shelf: Shelf) -> None:
    """Needs a shelf."""


def test_a_reaction_that_wants_what_nobody_provides_is_told_before_anything_runs() -> None:
    reactions = Reactions()
    reactions.to(THINGS, group="test.things", of=Thing)(keep)
    toolbox: object = object()
    with pytest.raises(TypeError, match=r"test\.things wants shelf: .*Shelf.*, which the service does not provide"):
        reactions.intakes(toolbox, {})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("protocol", "security"),
    [
        ("PLAINTEXT", None),
        ("SSL", "BaseSecurity"),
        ("SASL_PLAINTEXT", "SASLScram512"),
        ("SASL_SSL", "SASLScram512"),
    ],
)
async def test_a_consumer_speaks_as_the_settings_say(protocol: str, security: str | None) -> None:
    settings = Settings.model_validate(
        {"kafka_security_protocol": protocol, "kafka_sasl_username": "u", "kafka_sasl_password": "p"}
    )
    broker = build_broker(settings, [], service="test")
    spoken = broker.specification.security
    assert (type(spoken).__name__ if spoken else None) == security
    assert bool(spoken and spoken.use_ssl) == protocol.endswith("SSL")


# A dependency is down


@real
async def test_the_database_going_away_in_the_middle_of_a_batch_loses_nothing(
    opens: Opens, settings: Settings, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    names = [f"thing-{n}" for n in range(12)]
    where = urlsplit(settings.mongodb_uri.get_secret_value())
    async with proxy(where.hostname or "", where.port or 0) as way:
        address = SecretStr(f"mongodb://127.0.0.1:{way.port}/?directConnection=true")
        async with opens(mongodb_uri=address, mongodb_timeout_ms=500) as running:
            troubles.gate.clear()
            for partition in range(3):
                await kafka.put_facts([facts.thing(name) for name in names[partition::3]], partition=partition)
            await asyncio.wait_for(troubles.entered.wait(), timeout=20)
            way.cut()
            troubles.gate.set()
            await running.answers("/readyz", status=503, told="MongoDB does not answer")
            assert await running.answers("/livez", status=200) == "ok", "a restart would not mend it"
            calls = len(troubles.calls)
            await until(lambda: asyncio.sleep(0, len(troubles.calls)), lambda now: now > calls)  # it comes again
            assert max((await kafka.committed(facts.group, facts.things)).values()) <= 0
            way.mend()
            await kafka.caught_up(facts.group, facts.things)
            await running.answers("/readyz", status=200)
            assert running.app.state.health.failed is None
    assert set(troubles.handled) == set(names)
    assert await database["things"].count_documents({}) == 12
    assert await letters_in(database, 0) == []
    assert {record.key for record in await kafka.read(facts.praises)} == {name.encode() for name in names}


# Partitions move


@real
async def test_another_worker_joining_in_the_middle_of_a_batch_changes_no_effect(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    names = [f"thing-{n}" for n in range(60)]
    for partition in range(3):
        await kafka.put_facts([facts.thing(name) for name in names[partition::3]], partition=partition)
    troubles.gate.clear()
    async with opens(batch_max_records=10) as one:
        await asyncio.wait_for(troubles.entered.wait(), timeout=20)
        async with opens(batch_max_records=10) as other:
            await asyncio.sleep(0.3)  # the other one asks to join, the first one is told to give up its partitions
            troubles.gate.set()
            await kafka.caught_up(facts.group, facts.things)
            await kafka.put_facts([facts.thing(f"after-{n}") for n in range(3)], partition=0)
            await kafka.put_facts([facts.thing(f"after-{n}") for n in range(3, 6)], partition=2)
            await kafka.caught_up(facts.group, facts.things)
            for running in (one, other):
                assert await running.answers("/readyz", status=200) == "ok"
    assert await database["things"].count_documents({}) == 66
    assert await letters_in(database, 0) == []
    praises = {dict(record.headers)["ce_id"]: record.value for record in await kafka.read(facts.praises)}
    assert len(praises) == 66
    assert set(troubles.handled.values()) == {1}, "the batch that ran was finished and committed before they moved"


@real
async def test_a_batch_that_does_not_end_in_time_is_abandoned_and_done_by_the_other(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles, database: Database
) -> None:
    """What it did is repeated; what it would have held, skipped or committed is not its business any more."""
    names = [f"thing-{n}" for n in range(30)]
    troubles.poison = {"thing-0"}
    await kafka.put_facts([facts.thing(name) for name in names])
    async with opens(batch_max_records=10, revoke_wait_s=0.3):
        await until(lambda: kafka.committed(facts.group, facts.things), lambda now: max(now.values()) == 30)
        (letter,) = await letters_in(database, 1)
        troubles.gate.clear()
        troubles.entered.clear()
        for partition in range(3):
            late = [facts.thing(f"late-{partition}-{n}") for n in range(5)]
            await kafka.put_facts([facts.thing(f"poison-{partition}"), *late], partition=partition)
        troubles.poison = {f"poison-{partition}" for partition in range(3)}
        await asyncio.wait_for(troubles.entered.wait(), timeout=20)
        async with opens(batch_max_records=10, revoke_wait_s=0.3):
            started = len(troubles.calls)
            await until(lambda: asyncio.sleep(0, len(troubles.calls)), lambda now: now > started)
            troubles.gate.set()
            await kafka.caught_up(facts.group, facts.things)
            letters = await letters_in(database, 4)
    assert letter in letters
    assert {d["detail"] for d in letters} == {f"RuntimeError: cannot praise {p}" for p in ("thing-0", *troubles.poison)}
    assert await database["things"].count_documents({}) == 29 + 15


# The process ends


@real
async def test_a_graceful_stop_finishes_the_batch_and_commits_it(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles
) -> None:
    names = [f"thing-{n}" for n in range(10)]
    await kafka.put_facts([facts.thing(name) for name in names])
    troubles.gate.clear()
    async with opens():
        await asyncio.wait_for(troubles.entered.wait(), timeout=20)
        asyncio.get_running_loop().call_later(0.3, troubles.gate.set)
    assert troubles.handled == dict.fromkeys(names, 1)
    await kafka.reaches(facts.group, facts.things, {0: 10})
    async with opens():
        await kafka.put_facts([facts.thing("after")])
        await kafka.caught_up(facts.group, facts.things)
    assert troubles.handled == dict.fromkeys([*names, "after"], 1), "nothing was done again"


@real
async def test_a_stop_in_the_middle_of_nothing_says_nothing_alarming(
    opens: Opens, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opens() as running:
        await running.answers("/readyz", status=200)
    assert '"level": "critical"' not in capsys.readouterr().out
    assert running.app.state.health.failed is None
