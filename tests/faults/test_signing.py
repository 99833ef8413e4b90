"""`kill -9` while somebody signs, while a paper is sealed, while a pledge is fulfilled: nothing twice, nothing lost."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import orjson
import psutil
import pytest
from pydantic import SecretStr

from chassis.clock import now
from chassis.settings import Settings
from chassis.store import Database, connect
from contracts import topics
from contracts.fact import TYPE_PREFIX
from lab import audit
from lab.keys import commitment_settings
from lab.parts import Part, authority
from tests.acting import Headers, eventually, key
from tests.committing import Committing, drafted
from tests.faults.ground import Ground, died, restart, running
from tests.faults.test_crash_points import restarted_at
from tests.faults.topicreader import read_whole

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

TURN_S = 3.0
SETTLES_WITHIN_S = 60.0
WHILE_SIGNING = [
    "sign.claimed",
    "sign.answered",
    "sign.kept",
    "cas.before:2",
    "cas.after:2",
    "relay.acknowledged",
    "relay.archived",
    "relay.pulled",
]
"""Of a signature the first write takes the turn, the second counts it."""
WHILE_HEARING = ["cas.before", "cas.after", "batch.handled", "relay.acknowledged", "relay.archived"]


@pytest.fixture(scope="module")
async def pki(ground: Ground) -> AsyncGenerator[Part]:
    part = authority(ground.directory / "pki")
    async with running(part):
        yield part


@pytest.fixture(scope="module")
async def commitment(ground: Ground, pki: Part) -> AsyncGenerator[Part]:
    own = commitment_settings(ground.directory / "commitment-keys", pki=pki.directory)
    part = ground.service("commitment", TSA_URL=pki.address, TURN_S=str(TURN_S), AUDIT_EVERY_S="3600", **{
        name: value for name, value in own.items() if name != "AUDIT_EVERY_S"
    })  # fmt: skip
    async with running(part):
        yield part


@pytest.fixture
async def database(ground: Ground) -> AsyncGenerator[Database]:
    settings = Settings(mongodb_uri=SecretStr(ground.mongod.address), mongodb_timeout_ms=20_000)
    client, database = connect(settings, service="commitment")
    yield database
    client.close()


@pytest.fixture
async def client(commitment: Part) -> AsyncGenerator[httpx.AsyncClient]:
    """No connection is kept: what is at the other end dies."""
    limits = httpx.Limits(max_keepalive_connections=0)
    address = f"{commitment.address}/commitment/v1"
    async with httpx.AsyncClient(base_url=address, timeout=30, limits=limits, trust_env=False) as http:
        yield http


async def opened(ground: Ground, client: httpx.AsyncClient, parties: list[str]) -> tuple[Committing, str]:
    one = await drafted(client, ground.tokens, ground.directory / "pki", parties[0], parties)
    return one, (await one.open())["text_sha256"]


async def signs(one: Committing, region: str, sha: str) -> dict[str, Any]:
    """As a portal does: the same request again, until it is answered."""
    same = key()
    async with asyncio.timeout(SETTLES_WITHIN_S):
        while True:
            try:
                answer = await one.sign(region, text_sha256=sha, idempotency=same)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code == 200:
                return answer.json()["signature"]
            assert answer.status_code in (409, 503), answer.text
            assert answer.json()["code"] != "already_signed", "its own signature was not recognised"
            await asyncio.sleep(0.2)


async def nothing_twice_nothing_lost(ground: Ground, one: Committing, *, signatures: int) -> None:
    """The document, its trail, the archive and the topic say the same; all of it adds up."""
    async with asyncio.timeout(SETTLES_WITHIN_S):
        while not all(paper["sealed"] for paper in (await one.get())["papers"]):
            await asyncio.sleep(0.2)
    found = await one.get()
    assert len(found["signatures"]) == signatures
    (document,) = (await one.client.get(f"/verifications/{one.id}")).json()["documents"]
    assert (document["verdict"], len(document["signatures"])) == ("valid", signatures)
    entries = (await one.client.get(f"{one.address}/trail", headers=one.manager)).json()["items"]
    counted = Counter(entry["act"] for entry in entries)
    assert (counted["signed"], counted["sealed"], counted["entered_force"]) == (signatures, 1, 1)
    mongodb = SecretStr(ground.mongod.address)
    settings = Settings(mongodb_uri=mongodb, kafka_bootstrap_servers=ground.kafka.address, mongodb_timeout_ms=20_000)
    async with asyncio.timeout(SETTLES_WITHIN_S):
        while (audited := await audit.verify(settings, keys=[], kafka=True)).findings:
            await asyncio.sleep(0.5)  # what is filed is on its way
    assert audited.findings == []
    told = [r for r in await read_whole(ground.kafka.address, topics.COMMITMENT) if r.aggregate == one.id]
    by_id = {record.id: record for record in told}
    names = Counter(record.type.removeprefix(TYPE_PREFIX) for record in by_id.values())
    assert names["commitment.signed.v1"] == signatures
    assert names["commitment.entered_force.v1"] == 1


def children_of(part: Part) -> list[psutil.Process]:
    assert part.pid
    return psutil.Process(part.pid).children(recursive=True)


@pytest.mark.parametrize(("number", "point"), [*enumerate(WHILE_SIGNING)])
async def test_the_service_dies_while_somebody_signs(
    number: int, point: str, ground: Ground, commitment: Part, client: httpx.AsyncClient
) -> None:
    parties = [f"32.{n:02}" for n in (2 * number + 1, 2 * number + 2)]
    one, sha = await opened(ground, client, parties)
    await restarted_at(commitment, point)
    await asyncio.to_thread(commitment.wait_ready)
    children = children_of(commitment)
    signing = asyncio.create_task(signs(one, parties[0], sha))
    assert await died(commitment) == -signal.SIGKILL
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 20)
    assert children
    assert alive == [], "children outlive the service"
    await restart(commitment)
    first = await signing
    second = await signs(one, parties[1], sha)
    assert first["document_sha256"] != second["document_sha256"]
    await nothing_twice_nothing_lost(ground, one, signatures=2)


async def test_the_service_dies_while_it_seals(ground: Ground, commitment: Part, client: httpx.AsyncClient) -> None:
    parties = ["33.01", "33.02"]
    one, sha = await opened(ground, client, parties)
    await restarted_at(commitment, "seal.kept")
    await asyncio.to_thread(commitment.wait_ready)
    for region in parties:
        await signs(one, region, sha)
    assert await died(commitment) == -signal.SIGKILL
    await restart(commitment)
    await nothing_twice_nothing_lost(ground, one, signatures=2)


async def test_two_processes_sign_one_paper_and_one_of_them_dies(
    ground: Ground, commitment: Part, client: httpx.AsyncClient
) -> None:
    parties = [f"33.{n:02}" for n in range(11, 15)]
    one, sha = await opened(ground, client, parties)
    told = {name: value for name, value in commitment.env.items() if name != "METRICS_PORT"}
    other = ground.service("commitment", label="commitment-2", **told, CRASH_AT="sign.kept:2")
    async with (
        running(other),
        httpx.AsyncClient(
            base_url=f"{other.address}/commitment/v1", timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
        ) as elsewhere,
    ):
        there = replace(one, client=elsewhere)
        here = [asyncio.create_task(signs(one, region, sha)) for region in parties[:2]]
        dying = [asyncio.create_task(signs(there, region, sha)) for region in parties[2:]]
        assert await died(other) == -signal.SIGKILL
        await restart(other)
        await asyncio.gather(*here, *dying)
    await nothing_twice_nothing_lost(ground, one, signatures=4)


@pytest.fixture(scope="module")
async def scoring(ground: Ground) -> AsyncGenerator[Part]:
    part = ground.service("scoring")
    async with running(ground.service("assessment"), part):
        async with httpx.AsyncClient(base_url=part.address) as http:
            await eventually(lambda: http.get("/scoring/v1/summaries/spbe-2024"))
        yield part


async def decree(ground: Ground, scoring: Part, cycle: str, region: str, index: float) -> None:
    asked = {"cycle": cycle, "decree": "Keputusan simulasi", "decree_date": "2025-01-02"}
    row = {"kode": region, "tahun": int(cycle[-4:]), "nilai": {"indeks": index}}
    headers: Headers = ground.tokens("kemenpanrb", "peninjau") | key()
    async with httpx.AsyncClient(base_url=f"{scoring.address}/scoring/v1", timeout=30) as http:
        answer = await http.post("/official/imports", params=asked, json=[row], headers=headers)
        assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(("number", "point"), [*enumerate(WHILE_HEARING)])
async def test_the_service_dies_while_a_pledge_is_fulfilled(
    number: int,
    point: str,
    ground: Ground,
    commitment: Part,
    client: httpx.AsyncClient,
    scoring: Part,
    database: Database,
) -> None:
    region = f"35.{number + 1:02}"
    pledge = {
        "region": region,
        "instrument": "spbe-2020",
        "index": "3.0",
        "pledged_on": "2023-07-12",
        "due": "2099-01-01",
    }
    who = ground.tokens(region, "koordinator-spbe")
    made = await eventually(lambda: client.post("/pledges", json=pledge, headers=who | key()), 201)
    address = f"/pledges/{made.json()['pledge']}"

    async def told() -> dict[str, tuple[str, str]]:
        records = await read_whole(ground.kafka.address, topics.PLEDGE)
        return {
            r.id: (r.type.removeprefix(TYPE_PREFIX).removesuffix(".v1"), orjson.loads(r.value)["status"])
            for r in records
            if address.endswith(r.aggregate)
        }

    async with asyncio.timeout(SETTLES_WITHIN_S):
        # It is looked at once more a moment after it was made: then it rests until its day.
        resting = {"_id": made.json()["pledge"], "due_at": {"$gt": now() + timedelta(days=1)}, "outbox": []}
        while not await database["pledges"].find_one(resting):
            await asyncio.sleep(0.2)
    await restarted_at(commitment, point)
    await decree(ground, scoring, "spbe-2024", region, 3.5)
    assert await died(commitment) == -signal.SIGKILL
    await restart(commitment)
    async with asyncio.timeout(SETTLES_WITHIN_S):
        while ("pledge.fulfilled", "fulfilled") not in (found := await told()).values():
            await asyncio.sleep(0.2)
    counted = Counter(name for name, _ in found.values())
    assert counted["pledge.fulfilled"] == 1, "once in effect"
    assert (await client.get(address)).json()["status"] == "fulfilled"
