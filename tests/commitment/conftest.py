"""Papers that were signed and sealed under a development authority, made once; and a case at a fake of BSrE."""

from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from typing import Any

import httpx
import pytest

from chassis.settings import Settings
from chassis.store import Database, connect
from lab import system
from lab.parts import Part
from services.commitment.papers.seal import seal
from tests.acting import Tokens, key
from tests.commitment import pki
from tests.commitment.bsre import Esign, esign_client
from tests.commitment.case import Case, certified_name, the_service
from tests.commitment.pki import BLOCKS, ORGANIZATIONS, REVOKED
from tests.committing import drafted, signatory


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Generator[pki.Authority]:
    """Of nine offices, and of one whose certificate was revoked."""
    revoked = {"revocation": {"revoked-since": "2026-01-01T00:00:00+0000", "reason": "key_compromise"}}
    organizations = [*ORGANIZATIONS, REVOKED]
    with pki.authority(tmp_path_factory.mktemp("pki"), organizations, certified={REVOKED: revoked}) as one:
        yield one


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Generator[pki.Authority]:
    """Another authority, that nobody trusts here."""
    with pki.authority(tmp_path_factory.mktemp("stranger"), ["32.01"]) as one:
        yield one


@pytest.fixture(scope="session")
def paper() -> bytes:
    """With nine empty fields."""
    return pki.paper(BLOCKS)


@pytest.fixture(scope="session")
def signed(paper: bytes, authority: pki.Authority) -> Sequence[bytes]:
    """The paper after none, one … nine signatures."""
    revisions = [paper]
    for block, organization in zip(BLOCKS, ORGANIZATIONS, strict=True):
        revisions.append(authority.sign(revisions[-1], block, organization))
    return revisions


@pytest.fixture(scope="session")
def sealed(signed: Sequence[bytes], authority: pki.Authority) -> bytes:
    """The paper that all nine signed."""
    return seal(signed[-1], tsa_url=authority.tsa_url, roots=authority.roots)


@pytest.fixture(scope="module")
def fake(living_lab: system.System, tmp_path_factory: pytest.TempPathFactory) -> Generator[Part]:
    directory = tmp_path_factory.mktemp("bsre")
    tsa_url = living_lab.environment["TSA_URL"]
    with esign_client(directory, pki=living_lab.directory / "pki", tsa_url=tsa_url) as part:
        yield part


@pytest.fixture
async def esign(fake: Part) -> AsyncGenerator[Esign]:
    control = f"http://127.0.0.1:{fake.env['ESIGN_CONTROL_PORT']}"
    async with httpx.AsyncClient(base_url=control, trust_env=False) as client:
        asked = Esign(client)
        asked.before = len(await asked.calls())
        yield asked


@pytest.fixture(scope="module")
def own(living_lab: system.System, fake: Part, tmp_path_factory: pytest.TempPathFactory) -> Generator[Part]:
    with the_service(tmp_path_factory.mktemp("commitment"), living_lab, fake) as part:
        yield part


@pytest.fixture
async def client(own: Part) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{own.address}/commitment/v1", timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
async def kept(settings: Settings) -> AsyncGenerator[Database]:
    """The service's database."""
    connection, database = connect(settings.model_copy(update={"mongodb_database": "commitment"}), service="test")
    yield database
    connection.close()


@pytest.fixture
async def begin(
    client: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, free_regions: Iterator[str], kept: Database
) -> Callable[..., Any]:
    async def made(at: httpx.AsyncClient = client) -> Case:
        parties = [next(free_regions) for _ in range(3)]
        one = await drafted(at, tokens, living_lab.directory / "pki", parties[0], parties)
        named = (await one.get())["parties"]
        for party in parties[:2]:
            block = next(each["block"] for each in named if each["organization"] == party)
            answer = await at.post(
                f"{one.address}/parties/{block}/signatory",
                json={**signatory(party), "name": f"Dr. H. {certified_name(party).upper()}, S.T., M.M."},
                headers=one.sekda(party) | key(),
            )
            assert answer.status_code == 200, answer.text
        return Case(one, parties, (await one.open())["text_sha256"], kept)

    return made


@pytest.fixture
async def case(begin: Callable[..., Any]) -> Case:
    return await begin()
