"""Signing by BSrE: over HTTP, Kafka and a real authority, at a fake of its eSign Client (`bsre.py` says what it is).

What comes back in time and is what was asked for is counted, once. Whatever is not is held, until a person settles it:
the paper never takes anything up unseen, and each call at the fake is in the audit trail.
"""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import bson
import httpx
import pytest

from chassis.store import Database
from lab import system
from lab.parts import Part
from lab.pki import passphrase
from services.commitment.providers.local import certificates, slug
from tests.acting import eventually, key
from tests.commitment.bsre import PASSWORD, Esign, nik_of
from tests.commitment.case import Case, the_service
from tests.commitment.test_signing import sealed
from tests.committing import SEKDA, signatory

pytestmark = pytest.mark.real


async def check_each_call_is_told(case: Case, esign: Esign, calls: int) -> None:
    """What the fake was asked to sign is what the trail says was sent, no more and no less."""
    asked = [call["sha256"] for call in await esign.calls()]
    assert asked == [entry["about"]["before_sha256"] for entry in await case.trail() if entry["act"] == "sent"]
    assert len(asked) == calls


async def test_by_nik_and_passphrase_beside_local_ones_and_verified_by_anybody(
    case: Case, esign: Esign, client: httpx.AsyncClient
) -> None:
    for party in (0, 1):
        answer = await case.by_bsre(party)
        assert answer.status_code == 200, answer.text
        told = answer.json()["signature"]
        assert (told["provider"], told["for_law"], told["organization"]) == ("bsre", True, case.parties[party])
    assert (await case.one.sign(case.parties[2], text_sha256=case.text_sha256)).status_code == 200
    assert (await case.acts())[:6] == ["sent", "signed", "sent", "signed", "signed", "entered_force"]
    await check_each_call_is_told(case, esign, 2)

    await sealed(case.one)
    (document,) = (await client.get(f"/verifications/{case.one.id}")).json()["documents"]
    assert (document["verdict"], document["valid"], len(document["signatures"])) == ("valid", True, 3)


async def test_whoever_is_pinned_by_certificate_may_be_named_otherwise(
    case: Case, esign: Esign, living_lab: system.System
) -> None:
    one, party = case.one, case.parties[2]  # named as no certificate is
    refused = await case.by_bsre(2)
    assert (refused.status_code, refused.json()["code"]) == (409, "other_person")
    (certificate,) = certificates(living_lab.directory / "pki" / "signers" / party / f"{slug(SEKDA)}.pem")
    answer = await one.client.post(
        f"{one.address}/parties/p03/signatory",
        json={**signatory(party), "certificate_sha256": sha256(certificate).hexdigest()},
        headers=one.sekda(party) | key(),
    )
    assert answer.status_code == 200, answer.text
    answer = await case.by_bsre(2)
    assert answer.status_code == 200, answer.text
    await check_each_call_is_told(case, esign, 1)


async def test_nothing_is_sent_for_whom_it_does_not_know_or_who_is_somebody_else(case: Case, esign: Esign) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"nik": nik_of("nobody")}, "not_registered"),
        ({"nik": None}, "not_registered"),
        ({"nik": nik_of(case.parties[1])}, "other_person"),
        ({"passphrase": None}, "wrong_passphrase"),
    ]
    for asked, code in refusals:
        refused = await case.by_bsre(**asked)
        assert (refused.status_code, refused.json()["code"]) == (409, code), refused.text
    assert (await case.turns(), await case.acts()) == ([], [])
    await check_each_call_is_told(case, esign, 0)


async def test_a_wrong_passphrase_is_asked_once_however_often_it_is_repeated(case: Case, esign: Esign) -> None:
    same = key()
    for _ in range(3):
        wrong = await case.by_bsre(idempotency=same, passphrase="salah")
        assert (wrong.status_code, wrong.json()["code"]) == (409, "wrong_passphrase")
    await check_each_call_is_told(case, esign, 1)
    assert (await case.turns(), await case.acts()) == ([], ["sent", "refused"])
    assert (await case.by_bsre()).status_code == 200
    assert (await case.acts()) == ["sent", "refused", "sent", "signed"]
    await check_each_call_is_told(case, esign, 2)


@pytest.mark.parametrize(
    ("status", "answered"), [(401, (409, "signing_refused")), (503, (503, "provider_unavailable"))]
)
async def test_a_definite_no_frees_the_turn(case: Case, esign: Esign, status: int, answered: tuple[int, str]) -> None:
    await esign.fault(status=status)
    refused = await case.by_bsre()
    assert (refused.status_code, refused.json()["code"]) == answered
    assert (await case.turns(), await case.acts()) == ([], ["sent", "refused"])
    assert (await case.by_bsre()).status_code == 200
    await check_each_call_is_told(case, esign, 2)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"drop_reply": True}, "no_answer"),
        ({"error_page": 200}, "no_document"),
        ({"error_page": 502}, "status_502"),
        ({"status": 500}, "status_500"),
        ({"other_document": True}, "not_the_bytes_sent"),
        ({"break_earlier": True}, "not_the_bytes_sent"),
        ({"two_signatures": True}, "signatures_added"),
        ({"wrong_signer": True}, "another_signer"),
    ],
)
async def test_what_is_no_clear_answer_is_held_until_it_is_settled_then_signed_again(
    case: Case, esign: Esign, fault: dict[str, Any], why: str
) -> None:
    one = case.one
    papers = (await one.get())["papers"]
    await esign.fault(**fault)
    same = key()
    for again in (same, same, None):  # the request, its repeat, and another one of the same signer
        lost = await case.by_bsre(idempotency=again)
        assert (lost.status_code, lost.json()["code"]) == (409, "outcome_unknown"), lost.text
    for next_one in (case.by_bsre(1), one.sign(case.parties[2], text_sha256=case.text_sha256)):
        held = await next_one
        assert (held.status_code, held.json()["code"]) == (409, "outcome_unknown"), held.text
    found = await one.get()
    assert (found["signatures"], found["papers"], await case.turns()) == ([], papers, [("p01", "unknown")])
    assert [(entry["act"], entry["about"].get("why")) for entry in await case.trail()] == [
        ("sent", None),
        ("unknown", why),
    ]
    await check_each_call_is_told(case, esign, 1)

    settled = await case.settle()
    assert settled.status_code == 200, settled.text
    assert (await case.by_bsre()).status_code == 200
    assert await case.acts() == ["sent", "unknown", "settled", "sent", "signed"]
    assert [signed["block"] for signed in (await one.get())["signatures"]] == ["p01"]
    await check_each_call_is_told(case, esign, 2)


async def test_the_facilitator_brings_the_document_whose_answer_was_lost(case: Case, esign: Esign) -> None:
    nothing = await case.settle()
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_settle")
    await esign.fault(drop_reply=True)
    assert (await case.by_bsre()).json()["code"] == "outcome_unknown"
    signed = await esign.last()

    not_theirs = await case.settle(who=case.one.manager)
    assert (not_theirs.status_code, not_theirs.json()["code"]) == (403, "forbidden")
    for wrong, why in ((signed + b"\n% more\n", "trailing_bytes"), (b"%PDF-1.7\nsomething else", "not_the_bytes_sent")):
        refused = await case.settle(await case.hand_in(wrong))
        told = refused.json()
        assert (refused.status_code, told["code"], told["reason_code"]) == (422, "not_that_document", why), told
    assert await case.turns() == [("p01", "unknown")]

    settled = await case.settle(await case.hand_in(signed))
    assert settled.status_code == 200, settled.text
    (signature,) = settled.json()["signatures"]
    assert signature["document_sha256"] == sha256(signed).hexdigest()
    assert (await case.one.client.get(f"{case.one.address}/document")).content == signed
    again = await case.by_bsre()
    assert (again.status_code, again.json()["code"]) == (409, "already_signed")
    assert (await case.by_bsre(1)).status_code == 200
    assert await case.acts() == ["sent", "unknown", "signed", "sent", "signed"]
    await check_each_call_is_told(case, esign, 2)


async def test_validation_data_after_the_signature_is_accepted_and_named(case: Case, esign: Esign) -> None:
    await esign.fault(dss_revision=True)
    assert (await case.by_bsre()).status_code == 200
    assert (await case.by_bsre(1)).status_code == 200
    first, second = [entry["about"]["trailing"] for entry in await case.trail() if entry["act"] == "signed"]
    assert (first > 0, second) == (True, 0)
    await check_each_call_is_told(case, esign, 2)


async def test_who_waits_longer_than_a_signer_does_finds_the_signature_later(
    begin: Callable[..., Any], esign: Esign, living_lab: system.System, fake: Part, tmp_path: Path
) -> None:
    with the_service(tmp_path, living_lab, fake, SIGNER_WAITS_S="1") as part:
        address = f"{part.address}/commitment/v1"
        async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as client:
            case: Case = await begin(client)
            await esign.fault(slow_s=5)
            same = key()
            answer = await case.by_bsre(idempotency=same)
            assert (answer.status_code, answer.json()) == (202, {"pending": True, "signature": None})
            assert await case.turns() == [("p01", "sending")]
            repeat = await case.by_bsre(idempotency=same)  # waits for what is under way, asks nobody
            assert (repeat.status_code, repeat.json()["pending"]) == (200, False), repeat.text
            assert [signed["block"] for signed in (await case.one.get())["signatures"]] == ["p01"]
            assert await case.acts() == ["sent", "signed"]
            await check_each_call_is_told(case, esign, 1)


async def test_what_only_the_signer_knows_is_written_nowhere(
    case: Case, esign: Esign, own: Part, living_lab: system.System, kept: Database
) -> None:
    answers = [await case.by_bsre(passphrase="salah-sekali-4711"), await case.by_bsre(email="a@uji.example", nik=None)]
    await esign.fault(drop_reply=True)
    answers.append(await case.by_bsre())
    assert [a.json()["code"] for a in answers] == ["wrong_passphrase", "not_registered", "outcome_unknown"]
    secrets = (
        nik_of(case.parties[0]),
        passphrase(case.one.pki, case.parties[0], SEKDA),
        "salah-sekali-4711",
        "a@uji.example",
        PASSWORD,
    )

    def check(where: str, told: bytes) -> None:
        assert not [secret for secret in secrets if secret.encode() in told], where

    for answer in answers:
        check("a problem", answer.content)
    await case.trail()  # what was to be filed is filed
    for name in await kept.list_collection_names():
        for document in await kept[name].find({}).to_list(None):
            check(name, bson.encode(document))
    log = own.log.read_bytes()
    assert b"no usable answer of a signing provider" in log
    check("the log", log)
    async with httpx.AsyncClient(
        base_url=living_lab.environment["OTEL_EXPORTER_OTLP_ENDPOINT"], trust_env=False
    ) as sink:
        for answer in answers:
            spans = await eventually(partial(sink.get, f"/traces/{answer.json()['trace_id']}"))
            check("spans", spans.content)
