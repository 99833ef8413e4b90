"""Papers that were signed and sealed under a development authority, made once."""

from collections.abc import Generator, Sequence

import pytest

from services.commitment.papers.seal import seal
from tests.commitment import pki
from tests.commitment.pki import BLOCKS, ORGANIZATIONS, REVOKED


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
