"""A worker is suspended in the middle of a batch, its partitions go to another, and it comes back."""

import asyncio
from collections.abc import Callable
from time import monotonic

import pytest

from contracts import topics
from tests.faults.ground import SESSION_TIMEOUT_MS, Ground, running
from tests.faults.portal import Ledger, Portal
from tests.faults.proxy import Proxy
from tests.faults.topicreader import read_whole
from tests.faults.violations import no_violations
from tests.faults.watch import eventually, watching

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

Portals = Callable[..., list[Portal]]
REGIONS = 8


async def test_a_worker_that_wakes_up_after_its_session_puts_no_view_back(
    ground: Ground, portals: Portals, ledger: Ledger
) -> None:
    async with Proxy(0, upstream=ground.mongod.port) as proxy:
        through = {"MONGODB_URI": f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"}
        assessment = ground.service("assessment")
        # Patient with its database, so that the write it was suspended in succeeds when it wakes up.
        first = ground.service("scoring", label="first", MONGODB_TIMEOUT_MS="90000", **through)
        second = ground.service("scoring", label="second")
        async with running(assessment, first):
            crowd = portals(REGIONS, assessment)
            for portal in crowd:
                await portal.open()
                await portal.fill()
            await no_violations(ground, ledger)
            proxy.hold(b"history\x00")
            await asyncio.gather(*(portal.submit() for portal in crowd))
            ids = [portal.id for portal in crowd]

            async def revision_of_all(revision: int) -> bool:
                where = {"_id": {"$in": ids}, "revision": revision}
                return await ground.scoring["current"].count_documents(where) == len(ids)

            async def written() -> bool:
                return await ground.scoring["history"].count_documents({"assessment": {"$in": ids}}) > 0

            await eventually("the first worker writes, and waits for the answer", written)
            first.suspend()
            suspended_at = monotonic()
            proxy.release()
            async with running(second), watching(ground) as watch:
                for portal in crowd:
                    await portal.correct()
                await eventually("the second worker takes over", lambda: revision_of_all(3))
                slept_s = monotonic() - suspended_at
                assert slept_s > SESSION_TIMEOUT_MS / 1000
                before = await sent_again(ground, ids)
                first.resume()
                await eventually("the zombie goes on where it was", lambda: _grows(ground, ids, before))
                await asyncio.gather(*(portal.correct() for portal in crowd))
                await no_violations(ground, ledger)
                again = await sent_again(ground, ids) - before
    print(
        f"\nzombie: suspended {slept_s:.0f} s, sent {again} old scores again when it woke up, "
        f"{watch.looks} looks at the views, none went back, violations 0"
    )


async def sent_again(ground: Ground, ids: list[str]) -> int:
    """How many records of these assessments' first scores there are."""
    records = await read_whole(ground.kafka.address, topics.SCORE)
    return sum(record.revision == 1 and record.aggregate in ids for record in records)


async def _grows(ground: Ground, ids: list[str], before: int) -> bool:
    return await sent_again(ground, ids) > before
