"""Whatever an eSign Client says, or does not: a clear no, a document, or an outcome that is unknown; nothing else."""

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from chassis.problem import Problem
from contracts.commitment import Capacity
from services.commitment.domain.signatory import Signatory
from services.commitment.papers.paper import Stamp
from services.commitment.papers.sign import Request
from services.commitment.providers.bsre import CHAIN, SIGN, STATUS, Bsre, same_person
from services.commitment.providers.port import NoAnswer, Secret

NIK = "0000120780000001"  # no province has the number 00
SECRET = Secret(nik=NIK, passphrase="rahasia-uji", totp=None)
NAME = "Sekretaris Daerah"
SIGNATORY = Signatory(
    name=NAME, office=NAME, capacity=Capacity.DEFINITIVE, authority_from=date(2020, 1, 1), authority_to=None
)
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Open = Callable[..., Awaitable[Bsre]]


@pytest.fixture
async def open_() -> AsyncGenerator[Open]:
    """A provider, and a server that answers it as told."""
    opened: list[Bsre] = []
    servers: list[TestServer] = []

    async def make(answer: Answering, *, answers_within_s: float = 20) -> Bsre:
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", answer)
        server = TestServer(application)
        servers.append(server)
        await server.start_server(access_log=None)
        opened.append(
            Bsre(f"http://127.0.0.1:{server.port}", user="aplikasi", password="x:y", answers_within_s=answers_within_s)
        )
        return opened[-1]

    yield make
    for provider in opened:
        await provider.close()
    for server in servers:
        await server.close()


def wanted(pdf: bytes = b"%PDF-1.7 to be signed") -> Request:
    stamp = Stamp(heading="", lines=(), note="")
    return Request(pdf=pdf, field="p01", reason="Menyetujui", location="Bandung", name=NAME, stamp=stamp)


async def signed(provider: Bsre, asked: Request | None = None) -> bytes:
    return await provider.sign(asked or wanted(), "32.11", NAME, SECRET)


def saying(status: int, said: object = None, *, text: str | None = None) -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        if text is not None:
            return web.Response(status=status, text=text, content_type="text/html")
        return web.json_response(said, status=status)

    return answer


def its_own(status: int) -> dict[str, Any]:
    """Its general error."""
    return {"timestamp": "2026-09-17T10:00:00", "status": status, "error": "Internal Server Error", "path": SIGN}


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (400, {"status_code": 2031, "error": "Passphrase anda salah"}, "wrong_passphrase"),
        (400, {"status_code": "2031"}, "wrong_passphrase"),
        (400, {"status_code": 2011, "error": "belum terdaftar"}, "not_registered"),
        (400, {"status_code": 2021, "error": "tanpa sertifikat"}, "no_certificate"),
        (401, its_own(401), "signing_refused"),
        (403, its_own(403), "signing_refused"),
        (429, its_own(429), "provider_unavailable"),
        (503, its_own(503), "provider_unavailable"),
    ],
)
async def test_a_clear_no_is_a_no(open_: Open, status: int, said: object, code: str) -> None:
    with pytest.raises(Problem) as refused:
        await signed(await open_(saying(status, said)))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (saying(500, its_own(500)), "status_500"),
        (saying(400, {"status_code": 9999, "error": "?"}), "status_400"),
        (saying(400, text="<html>"), "status_400"),
        (saying(408, its_own(408)), "status_408"),
        (saying(502, text="<html>"), "status_502"),
        (saying(503, text="<html>"), "status_503"),
        (saying(429, {"message": "a proxy's own JSON"}), "status_429"),
        (saying(302, {"file": ["JVBERg=="]}), "status_302"),
        (saying(201, {"file": ["JVBERg=="]}), "status_201"),
        (saying(200, text="<html>"), "no_document"),
        (saying(200, ["JVBERg=="]), "no_document"),
        (saying(200, {"time": 1}), "no_document"),
        (saying(200, {"time": 1, "file": []}), "no_document"),
        (saying(200, {"time": 1, "file": [""]}), "no_document"),
        (saying(200, {"time": 1, "file": ["not base64!"]}), "no_document"),
        (saying(200, {"time": 1, "file": ["JVBERg==", "JVBERg=="]}), "no_document"),
        (saying(200, {"time": 1, "file": "JVBERg=="}), "no_document"),
    ],
)
async def test_whatever_is_not_surely_a_no_is_unknown(open_: Open, answer: Answering, why: str) -> None:
    with pytest.raises(NoAnswer) as unknown:
        await signed(await open_(answer))
    assert unknown.value.args == (why,)


async def test_it_is_asked_once_as_its_documents_say(open_: Open) -> None:
    asked: list[tuple[str, str, str | None, dict[str, Any]]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.method, request.path, request.headers.get("Authorization"), await request.json()))
        return web.json_response({"time": 862, "file": [b64encode(b"%PDF signed").decode()]})

    large = b"%PDF" + bytes(3_000_000)  # 66 parties take a third of it
    assert await signed(await open_(answer), wanted(large)) == b"%PDF signed"
    ((method, path, authorization, body),) = asked
    assert (method, path) == ("POST", "/api/v2/sign/pdf")
    assert authorization == "Basic YXBsaWthc2k6eDp5"
    assert body == {
        "nik": NIK,
        "passphrase": "rahasia-uji",
        "signatureProperties": [{"tampilan": "INVISIBLE", "reason": "Menyetujui", "location": "Bandung"}],
        "file": [b64encode(large).decode()],
    }
    provider = await open_(answer)
    by_code = Secret(email="sekda@uji.example", totp="123456")
    await provider.sign(wanted(), "32.11", NAME, by_code)
    assert {name: asked[-1][3].get(name) for name in ("nik", "email", "passphrase", "totp")} == {
        "nik": None, "email": "sekda@uji.example", "passphrase": None, "totp": "123456"
    }  # fmt: skip


async def test_a_lost_answer_is_unknown_and_not_asked_again(open_: Open) -> None:
    calls: list[str] = []

    async def drop(request: web.Request) -> web.StreamResponse:
        await request.read()
        calls.append(request.path)
        assert request.transport
        request.transport.abort()
        return web.Response()

    with pytest.raises(NoAnswer, match="no_answer"):
        await signed(await open_(drop))
    assert calls == [SIGN]


async def test_a_document_is_not_carried_on_to_wherever_a_redirect_leads(open_: Open) -> None:
    calls: list[str] = []

    async def redirect(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    with pytest.raises(NoAnswer, match="status_307"):
        await signed(await open_(redirect))
    assert calls == [SIGN]


async def test_what_a_signer_says_to_be_their_nik_leads_nowhere_else(open_: Open) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.raw_path)
        return web.json_response({"status": "ISSUE"})

    with pytest.raises(Problem):
        await (await open_(answer)).expect(SIGNATORY, "32.11", Secret(nik="../../x?y=#z", passphrase="x"))
    assert asked == [STATUS, f"{CHAIN}/..%2F..%2Fx%3Fy%3D%23z"]


async def test_an_answer_that_never_comes_is_unknown(open_: Open) -> None:
    over = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    provider = await open_(hang, answers_within_s=0.2)
    with pytest.raises(NoAnswer, match="no_answer"):
        await signed(provider)
    over.set()


async def test_an_answer_that_breaks_off_is_unknown(open_: Open) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"time": 862, "file": ["JVBE')
        assert request.transport
        request.transport.abort()
        return response

    with pytest.raises(NoAnswer, match="no_answer"):
        await signed(await open_(half))


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
async def test_where_nothing_was_sent_nothing_is_unknown(address: str) -> None:
    provider = Bsre(address.format(port=unused_port()), user="a", password="b", answers_within_s=5)
    with pytest.raises(Problem) as refused:
        await signed(provider)
    assert refused.value.code == "provider_unavailable"
    with pytest.raises(Problem) as refused:
        await provider.expect(SIGNATORY, "32.11", SECRET)
    assert refused.value.code == "provider_unavailable"
    await provider.close()


def certificates(name: str, *, ends: datetime | None = None) -> tuple[list[str], str]:
    """Leaf, intermediate, root as DER in base64, and the leaf's SHA-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    begun = datetime.now(UTC) - timedelta(days=3)

    def made(subject: str, issuer: str) -> bytes:
        def called(value: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, value)])

        builder = x509.CertificateBuilder().subject_name(called(subject)).issuer_name(called(issuer))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(begun).not_valid_after(ends or begun + timedelta(days=300))
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    chain = [made(name, "CA uji"), made("CA uji", "Root uji"), made("Root uji", "Root uji")]
    return [b64encode(one).decode() for one in chain], sha256(chain[0]).hexdigest()


def person(status: object, chain: object, *, chain_status: int = 200) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == STATUS:
            assert await request.json() == {"nik": NIK}
            return web.json_response(status)
        if request.path == SIGN:
            raise web.HTTPBadGateway
        assert unquote(request.path) == f"{CHAIN}/{NIK}"
        return web.json_response(chain, status=chain_status)

    return answer


async def test_the_certificate_of_the_named_person_is_expected_in_whatever_order_and_form_it_comes(open_: Open) -> None:
    chain, leaf = certificates("DR. H. SEKRETARIS DAERAH, S.T., MM")
    pem = ["-----BEGIN CERTIFICATE-----\n" + one + "\n-----END CERTIFICATE-----\n" for one in chain]
    for told in (chain, chain[::-1], pem):
        provider = await open_(person({"status": "ISSUE"}, {"success": True, "data": told}))
        assert await provider.expect(SIGNATORY, "32.11", SECRET) == leaf
    other, its_leaf = certificates("Nama lain")
    provider = await open_(person({"status": "ISSUE"}, {"success": True, "data": other}))
    with pytest.raises(Problem) as refused:
        await provider.expect(SIGNATORY, "32.11", SECRET)
    assert refused.value.code == "other_person"
    pinned = SIGNATORY.model_copy(update={"certificate_sha256": its_leaf})
    assert await provider.expect(pinned, "32.11", SECRET) == its_leaf
    same_name = await open_(person({"status": "ISSUE"}, {"success": True, "data": chain}))
    with pytest.raises(Problem) as refused:  # who is pinned signs with that certificate alone
        await same_name.expect(pinned, "32.11", SECRET)
    assert refused.value.code == "other_person"


EXPIRED, _ = certificates(NAME, ends=datetime.now(UTC) - timedelta(days=1))
VALID, _ = certificates(NAME)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (person({"status_code": 2011, "status": "NOT_REGISTERED"}, None), "not_registered"),
        (person({"status_code": 2021, "status": "NO_CERTIFICATE"}, None), "no_certificate"),
        (person({"status": "EXPIRED"}, None), "no_certificate"),
        (person({"status": "ISSUE"}, None, chain_status=400), "no_certificate"),
        (person({"status": "ISSUE"}, {"data": EXPIRED}), "no_certificate"),
        (person({"status": "ISSUE"}, {"data": []}), "provider_unavailable"),
        (person({"status": "ISSUE"}, {"data": [VALID[0], VALID[0]]}), "provider_unavailable"),
        (person({"status": "ISSUE"}, {"data": ["%%%"]}), "provider_unavailable"),
        (person({"status": "ISSUE"}, {"success": False}), "provider_unavailable"),
        (person({"status": "ISSUE"}, None, chain_status=500), "provider_unavailable"),
        (saying(200, text="<html>"), "provider_unavailable"),
        (saying(200, {"hello": "somebody else's service"}), "provider_unavailable"),
        (saying(500, its_own(500)), "provider_unavailable"),
        (saying(302), "provider_unavailable"),
        (saying(401, its_own(401)), "signing_refused"),
    ],
)
async def test_why_nobody_is_expected(open_: Open, answer: Answering, code: str) -> None:
    with pytest.raises(Problem) as refused:
        await (await open_(answer)).expect(SIGNATORY, "32.11", SECRET)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("secret", "code"),
    [(Secret(passphrase="x"), "not_registered"), (Secret(nik=NIK), "wrong_passphrase")],
)
async def test_who_says_too_little_is_not_asked_about(open_: Open, secret: Secret, code: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        raise AssertionError("asked")

    with pytest.raises(Problem) as refused:
        await (await open_(answer)).expect(SIGNATORY, "32.11", secret)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("certified", "named", "same"),
    [
        ("BUDI SANTOSO", "Dr. H. Budi Santoso, S.T., M.M.", True),
        ("Budi Santoso, SH", "Ir. Budi  Santoso", True),
        ("Sekretaris Daerah, Kota Batu", "sekretaris daerah, KOTA BATU", True),
        ("Sekretaris Daerah, Kota Batu", "Sekretaris Daerah, Kota Palu", False),
        ("Budi Santoso", "Budi", False),
        ("Budi Santoso", "Santoso Budi", False),
        ("A. Ridwan", "M. Ridwan", False),
        ("Dr. H.", "Ir.", False),
        ("", "", False),
    ],
)
def test_names_differ_by_nothing_but_capitals_and_titles(certified: str, named: str, same: bool) -> None:
    assert same_person(certified, named) is same


async def test_no_failure_holds_what_only_the_signer_knows(open_: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Nor do its causes: a traceback shows those too."""
    caplog.set_level(logging.DEBUG)

    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()

    gone = Bsre(f"http://127.0.0.1:{unused_port()}", user="aplikasi", password="x:y", answers_within_s=5)
    failures: list[BaseException] = []
    no_chain = person({"status": "ISSUE"}, None, chain_status=500)
    for provider in (gone, await open_(drop), await open_(saying(500, text=NIK)), await open_(no_chain)):
        for work in (provider.expect(SIGNATORY, "32.11", SECRET), signed(provider)):
            with pytest.raises((Problem, NoAnswer)) as failed:
                await work
            failures.append(failed.value)
    await gone.close()
    assert all(failure.__cause__ is None and failure.__context__ is None for failure in failures)
    told = "\n".join([repr(failures), repr(SECRET), caplog.text])
    assert not re.search(f"{NIK}|rahasia-uji|x:y", told)
