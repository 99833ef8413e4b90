"""What only a signer knows is nowhere afterwards: not in logs, traces, databases, topics, files, problems."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import bson
import httpx
import orjson
import psutil
import pytest

from chassis.settings import Settings
from chassis.store import connect
from contracts import topics
from lab import system
from lab.pki import passphrase
from tests.acting import DEADLINE_S, Tokens, key
from tests.committing import SEKDA, Committing, drafted
from tests.faults.topicreader import read_whole

pytestmark = pytest.mark.real

NIK = "3211987650432109"
TOTP = "918273"
WRONG = "kata-sandi-yang-salah-71"
SERVICES = ("assessment", "scoring", "commitment", "notify")


def forms_of(secret: str) -> list[bytes]:
    """As it is, in base64, and as hashes that would be as good as it: a NIK and a code are short."""
    raw = secret.encode()
    digests = [sha256(raw).hexdigest(), blake2b(raw, digest_size=16).hexdigest()]
    return [raw, b64encode(raw).rstrip(b"="), *(digest.encode() for digest in digests)]


async def everything(living_lab: system.System, settings: Settings) -> AsyncGenerator[tuple[str, bytes]]:
    """(where, content) of all that the Lab keeps or has said."""
    for log in living_lab.directory.rglob("log"):
        yield f"log {log.parent.name}", await asyncio.to_thread(log.read_bytes)
    for service in SERVICES:
        client, database = connect(settings, service=service)
        for name in await database.list_collection_names():
            async for document in database[name].find():
                yield f"{service}.{name}", bson.encode(document)
        client.close()
    for topic in topics.ALL:
        for record in await read_whole(settings.kafka_bootstrap_servers, topic):
            yield topic.name, record.value
    sink = living_lab.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    async with httpx.AsyncClient(base_url=sink, trust_env=False) as http:
        for trace_id in (await http.get("/traces")).json():
            yield "trace", (await http.get(f"/traces/{trace_id}")).content


def of_processes(running: system.System) -> Iterator[tuple[str, bytes]]:
    """Arguments and environment of the service and its children."""
    pid = running.parts["commitment"].pid
    assert pid
    service = psutil.Process(pid)
    for process in (service, *service.children(recursive=True)):
        yield f"process {process.pid}", orjson.dumps([process.cmdline(), process.environ()])


def of_files(own: Path) -> Iterator[tuple[str, bytes]]:
    """What lies in the service's folder and among temporary files."""
    for path in [*Path(gettempdir()).glob("tmp*"), *own.rglob("*")]:
        if path.is_file():
            yield str(path), path.read_bytes()


async def answers(one: Committing, region: str, sha: str) -> AsyncGenerator[httpx.Response]:
    """Every way to hand secrets in, right and wrong."""
    headers = one.sekda(region) | key() | {"Content-Type": "application/json"}

    async def raw(content: bytes) -> httpx.Response:
        return await one.client.post(f"{one.address}/signatures", content=content, headers=headers | key())

    secrets: dict[str, Any] = {"nik": NIK, "totp": TOTP}
    yield await one.sign(region, text_sha256=sha, passphrase=WRONG, **secrets)
    yield await one.sign(region, text_sha256=sha, provider="bsre", passphrase=WRONG, **secrets)
    yield await one.sign(region, text_sha256="0" * 64, passphrase=WRONG, **secrets)
    yield await raw(orjson.dumps({"provider": "local", "text_sha256": sha, "nik": int(NIK), "passphrase": WRONG}))
    yield await raw(
        f'{{"provider": "local", "text_sha256": "{sha}", "nik": {NIK}.5, "passphrase": "{WRONG}"}}'.encode()
    )
    yield await raw(f'{{"provider": "local", "nik": {NIK}{NIK}, "passphrase": "{WRONG}"}}'.encode())
    yield await raw(f'{{"provider": "local", "passphrase": "{WRONG}", "nik": "{NIK}"'.encode())
    yield await raw(orjson.dumps({"provider": "local", "text_sha256": sha, "passphrase": [WRONG], "nik": {"x": NIK}}))
    yield await raw(orjson.dumps({"provider": WRONG, "text_sha256": NIK, "passphrase": WRONG * 20}))
    yield await one.sign(region, text_sha256=sha, **secrets)


async def test_a_signers_secrets_are_found_nowhere(
    commitment: httpx.AsyncClient,
    tokens: Tokens,
    living_lab: system.System,
    settings: Settings,
    free_regions: Iterator[str],
) -> None:
    two = [next(free_regions), next(free_regions)]
    pki = living_lab.directory / "pki"
    one = await drafted(commitment, tokens, pki, two[0], two)
    sha = (await one.open())["text_sha256"]
    said = [answer async for answer in answers(one, two[0], sha)]
    assert [answer.status_code for answer in said[:3]] == [409, 422, 409]
    assert said[-1].status_code == 200, said[-1].text
    assert (await one.sign(two[1], text_sha256=sha)).status_code == 200
    async with asyncio.timeout(DEADLINE_S):
        while not (await one.get())["papers"][0]["sealed"]:
            await asyncio.sleep(0.2)

    right = passphrase(pki, two[0], SEKDA)
    sought = [form for secret in (right, WRONG, NIK, TOTP) for form in forms_of(secret)]
    found: list[str] = []
    looked_at = 0

    def look(where: str, content: bytes) -> None:
        nonlocal looked_at
        looked_at += len(content)
        found.extend(f"{where} holds {form!r}" for form in sought if form in content)

    for answer in said:
        look(f"answer {answer.status_code}", answer.content + str(answer.headers).encode())
    async for where, content in everything(living_lab, settings):
        look(where, content)
    for where, content in of_processes(living_lab):
        look(where, content)
    for where, content in await asyncio.to_thread(lambda: [*of_files(living_lab.directory / "commitment")]):
        look(where, content)
    print(f"looked through {looked_at} bytes")
    assert found == []
    assert looked_at > 100_000, "there was something to look through"
