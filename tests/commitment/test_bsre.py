"""Signing by BSrE: over HTTP, Kafka and a real authority, at a fake of its eSign Client (`bsre.py` says what it is).

What comes back in time and is what was asked for is counted, once. Whatever is not is held, until a person settles it:
the paper never takes anything up unseen, and each call at the fake is in the audit trail.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import bson
import httpx
import pytest

from chassis.settings import Settings
from chassis.store import Database, connect
from contracts.regions import Directory
from lab import system
from lab.parts import Part, service
from lab.pki import passphrase
from services.commitment.providers.local import certificates, slug
from tests.acting import DEADLINE_S, Headers, Tokens, eventually, key
from tests.commitment.bsre import PASSWORD, USER, Esign, esign_client, nik_of
from tests.commitment.test_signing import sealed
from tests.committing import SEKDA, Committing, drafted, signatory, text

pytestmark = pytest.mark.real

Entry = dict[str, Any]
READY_WITHIN_S = 60
"""One more beside a whole lab: 20 s were seen where others work on the same two cores."""


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


@contextmanager
def the_service(directory: Path, living_lab: system.System, fake: Part, **changes: str) -> Generator[Part]:
    """Commitment, as an agency would set it up that has an eSign Client: on the lab's database, beside its worker."""
    env = {
        **living_lab.environment,
        "ROLE": "api",
        "LOCAL_PKI": str(living_lab.directory / "pki"),
        "BSRE_ADDRESS": fake.address,
        "BSRE_USER": USER,
        "BSRE_PASSWORD": PASSWORD,
        "TRACES_SAMPLE_RATIO": "1",
        "LOG_LEVEL": "DEBUG",
        **changes,
    }
    part = service(directory, "commitment", env)
    part.launch()
    try:
        part.wait_ready(READY_WITHIN_S)
        yield part
    finally:
        part.stop()


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


@dataclass(frozen=True, slots=True)
class Case:
    """A commitment of three, opened, the first of whom signs by BSrE."""

    one: Committing
    parties: list[str]
    text_sha256: str
    kept: Database

    async def by_bsre(self, party: int = 0, idempotency: Headers | None = None, **asked: Any) -> httpx.Response:
        organization = self.parties[party]
        body = {"provider": "bsre", "nik": nik_of(organization), **asked}
        return await self.one.sign(organization, text_sha256=self.text_sha256, idempotency=idempotency, **body)

    async def settle(self, found: dict[str, str] | None = None, *, who: Headers | None = None) -> httpx.Response:
        headers = (who or self.one.facilitator) | key()
        body = {"block": "p01", "reason": "Ditanyakan ke pengelola layanan.", **(found or {})}
        return await self.one.client.post(f"{self.one.address}/settlement", json=body, headers=headers)

    async def hand_in(self, pdf: bytes) -> dict[str, str]:
        """A document, as the facilitator; as `settle` takes it."""
        headers = self.one.facilitator | key() | {"Content-Type": "application/pdf"}
        answer = await self.one.client.post("/files", content=pdf, headers=headers)
        assert answer.status_code == 201, answer.text
        return {name: answer.json()[name] for name in ("file", "sha256")}

    async def turns(self) -> list[tuple[str, str]]:
        """(block, state)"""
        room = (await self.one.client.get(f"{self.one.address}/room", headers=self.one.manager)).json()
        return [(turn["block"], turn["state"]) for turn in room["turns"]]

    async def trail(self) -> list[Entry]:
        """Since it was opened."""
        last = (await self.one.get())["trail"]["entries"]
        async with asyncio.timeout(DEADLINE_S):
            while len(found := await self.kept["audit"].find({"commitment": self.one.id}).to_list(None)) < last:
                await asyncio.sleep(0.02)
        found.sort(key=lambda entry: entry["seq"])
        opened = next(place for place, entry in enumerate(found) if entry["act"] == "opened")
        return found[opened + 1 :]

    async def acts(self) -> list[str]:
        return [entry["act"] for entry in await self.trail()]


def certified_name(organization: str) -> str:
    """As the authority wrote it."""
    return f"{SEKDA}, {Directory.load().get(organization).name}"


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


async def test_who_waits_in_line_signs_no_text_that_they_did_not_read(case: Case, esign: Esign) -> None:
    one = case.one
    await esign.fault(slow_s=5)
    first = asyncio.create_task(case.by_bsre())
    await esign.until_asked()
    second = asyncio.create_task(one.sign(case.parties[1], text_sha256=case.text_sha256))
    await asyncio.sleep(0.5)  # it waits behind the first
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
