"""A database is restored from a backup that is too old: what others heard meanwhile is found, not overwritten.

The dump is made through the driver, document by document, as mongodump makes it; that program is not to be had here.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from chassis.store import Database, Document
from lab.parts import Part
from lab.parts.process import repository_root
from tests.acting import Region
from tests.faults.ground import Ground, a_ground, running

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

REGION, CYCLE = "32.11", "spbe-2023"
WITHIN_S = 60.0
Dump = dict[str, list[Document]]


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncGenerator[Ground]:
    async with a_ground(tmp_path / "ground") as fresh:
        yield fresh


async def dumped(database: Database) -> Dump:
    """All of it."""
    names = await database.list_collection_names()
    return {name: await database[name].find().to_list(None) for name in names}


async def restored(database: Database, dump: Dump) -> None:
    """As it was; indexes are made by the service that starts."""
    for name in await database.list_collection_names():
        await database[name].drop()
    for name, documents in dump.items():
        if documents:
            await database[name].insert_many(documents)


async def until(address: str, is_so: Callable[[httpx.Response], bool]) -> None:
    """The probe of a process says this."""
    deadline = monotonic() + WITHIN_S
    async with httpx.AsyncClient(trust_env=False) as http:
        while not is_so(answer := await http.get(f"{address}/readyz")):
            assert monotonic() < deadline, answer.text
            await asyncio.sleep(0.1)


async def changed(region: Region, level: int) -> str:
    """Opened anew, filled and submitted; the index of that, as scoring has it."""
    assert (await region.reopen()).status_code == 200
    await region.fill(level)
    submitted = await region.submit()
    assert submitted.status_code == 200
    score = await region.score(revision=submitted.json()["revision"])
    return score["scores"]["self"]["index"]["shown"]


def republish(ground: Ground) -> str:
    """The operator's command; what it printed."""
    told = {"KAFKA_BOOTSTRAP_SERVERS": ground.kafka.address, "MONGODB_URI": ground.mongod.address}
    command = [repository_root() / ".venv/bin/livinglab", "republish", "livinglab.assessment", "--yes"]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_backup_that_is_too_old_is_found_and_the_right_one_mends_it(ground: Ground) -> None:
    assessment, scoring = ground.service("assessment"), ground.service("scoring")
    headers = ground.tokens(REGION, "penanggung-jawab", "koordinator-spbe")
    async with AsyncExitStack() as stack:
        clients: dict[str, httpx.AsyncClient] = {}
        for part in (assessment, scoring):
            client = httpx.AsyncClient(base_url=f"{part.address}/{part.name}/v1", timeout=20, trust_env=False)
            clients[part.name] = await stack.enter_async_context(client)
        await stack.enter_async_context(running(assessment, scoring))
        region = Region(REGION, CYCLE, headers, clients["assessment"], clients["scoring"])
        await region.open()
        await region.fill(2)
        assert (await region.submit()).status_code == 200
        await region.score()
        old = await dumped(ground.assessment)
        assert await changed(region, 3) == "3.00"
        new = await dumped(ground.assessment)

        await restart(assessment, lambda: restored(ground.assessment, old))
        assert (await region.reopen()).status_code == 200
        await region.fill(5)  # another history of what scoring has heard of already
        assert (await region.submit()).status_code == 200
        await until(scoring.address, lambda told: told.status_code == 503 and "(fork)" in told.text)
        assert (await region.score())["scores"]["self"]["index"]["shown"] == "3.00", "nothing is derived from it"

        await restart(assessment, lambda: restored(ground.assessment, new))
        assert "facts published from archives" in await asyncio.to_thread(republish, ground)
        await restart(scoring, nothing)
        await until(scoring.address, lambda told: told.is_success)
        assert (await region.score())["scores"]["self"]["index"]["shown"] == "3.00"
        assert await changed(region, 4) == "4.00"


async def restart(part: Part, meanwhile: Callable[[], Any]) -> None:
    """Stopped as an operator does it, and started again."""
    await asyncio.to_thread(part.stop)
    await meanwhile()
    await asyncio.to_thread(part.start)


async def nothing() -> None:
    """Between stop and start."""
