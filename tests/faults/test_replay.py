"""The topic is read again from its first record, by the live system: nothing changes."""

import asyncio
from collections.abc import Callable
from hashlib import blake2b

import bson
import pytest

from chassis.positions import Positions
from chassis.store import Database
from contracts import topics
from tests.faults.ground import Ground, restart, running
from tests.faults.portal import Ledger, Portal
from tests.faults.topicreader import read_whole
from tests.faults.violations import no_violations
from tests.faults.watch import eventually, watching

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

Portals = Callable[..., list[Portal]]
GROUP = "scoring.assessment"
REGIONS = 20


async def state(database: Database, cycle: str) -> dict[str, str]:
    """Collection → digest of all that is derived for a cycle."""
    digests: dict[str, str] = {}
    for name in ("history", "current", "summaries"):
        # A mark is no result: only what was derived under it is.
        documents = await database[name].find({"cycle": cycle}, {"raised": 0}).sort("_id", 1).to_list(None)
        assert documents, f"nothing in {name} to compare"
        digests[name] = blake2b(b"".join(map(bson.encode, documents))).hexdigest()
    return digests


async def replayed(ground: Ground) -> None:
    """Ask for the replay, and wait until every partition was begun anew."""
    positions = Positions(ground.scoring)
    await positions.ask_rewind(GROUP)
    asked = await positions.rewind_asked(GROUP)
    partitions = [f"{GROUP}/{topics.ASSESSMENT.name}/{number}" for number in range(topics.ASSESSMENT.partitions)]

    async def begun() -> bool:
        where = {"_id": {"$in": partitions}, "rewind": asked}
        return await ground.scoring["positions"].count_documents(where) == len(partitions)

    await eventually("every partition is begun anew", begun)


async def test_a_topic_read_again_changes_nothing(ground: Ground, portals: Portals, ledger: Ledger) -> None:
    assessment = ground.service("assessment")
    scorings = [ground.service("scoring", label=f"scoring-{n}") for n in (1, 2)]
    async with running(assessment, *scorings):
        crowd = portals(REGIONS, assessment)
        await asyncio.gather(*(portal.portray() for portal in crowd))
        await asyncio.gather(*(portal.correct() for portal in crowd))
        await no_violations(ground, ledger)
        before, sent = (
            await state(ground.scoring, crowd[0].cycle),
            len(await read_whole(ground.kafka.address, topics.SCORE)),
        )
        async with watching(ground):
            await replayed(ground)
            await no_violations(ground, ledger)
        again = len(await read_whole(ground.kafka.address, topics.SCORE)) - sent
        assert again >= ledger.commands, "the topic was not read again"
        assert await state(ground.scoring, crowd[0].cycle) == before
    print(f"\nreplay: {ledger.commands} facts read again, {again} scores sent again, no hash changed, violations 0")


async def test_a_replay_that_is_killed_among_live_traffic_changes_nothing(
    ground: Ground, portals: Portals, ledger: Ledger
) -> None:
    assessment = ground.service("assessment")
    scoring = ground.service("scoring", label="scoring-1", BATCH_MAX_RECORDS="5")
    async with running(assessment, scoring), watching(ground):
        crowd = portals(REGIONS, assessment)
        traffic = asyncio.gather(*(portal.portray() for portal in crowd))
        await replayed(ground)
        scoring.kill()
        await traffic
        await restart(scoring)
        await no_violations(ground, ledger)
