"""Whatever order, repetition, delay or company: the same facts come to the same state, and publish the same bytes."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import pytest
from bson import encode

from chassis.intake import UnknownReference
from chassis.records import Fact
from chassis.settings import Settings
from chassis.store import Document, connect
from contracts.assessment import AssessmentState, Stage
from contracts.events import INSTRUMENT_PUBLISHED
from services.assessment import catalogue
from services.scoring.usecases import score as usecases
from tests.scoring.desk import Desk, Furnish, read, state, told

pytestmark = pytest.mark.real

REGIONS = ("32", "32.11", "32.12", "32.73", "31", "11.02")
REVISIONS = 7
TYPICAL_DELAY_S = 0.01


def histories(chance: random.Random) -> list[Fact[AssessmentState]]:
    """Of several assessments under two instruments: submitted, reopened, and again; other levels each time."""
    facts: list[Fact[AssessmentState]] = []
    for region in REGIONS:
        for cycle, instrument, asked in (("spbe-2023", "spbe-2020", 47), ("spbe-2019", "spbe-2018", 37)):
            for revision in range(1, REVISIONS + 1):
                levels = {Stage.SELF: {n: str(chance.randint(1, 5)) for n in range(1, asked + 1)}}
                if chance.random() < 0.3:
                    levels[Stage.DOCUMENT] = dict.fromkeys(range(1, chance.randint(2, asked + 1)), "4")
                if chance.random() < 0.2:
                    del levels[Stage.SELF][chance.randint(1, asked)]
                status = "submitted" if revision % 2 else "reopened"
                body = state(region, levels=levels, cycle=cycle, instrument=instrument, status=status)
                facts.append(told(body, revision=revision))
    return facts


async def learn(desk: Desk) -> None:
    """The instruments arrive."""
    facts = [read(INSTRUMENT_PUBLISHED, i, key=i.instrument) for i in catalogue.instruments()]
    await usecases.learn_instruments(facts, projection=desk.projection, letters=desk.letters)


async def work(desk: Desk, facts: Sequence[Fact[AssessmentState]], chance: random.Random) -> None:
    """Take them in batches of any size, at any pace; what cannot be handled yet comes again later."""
    left = list(facts)
    while left:
        size = chance.choice((1, 2, 5, 20, 50))
        batch, left = left[:size], left[size:]
        await asyncio.sleep(chance.random() * TYPICAL_DELAY_S)
        try:
            await desk.score(*batch)
        except UnknownReference:
            left += batch


async def settled(desk: Desk) -> Mapping[str, list[Document]]:
    """Everything that is kept, once the summaries have followed."""
    async with asyncio.timeout(30):
        while await desk.unsettled():
            await asyncio.sleep(0.02)
    return await desk.everything()


def digest(documents: Sequence[Document]) -> str:
    """Of the very bytes."""
    return blake2b(b"".join(map(encode, documents)), digest_size=16).hexdigest()


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_repetition_and_delay_in_two_workers_converges(
    furnish: Furnish, settings: Settings, seed: int
) -> None:
    chance = random.Random(seed)
    facts = histories(chance)

    # In order, once, alone.
    name = f"test-straight-{random.SystemRandom().randrange(10**9)}"
    client, straight = connect(settings.model_copy(update={"mongodb_database": name}), service="test")
    quiet = await Desk.furnish(straight, settings)
    await learn(quiet)
    await quiet.score(*facts)
    # And anyhow.
    one, other = await furnish(), await furnish()
    desks = (quiet, one, other)
    deriving = [asyncio.create_task(usecases.derive_summaries(desk.summaries)) for desk in desks]
    shares = [chance.sample(facts, len(facts)), chance.sample(facts, len(facts) * 2 // 3)]
    for share in shares:
        share += chance.choices(facts, k=20)
    late = asyncio.create_task(_later(chance.random() * 0.1, one))
    await asyncio.gather(late, *(work(desk, share, chance) for desk, share in zip((one, other), shares, strict=True)))

    expected, found = await settled(quiet), await settled(one)
    assert not any(task.done() for task in deriving)
    for task in deriving:
        task.cancel()
    await asyncio.gather(*deriving, return_exceptions=True)
    await client.drop_database(name)
    client.close()

    assert {name: len(documents) for name, documents in found.items()} == {
        name: len(documents) for name, documents in expected.items()
    }
    for collection, documents in expected.items():
        assert found[collection] == documents, collection
        # A summary is written in place, so that the order of its fields tells its history; the others are put whole.
        if collection in ("history", "current"):
            assert digest(found[collection]) == digest(documents), f"{collection}: equal, but not byte by byte"
    published = {(fact.envelope.id, fact.value) for desk in (one, other) for fact in desk.published.facts}
    assert published == {(fact.envelope.id, fact.value) for fact in quiet.published.facts}
    assert len(published) == len(facts)


async def _later(wait_s: float, desk: Desk) -> None:
    await asyncio.sleep(wait_s)
    await learn(desk)
