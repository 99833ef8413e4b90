"""An accepted import reaches every region once, whoever dies while it is carried."""

import asyncio
import signal
from collections.abc import AsyncGenerator

import httpx
import pytest

from contracts import topics
from lab import official
from lab.parts import Part
from tests.acting import eventually, key
from tests.faults.ground import Ground, died, running
from tests.faults.topicreader import read_whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

RESULTS = 528
SETTLES_WITHIN_S = 60.0


@pytest.fixture(scope="module")
async def api(ground: Ground) -> AsyncGenerator[Part]:
    """Answers; what it accepts others carry. It knows the cycles once their publisher has told of them."""
    part = ground.service("scoring", label="scoring-api", ROLE="both")
    async with running(ground.service("assessment"), part):
        async with httpx.AsyncClient(base_url=part.address) as client:
            await eventually(lambda: client.get("/scoring/v1/summaries/spbe-2024"))
        await asyncio.to_thread(part.stop)
        part.env["ROLE"] = "api"
        await asyncio.to_thread(part.start)
        yield part


@pytest.mark.parametrize(
    ("point", "cycle"),
    [("cas.before:40", "spbe-2021"), ("cas.after:60", "spbe-2022"), ("relay.archived:5", "spbe-2024")],
)
async def test_a_worker_dies_while_it_carries_an_import(point: str, cycle: str, ground: Ground, api: Part) -> None:
    worker = ground.service("scoring", label="scoring-worker", ROLE="worker", CRASH_AT=point)
    decree = {"cycle": cycle, "decree": "Keputusan simulasi", "decree_date": "2025-01-02"}
    headers = ground.tokens("kemenpanrb", "peninjau") | {"Content-Type": "text/csv"} | key()
    async with httpx.AsyncClient(base_url=f"{api.address}/scoring/v1", timeout=30) as client:
        accepted = await client.post(
            "/official/imports", params=decree, content=official.table(official.DECREED[0]), headers=headers
        )
        assert accepted.status_code == 202, accepted.text
        worker.launch()
        assert await died(worker) == -signal.SIGKILL
        del worker.env["CRASH_AT"]
        async with running(worker), asyncio.timeout(SETTLES_WITHIN_S):
            status = accepted.headers["Location"].removeprefix("/scoring/v1")
            while (await client.get(status, headers=headers)).json()["status"] != "carried":
                await asyncio.sleep(0.2)
            while await _on_its_way(ground):
                await asyncio.sleep(0.2)
        summary = (await client.get(f"/summaries/{cycle}", params={"basis": "official"})).json()
    kept = await ground.scoring["current"].find({"cycle": cycle}, {"revision": 1}).to_list(None)
    assert (len(kept), {document["revision"] for document in kept}) == (RESULTS, {1})
    told = [r.id for r in await read_whole(ground.kafka.address, topics.PUBLIC) if r.aggregate.startswith(f"{cycle}:")]
    assert len(set(told)) == RESULTS, "each fact at least once, and none that is another"
    assert (summary["all"]["count"], summary["published_averages"][0]["index"]) == (RESULTS, "2.79")


async def _on_its_way(ground: Ground) -> int:
    """Pending facts, and summaries still to be derived."""
    pending = await ground.scoring["current"].count_documents({"outbox.0": {"$exists": True}})
    marks = [await ground.scoring[name].count_documents({"raised": {"$gt": 0}}) for name in ("summaries", "nations")]
    return pending + sum(marks)
