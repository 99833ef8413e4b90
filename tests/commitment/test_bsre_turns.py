"""What others may do while somebody signs by BSrE, and while nobody knows whether they did."""

import asyncio

import httpx
import pytest

from tests.acting import Headers, key
from tests.commitment.bsre import Esign, nik_of
from tests.commitment.case import Case
from tests.committing import text

pytestmark = pytest.mark.real


async def test_who_waits_in_line_signs_no_text_that_they_did_not_read(case: Case, esign: Esign) -> None:
    one = case.one
    await esign.fault(slow_s=5)
    first = asyncio.create_task(case.by_bsre())
    await esign.until_asked()
    second = asyncio.create_task(case.by_bsre(1))
    await esign.until_looked_up(nik_of(case.parties[1]))
    assert (await one.act("amendment")).status_code == 200
    assert (await one.act("text", {"text": text(title="Naskah yang sama sekali lain")})).status_code == 200
    amended = await one.open()
    assert amended["text_sha256"] != case.text_sha256
    assert (await first).status_code == 200
    refused = await second
    assert (refused.status_code, refused.json()["code"]) == (409, "other_text")
    assert (await one.get())["signatures"] == []


async def test_half_a_settlement_is_none(case: Case, esign: Esign) -> None:
    await esign.fault(drop_reply=True)
    assert (await case.by_bsre()).json()["code"] == "outcome_unknown"
    handed_in = await case.hand_in(await esign.last())
    for half in ({"file": handed_in["file"]}, {"sha256": handed_in["sha256"]}):
        assert (await case.settle(half)).status_code == 422
    assert [state for _, state in await case.turns()] == ["unknown"]


async def test_nothing_is_recorded_by_hand_over_an_unknown_signature_or_by_a_peer(case: Case, esign: Esign) -> None:
    one = case.one
    await esign.fault(drop_reply=True)
    assert (await case.by_bsre()).json()["code"] == "outcome_unknown"

    async def by_hand(block: str, who: Headers) -> httpx.Response:
        headers = who | key() | {"Content-Type": "application/pdf"}
        scan = (await one.client.post("/files", content=b"%PDF-1.7 pindaian uji", headers=headers)).json()
        body = {"block": block, "signed_on": "2023-07-12", "place": "Bali", "witnessed_by": "Saksi"}
        body |= {"file": scan["file"], "sha256": scan["sha256"]}
        return await one.client.post(f"{one.address}/signatures-by-hand", json=body, headers=who | key())

    held = await by_hand("p01", one.facilitator)
    assert (held.status_code, held.json()["code"]) == (409, "outcome_unknown")
    assert (await by_hand("p02", one.manager)).status_code == 403  # p02 was to sign electronically
    assert (await by_hand("p02", one.facilitator)).status_code == 200
