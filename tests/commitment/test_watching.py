"""Who a region names to watch over its commitment judges what is shown under it only where all know them. Over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from lab import system
from tests.acting import Headers, Tokens, key
from tests.committing import drafted, signatory, text

pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True)
class Shown:
    """A follow-up with a piece of evidence."""

    client: httpx.AsyncClient
    address: str
    evidence: str

    async def judge(self, who: Headers) -> httpx.Response:
        tag = (await self.client.get(self.address, headers=who)).headers["ETag"]
        headers = who | key() | {"If-Match": tag}
        asked = {"judgement": "accepted"}
        return await self.client.post(f"{self.address}/evidence/{self.evidence}/judgement", json=asked, headers=headers)

    async def link(self, who: Headers) -> str | None:
        return (await self.client.get(self.address, headers=who)).json()["evidence"][0]["url"]


@pytest.fixture
def two(free_regions: Iterator[str]) -> list[str]:
    return sorted(next(free_regions) for _ in range(2))


async def shown(
    client: httpx.AsyncClient, tokens: Tokens, lab: system.System, two: list[str], *, facilitator: str
) -> Shown:
    """Under a commitment that somebody facilitates."""
    one = await drafted(client, tokens, lab.directory / "pki", two[0], two, facilitator=facilitator)
    await one.open()
    who = one.sekda(two[0])
    asked = {"region": two[0], "commitment": one.id, "title": "Aplikasi", "unit": "Diskominfo", "due": "2030-01-01"}
    made = await client.post("/followups", json=asked, headers=who | key())
    address = f"/followups/{made.json()['followup']}"
    tag = (await client.get(address, headers=who)).headers["ETag"]
    link = {"title": "Tautan", "url": "https://contoh.go.id/aplikasi"}
    after = await client.post(f"{address}/evidence", json=link, headers=who | key() | {"If-Match": tag})
    assert after.status_code == 200, after.text
    return Shown(client, address, after.json()["evidence"][0]["evidence"])


async def test_a_listed_institution_sees_what_it_judges(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, two: list[str]
) -> None:
    one = await shown(commitment, tokens, living_lab, two, facilitator="bssn")
    assert await one.link(tokens("bssn", "pembina")) == "https://contoh.go.id/aplikasi"
    assert await one.link(tokens("wantiknas", "pembina")) is None
    judged = await one.judge(tokens("bssn", "pembina"))
    assert (judged.status_code, judged.json()["evidence"][0]["judgement"]) == (200, "accepted")


async def test_a_friend_that_nobody_knows_judges_nothing(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, two: list[str]
) -> None:
    one = await shown(commitment, tokens, living_lab, two, facilitator="lsm-uji")
    friend = tokens("lsm-uji", "pembina")
    assert await one.link(friend) is None
    assert (await one.judge(friend)).status_code == 403


@pytest.mark.parametrize(
    "changed",
    [{"period_from": "2024-01-01", "period_to": "2020-01-01"}, {"dated": 0}, {"dated": "2023-07-12T00:00:00Z"}],
    ids=str,
)
async def test_days_that_are_none_are_refused(
    commitment: httpx.AsyncClient, tokens: Tokens, two: list[str], changed: dict[str, object]
) -> None:
    who = tokens(two[0], "koordinator-spbe")
    body = {"text": text(**changed), "initiator": two[0], "facilitator": "kemendagri"}
    answer = await commitment.post("/commitments", json=body, headers=who | key())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_an_authority_that_ends_before_it_begins_is_refused(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, two: list[str]
) -> None:
    one = await drafted(commitment, tokens, living_lab.directory / "pki", two[0], two)
    asked = signatory(two[0]) | {"authority_to": "2019-01-01"}
    answer = await commitment.post(
        f"{one.address}/parties/p01/signatory", json=asked, headers=one.sekda(two[0]) | key()
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
