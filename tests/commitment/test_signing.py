"""Over HTTP, Kafka and a real authority: drafted, opened, signed by all, sealed, verified by anybody."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from contracts import topics
from lab import system
from tests.acting import DEADLINE_S, Tokens, key
from tests.chassis.kafka import Kafka
from tests.commitment.test_walk import told_of
from tests.committing import Committing, drafted, text

pytestmark = pytest.mark.real


@pytest.fixture
def three(free_regions: Iterator[str]) -> list[str]:
    return [next(free_regions) for _ in range(3)]


@pytest.fixture
def draft(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, three: list[str]
) -> Callable[..., Any]:
    async def make(parties: list[str] | None = None, **asked: Any) -> Committing:
        pki = living_lab.directory / "pki"
        return await drafted(commitment, tokens, pki, three[0], three if parties is None else parties, **asked)

    return make


async def sealed(commitment: Committing) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = await commitment.get()
            if all(paper["sealed"] for paper in found["papers"]):
                return found
            await asyncio.sleep(0.1)


async def test_three_sign_at_once_it_enters_into_force_is_sealed_and_verified_by_anybody(
    draft: Callable[..., Any], three: list[str], commitment: httpx.AsyncClient, kafka: Kafka
) -> None:
    one: Committing = await draft()
    opened = await one.open()
    assert (opened["status"], opened["edition"], opened["draft"]) == ("open", 1, None)
    sha = opened["text_sha256"]
    answers = await asyncio.gather(*(one.sign(region, text_sha256=sha) for region in three))
    assert [answer.status_code for answer in answers] == [200, 200, 200], [a.text for a in answers]
    found = await sealed(one)
    assert (found["status"], found["in_force"]) == ("in_force", 1)
    assert {s["organization"] for s in found["signatures"]} == set(three)
    assert not any(s["for_law"] for s in found["signatures"])

    document = await commitment.get(f"{one.address}/document")
    assert document.headers["content-type"] == "application/pdf"
    verified = (await commitment.get(f"/verifications/{one.id}")).json()
    (paper,) = verified["documents"]
    assert (paper["verdict"], paper["valid"], paper["covers_whole_file"]) == ("valid", True, True)
    assert paper["sealed_at"]
    assert {s["region"] for s in paper["signatures"]} == set(three)

    async def verdict(pdf: bytes) -> tuple[str, str, bool]:
        answer = await commitment.post("/verifications", content=pdf, headers={"Content-Type": "application/pdf"})
        assert answer.status_code == 200, answer.text
        return answer.json()["verdict"], answer.json()["kinship"], answer.json()["valid"]

    assert await verdict(document.content) == ("valid", "present", True)
    assert await verdict(document.content + b"\n% hello\n") == ("not_whole", "changed", False)
    assert (await verdict(b"%PDF-1.7\n"))[0] == "unreadable"
    assert (await verdict(b"hello"))[0] == "not_a_pdf"

    told = await told_of(kafka, topics.COMMITMENT, one.id, 5)
    assert [name for name, _ in told] == ["commitment.opened", *["commitment.signed"] * 3, "commitment.entered_force"]
    assert [len(body["signatures"]) for _, body in told] == [0, 1, 2, 3, 3]


async def test_twenty_equal_requests_sign_once(draft: Callable[..., Any], three: list[str]) -> None:
    one: Committing = await draft()
    sha = (await one.open())["text_sha256"]
    same = key()
    answers = await asyncio.gather(*(one.sign(three[0], text_sha256=sha, idempotency=same) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}, [a.text for a in answers]
    assert len({answer.json()["signature"]["document_sha256"] for answer in answers}) == 1
    assert len((await one.get())["signatures"]) == 1
    again = await one.sign(three[0], text_sha256=sha)
    assert (again.status_code, again.json()["code"]) == (409, "already_signed")


async def test_who_may_not_sign(
    draft: Callable[..., Any], three: list[str], tokens: Tokens, commitment: httpx.AsyncClient
) -> None:
    one: Committing = await draft()
    sha = (await one.open())["text_sha256"]
    same = key()
    for _ in range(2):  # a repeat of the same request asks no second time
        wrong = await one.sign(three[0], text_sha256=sha, passphrase="wrong", idempotency=same)
        assert (wrong.status_code, wrong.json()["code"]) == (409, "wrong_passphrase")
    other = await one.sign(three[0], text_sha256="0" * 64)
    assert (other.status_code, other.json()["code"]) == (409, "other_text")
    stranger = await one.sign("32.11", text_sha256=sha)
    assert (stranger.status_code, stranger.json()["code"]) == (403, "forbidden")
    missing = await one.sign(three[0], text_sha256=sha, provider="bsre")
    assert (missing.status_code, missing.json()["code"]) == (422, "provider_missing")
    body = {"provider": "local", "text_sha256": sha, "passphrase": "x"}
    old = tokens(three[0], "koordinator-spbe", logged_in_s_ago=3_600)
    stale = await commitment.post(f"{one.address}/signatures", json=body, headers=old | key())
    assert (stale.status_code, stale.json()["code"]) == (401, "login_too_old")
    operator = tokens(three[0], "operator")
    clerk = await commitment.post(f"{one.address}/signatures", json=body, headers=operator | key())
    assert (clerk.status_code, clerk.json()["code"]) == (403, "forbidden")
    assert (await one.get())["signatures"] == []


async def test_the_text_is_fixed_once_opened_and_an_amendment_is_signed_again(
    draft: Callable[..., Any], three: list[str]
) -> None:
    one: Committing = await draft()
    sha = (await one.open())["text_sha256"]
    refused = await one.act("text", {"text": text(title="Naskah lain")})
    assert (refused.status_code, refused.json()["code"]) == (409, "text_fixed")
    for region in three:
        assert (await one.sign(region, text_sha256=sha)).status_code == 200
    assert (await one.get())["status"] == "in_force"
    assert (await one.act("amendment")).status_code == 200
    assert (await one.act("text", {"text": text(title="Edisi kedua")})).status_code == 200
    second = await one.open()
    assert (second["edition"], second["in_force"], second["status"], second["signatures"]) == (2, 1, "open", [])
    for region in three:
        answer = await one.sign(region, text_sha256=second["text_sha256"])
        assert answer.status_code == 200, answer.text
    found = await sealed(one)
    assert (found["status"], found["in_force"]) == ("in_force", 2)
    assert {s["edition"] for s in found["signatures"]} == {2}


async def test_joiners_use_reserved_places_then_sheets_of_their_own(
    draft: Callable[..., Any], three: list[str], free_regions: Iterator[str], commitment: httpx.AsyncClient
) -> None:
    first, later, last = next(free_regions), next(free_regions), next(free_regions)
    one: Committing = await draft(reserved=1, opening={"kinds": ["regency"]})
    sha = (await one.open())["text_sha256"]

    async def join(region: str) -> dict[str, Any]:
        answer = await commitment.post(f"{one.address}/accession", headers=one.sekda(region) | key())
        assert answer.status_code == 200, answer.text
        return next(p for p in answer.json()["parties"] if p["organization"] == region)

    place = await join(first)
    assert (place["block"], place["paper"], place["joined"]) == ("r01", "1", True)
    sheet = await join(later)
    assert (sheet["block"], sheet["paper"]) == ("a01", "a01")
    for region, block in ((first, "r01"), (later, "a01")):
        named = await commitment.post(
            f"{one.address}/parties/{block}/signatory",
            json={"name": "Sekretaris", "office": "Sekretaris Daerah", "authority_from": "2020-01-01"},
            headers=one.sekda(region) | key(),
        )
        assert named.status_code == 200, named.text
    for region in (*three, first, later):
        answer = await one.sign(region, text_sha256=sha)
        assert answer.status_code == 200, answer.text
    assert (await one.get())["status"] == "in_force"
    assert (await join(last))["block"] == "a02"
    found = (await commitment.get(f"/verifications/{one.id}")).json()
    assert {(d["paper"], d["verdict"]) for d in found["documents"]} == {("1", "valid"), ("a01", "valid")}
