"""A topic gets more partitions; all of Kafka is lost; a backup that is older than Kafka is put back.

What is done here is what docs/operations.md says.

`mongodump` and `mongorestore` do not run here; the same is done through PyMongo: every document as its bytes.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import bson
import httpx
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from contracts import topics
from lab import system
from lab.cli import app
from tests.acting import Region, Tokens, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

REGION, CYCLE = "32.11", "spbe-2023"
RAW = CodecOptions(document_class=RawBSONDocument)


class Backups:
    """Of the databases of some services, as `mongodump` makes them and `mongorestore --drop` puts them back."""

    def __init__(self, uri: str, directory: Path) -> None:
        self._uri = uri
        self._directory = directory

    def take(self, services: Iterable[str]) -> None:
        with MongoClient[RawBSONDocument](self._uri, document_class=RawBSONDocument) as client:
            for service in services:
                for name in client[service].list_collection_names():
                    file = self._directory / service / f"{name}.bson"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(b"".join(one.raw for one in client[service][name].find()))

    def put_back(self, services: Iterable[str]) -> None:
        with MongoClient[RawBSONDocument](self._uri, document_class=RawBSONDocument) as client:
            for service in services:
                client.drop_database(service)
                for file in (self._directory / service).iterdir():
                    if found := bson.decode_all(file.read_bytes(), RAW):
                        client[service][file.stem].insert_many(found)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[system.System]:
    """A system of its own: its databases go back in time."""
    directory = tmp_path_factory.mktemp("restore")
    with pytest.MonkeyPatch.context() as patch:
        for variable in system.ADDRESS_VARIABLES.values():
            patch.delenv(variable, raising=False)
        yield system.up(directory, outlives_parent=False)
        system.down(directory)


@pytest.fixture
async def region(lab: system.System) -> AsyncGenerator[Region]:
    tokens = Tokens(lab.environment["OIDC_ISSUER"], lab.directory / "oidc" / "key.json")
    who = tokens(REGION, "penanggung-jawab", "koordinator-spbe")
    alone = httpx.Limits(max_keepalive_connections=0)  # services are restarted under them
    async with (
        httpx.AsyncClient(base_url=f"{lab.services['assessment']}/assessment/v1", timeout=20, limits=alone) as one,
        httpx.AsyncClient(base_url=f"{lab.services['scoring']}/scoring/v1", timeout=20, limits=alone) as other,
    ):
        yield Region(REGION, CYCLE, who, one, other)


@pytest.fixture
def backups(lab: system.System, tmp_path: Path) -> Backups:
    return Backups(lab.environment["MONGODB_URI"], tmp_path)


@pytest.fixture
def livinglab(lab: system.System) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        # Parts that a test began again are not those that `up` remembers.
        addresses = {name: lab.environment[name] for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI")}
        return CliRunner(env=addresses).invoke(app, [*arguments, "--directory", str(lab.directory)])

    return run


def stopped(lab: system.System, services: Iterable[str], act: Callable[[Iterable[str]], None]) -> None:
    """Do it while these services are down."""
    parts = [lab.parts[name] for name in services]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda part: part.stop(), parts))
        act(services)
        for part in parts:
            part.launch()
        list(pool.map(lambda part: part.wait_ready(), parts))


@pytest.fixture
def more_partitions() -> Generator[int]:
    """As a release would say it; the services, which ask the broker, are those of before."""
    before = topics.ASSESSMENT.partitions
    object.__setattr__(topics.ASSESSMENT, "partitions", 2 * before)
    yield 2 * before
    object.__setattr__(topics.ASSESSMENT, "partitions", before)


def partitions_and_revisions(bootstrap_servers: str, topic: str) -> tuple[int, list[tuple[int, int]]]:
    """How many partitions there are, and of the region's records (partition, revision) as they lie in each."""
    client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": str(uuid4()), "log_level": 0})
    try:
        there = client.list_topics(topic, timeout=15).topics[topic].partitions
        client.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in there])
        ends = {number: client.get_watermark_offsets(TopicPartition(topic, number), timeout=15)[1] for number in there}
        records: list[Message] = []
        while len(records) < sum(ends.values()):
            records += client.consume(100, timeout=15)
    finally:
        client.close()
    told = [
        (record.partition() or 0, dict(record.headers() or ())) for record in records if record.key() == REGION.encode()
    ]
    return len(there), [(partition, int(headers["ce_revision"] or 0)) for partition, headers in told]


def an_empty_kafka(lab: system.System) -> None:
    """Its disk is lost, and another one is started in its place."""
    broker = lab.parts["kafka"]
    broker.stop()
    shutil.rmtree(broker.directory / "data")
    broker.launch()
    broker.wait_ready()


async def filled_again(livinglab: Callable[..., Result]) -> None:
    """The commands of docs/operations.md."""
    for command in [("topics", "create"), *(("republish", topic.name, "--yes") for topic in topics.ALL)]:
        done = await asyncio.to_thread(livinglab, *command)
        assert done.exit_code == 0, done.output


async def correct(region: Region, level: int) -> None:
    for done in (await region.reopen(), await region.fill(level), await region.submit()):
        assert done.status_code == 200, done.text


async def readiness(lab: system.System, service: str, status: int) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await eventually(lambda: http.get(f"{lab.services[service]}/readyz"), status)).text


async def test_with_more_partitions_every_fact_lies_with_those_of_its_key_in_their_order(
    lab: system.System, region: Region, livinglab: Callable[..., Result], more_partitions: int
) -> None:
    assert (await region.open()).status_code == 201
    await region.fill(3)
    assert (await region.submit()).status_code == 200
    await correct(region, 1)
    before = await region.score(revision=3)
    listed = await asyncio.to_thread(livinglab, "topics", "list")
    assert listed.exit_code == 1, listed.output
    done = await asyncio.to_thread(livinglab, "republish", topics.ASSESSMENT.name, "--yes")
    assert done.exit_code == 0, done.output
    assert await region.score() == before
    await correct(region, 1)
    await region.score(revision=5)
    address = lab.environment["KAFKA_BOOTSTRAP_SERVERS"]
    count, lie = await asyncio.to_thread(partitions_and_revisions, address, topics.ASSESSMENT.name)
    assert count == more_partitions
    assert [revision for _, revision in lie] == [1, 2, 3, 4, 5]
    assert len({partition for partition, _ in lie}) == 1


async def test_all_of_kafka_is_lost_and_comes_back_out_of_the_databases(
    lab: system.System, region: Region, livinglab: Callable[..., Result]
) -> None:
    before = await region.score(revision=5)
    await asyncio.to_thread(an_empty_kafka, lab)
    await filled_again(livinglab)
    assert await region.score() == before
    await correct(region, 2)
    assert (await region.score(revision=7))["scores"]["self"]["index"]["shown"] == "2.00"
    for service in system.SERVICES:
        await readiness(lab, service, 200)


async def test_an_older_backup_of_one_service_is_found_and_all_of_one_moment_mend_it(
    lab: system.System, region: Region, backups: Backups, livinglab: Callable[..., Result]
) -> None:
    assert (await region.score(revision=7))["scores"]["self"]["index"]["shown"] == "2.00"
    backups.take(system.SERVICES)
    await correct(region, 4)
    assert (await region.score(revision=9))["scores"]["self"]["index"]["shown"] == "4.00"

    await asyncio.to_thread(stopped, lab, ["assessment"], backups.put_back)
    assert (await region.read())["revision"] == 7, "the database is older than what Kafka says"
    await correct(region, 3)
    assert "scoring.assessment (fork)" in await readiness(lab, "scoring", 503)
    assert f"two histories of {CYCLE}:{REGION}" in lab.parts["scoring"].log_tail(200)
    assert (await region.score())["scores"]["self"]["index"]["shown"] == "4.00", "nothing is derived of two histories"

    def all_of_one_moment(services: Iterable[str]) -> None:
        backups.put_back(services)
        an_empty_kafka(lab)
        assert livinglab("topics", "create").exit_code == 0, "services begin where there are topics"

    await asyncio.to_thread(stopped, lab, system.SERVICES, all_of_one_moment)
    await filled_again(livinglab)
    assert (await region.score())["revision"] == 7
    await correct(region, 5)
    assert (await region.score(revision=9))["scores"]["self"]["index"]["shown"] == "5.00"
    for service in system.SERVICES:
        await readiness(lab, service, 200)
