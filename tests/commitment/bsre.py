"""A fake of the eSign Client Service v2, built from its documents: the real one was never met.

What it does is taken from "Petunjuk Teknis API eSign Client Service v2.0" (January 2024: endpoints and fields), from a
public report of calls to a live one (September 2026: answers, status codes, PAdES-B-T, a field of its own) and from
public clients (2031 for a wrong passphrase). It signs under the lab's development authority, for people who are made:
each office that has a certificate there, by a NIK that is nobody's. What we never call answers 404.

As `python -m tests.commitment.bsre`, with ESIGN_PKI, ESIGN_PORT, ESIGN_CONTROL_PORT and TSA_URL in the environment. On
its control port: `POST /fault` (what the next call to sign does wrong), `GET /calls`, `GET /signed/last`.
"""

import asyncio
import os
import sys
import time
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import asn1crypto.x509
import httpx
import pikepdf
from aiohttp import web
from pydantic import BaseModel, ConfigDict
from pyhanko.keys import load_certs_from_pemder, load_private_key_from_pemder_data
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

from lab.parts import Part
from lab.parts.process import ports
from lab.pki import passphrase
from tests.acting import DEADLINE_S

USER, PASSWORD = "aplikasi-uji", "made-for-tests"
SIGN = "/api/v2/sign/pdf"
NOT_REGISTERED = {"status_code": 2011, "message": "User belum terdaftar", "status": "NOT_REGISTERED"}
ISSUED = {"status_code": 1110, "message": "User memiliki sertifikat aktif", "status": "ISSUE"}
WRONG_PASSPHRASE = {"status_code": 2031, "error": "Proses signing gagal : Passphrase anda salah"}


def nik_of(organization: str) -> str:
    """Made: no province has the number 00."""
    return f"0000{int(sha256(organization.encode()).hexdigest(), 16) % 10**12:012}"


def esign_client(directory: Path, *, pki: Path, tsa_url: str) -> Part:
    """The fake as a process; it is controlled on the port `part.env["ESIGN_CONTROL_PORT"]`."""
    port, control = ports(directory, 2)

    def missing() -> str | None:
        try:
            httpx.get(f"http://127.0.0.1:{control}/calls", timeout=2, trust_env=False)
        except httpx.TransportError as failure:
            return str(failure)
        return None

    env = {"ESIGN_PORT": str(port), "ESIGN_CONTROL_PORT": str(control), "ESIGN_PKI": str(pki), "TSA_URL": tsa_url}
    command = [sys.executable, "-m", "tests.commitment.bsre"]
    address = f"http://127.0.0.1:{port}"
    return Part("bsre", address=address, port=port, command=command, directory=directory, probe=missing, env=env)


@dataclass(slots=True)
class Esign:
    """The fake, from where a test begins."""

    control: httpx.AsyncClient
    before: int = 0

    async def fault(self, **fault: Any) -> None:
        """What the next call to sign does wrong."""
        assert (await self.control.post("/fault", json=fault)).status_code == 204

    async def calls(self) -> list[dict[str, Any]]:
        """To sign, of this test."""
        return (await self.control.get("/calls")).json()[self.before :]

    async def until_asked(self) -> None:
        """Somebody's document is there to be signed."""
        async with asyncio.timeout(DEADLINE_S):
            while not await self.calls():
                await asyncio.sleep(0.05)

    async def until_looked_up(self, nik: str) -> None:
        """Somebody's certificate was asked for: right after that they wait for their turn."""
        async with asyncio.timeout(DEADLINE_S):
            while nik not in (await self.control.get("/looked-up")).json():
                await asyncio.sleep(0.05)

    async def last(self) -> bytes:
        """What it signed last, whoever got it."""
        return (await self.control.get("/signed/last")).content


class Fault(BaseModel):
    """What the next call to sign does wrong."""

    model_config = ConfigDict(extra="forbid")

    drop_reply: bool = False
    """It signs, and hangs up."""
    slow_s: float = 0
    """It signs, and answers later."""
    error_page: int | None = None
    """It signs, and a proxy before it answers with a page and this status."""
    status: int | None = None
    """It signs nothing, and says so in its own form."""
    other_document: bool = False
    two_signatures: bool = False
    break_earlier: bool = False
    """It writes the file anew before it signs."""
    wrong_signer: bool = False
    """Somebody else's key."""
    dss_revision: bool = False
    """Validation data in a revision of their own, as it is found in documents that are some weeks old."""


@dataclass(slots=True)
class Call:
    """To sign; no secret."""

    at: str
    sha256: str
    """Of the document that came in."""
    signed: bool = False
    answered: bool = False


class _WrongPassphrase(Exception):
    pass


class EsignClient:
    """One server, with what it was told to do wrong, and what it was asked."""

    def __init__(self, pki: Path, tsa_url: str) -> None:
        self._pki = pki
        self._people = {nik_of(path.parent.name): path.with_suffix("") for path in pki.glob("signers/*/*.pem")}
        self._time_stamps = HTTPTimeStamper(tsa_url)
        self._fault = Fault()
        self._calls: list[Call] = []
        self._looked_up: list[str] = []
        self._last = b""

    def service(self) -> web.Application:
        """What agencies see."""
        application = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[_authenticated])
        application.router.add_post(SIGN, self._sign)
        application.router.add_post("/api/v2/user/check/status", self._status)
        application.router.add_get("/api/v2/user/certificate/chain/{id}", self._chain)
        return application

    def control(self) -> web.Application:
        """What tests see."""
        application = web.Application()
        application.router.add_post("/fault", self._set_fault)
        application.router.add_get("/calls", self._tell_calls)
        application.router.add_get("/looked-up", self._tell_looked_up)
        application.router.add_get("/signed/last", self._tell_last)
        return application

    async def _status(self, request: web.Request) -> web.Response:
        known = (await request.json()).get("nik") in self._people
        return web.json_response(ISSUED if known else NOT_REGISTERED)

    async def _chain(self, request: web.Request) -> web.Response:
        self._looked_up.append(request.match_info["id"])
        person = self._people.get(request.match_info["id"])
        if person is None:
            return web.Response(status=400, text="ID tidak ditemukan", content_type="application/json")
        chain = [self._certificate(person), *self._above()]
        return web.json_response({"success": True, "data": [b64encode(one.dump()).decode() for one in chain]})

    async def _sign(self, request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        pdf = b64decode(asked["file"][0])
        call = Call(datetime.now(UTC).isoformat(), sha256(pdf).hexdigest())
        self._calls.append(call)
        fault, self._fault = self._fault, Fault()
        if fault.status:
            call.answered = True
            return _error(fault.status)
        if asked.get("nik") not in self._people:
            call.answered = True
            return web.json_response(NOT_REGISTERED, status=400)
        begun = time.monotonic()
        try:
            self._last = await self._signed(pdf, asked, fault)
        except _WrongPassphrase:
            call.answered = True
            return web.json_response(WRONG_PASSPHRASE, status=400)
        call.signed = True
        if fault.drop_reply:
            assert request.transport
            request.transport.abort()
            return web.Response()
        await asyncio.sleep(fault.slow_s)
        call.answered = True
        if fault.error_page:
            return web.Response(status=fault.error_page, text="<html>Bad gateway</html>", content_type="text/html")
        took_ms = round((time.monotonic() - begun) * 1_000)
        return web.json_response({"time": took_ms, "file": [b64encode(self._last).decode()]})

    async def _signed(self, pdf: bytes, asked: dict[str, Any], fault: Fault) -> bytes:
        person, opened_by = self._people[asked["nik"]], asked["passphrase"]
        signer = self._signer(person, opened_by)
        if fault.wrong_signer:
            other = next(one for one in self._people.values() if one != person)
            signer = self._signer(other, passphrase(self._pki, other.parent.name, other.name))
        if fault.other_document:
            pdf = _blank()
        if fault.break_earlier:
            pdf = _written_anew(pdf)
        (properties,) = asked["signatureProperties"]
        assert properties["tampilan"] == "INVISIBLE", "units of a visible one are unknown"
        for _ in range(2 if fault.two_signatures else 1):
            pdf = await self._with_signature(pdf, signer, properties)
        return _with_validation_data(pdf, self._above()) if fault.dss_revision else pdf

    async def _with_signature(self, pdf: bytes, signer: SimpleSigner, properties: dict[str, str]) -> bytes:
        metadata = PdfSignatureMetadata(
            field_name=f"bcs_ecs_{time.time_ns() // 1_000_000}",
            md_algorithm="sha256",
            subfilter=SigSeedSubFilter.PADES,
            reason=properties["reason"],
            location=properties["location"],
        )
        work = PdfSigner(metadata, signer=signer, timestamper=self._time_stamps)
        out = await work.async_sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)))
        return out.getvalue()

    def _signer(self, person: Path, opened_by: str) -> SimpleSigner:
        try:
            key = load_private_key_from_pemder_data(person.with_suffix(".key").read_bytes(), opened_by.encode())
        except ValueError as error:
            raise _WrongPassphrase from error
        store = SimpleCertificateStore()
        store.register_multiple(self._above())
        return SimpleSigner(signing_cert=self._certificate(person), signing_key=key, cert_registry=store)

    def _certificate(self, person: Path) -> asn1crypto.x509.Certificate:
        (certificate,) = load_certs_from_pemder([str(person.with_suffix(".pem"))])
        return certificate

    def _above(self) -> list[asn1crypto.x509.Certificate]:
        return list(load_certs_from_pemder([str(self._pki / name) for name in ("chain.pem", "roots/root.pem")]))

    async def _set_fault(self, request: web.Request) -> web.Response:
        self._fault = Fault.model_validate_json(await request.read())
        return web.Response(status=204)

    async def _tell_calls(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in self._calls])

    async def _tell_looked_up(self, _: web.Request) -> web.Response:
        return web.json_response(self._looked_up)

    async def _tell_last(self, _: web.Request) -> web.Response:
        return web.Response(body=self._last, content_type="application/pdf")


@web.middleware
async def _authenticated(request: web.Request, handler: Any) -> web.StreamResponse:
    if request.headers.get("Authorization") != "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode():
        return _error(401)
    return await handler(request)


def _error(status: int) -> web.Response:
    told = {"timestamp": datetime.now(UTC).isoformat(), "status": status, "error": "Error", "path": SIGN}
    return web.json_response(told, status=status)


def _blank() -> bytes:
    out = BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(out)
    return out.getvalue()


def _written_anew(pdf: bytes) -> bytes:
    out = BytesIO()
    with pikepdf.open(BytesIO(pdf)) as read:
        read.save(out)
    return out.getvalue()


def _with_validation_data(pdf: bytes, certificates: list[asn1crypto.x509.Certificate]) -> bytes:
    out = BytesIO(pdf)
    DocumentSecurityStore.add_dss(out, None, certs=certificates)
    return out.getvalue()


async def _serve() -> None:
    client = EsignClient(Path(os.environ["ESIGN_PKI"]), os.environ["TSA_URL"])
    for application, port in ((client.service(), "ESIGN_PORT"), (client.control(), "ESIGN_CONTROL_PORT")):
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(os.environ[port])).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
