"""A development authority in this process, and papers that were signed under it."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from asn1crypto import pem
from certomancer.integrations.aiohttp_animator import build_animator_app
from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig

from lab import pki
from lab.parts.process import ports
from services.commitment.papers.paper import Block, Document, Section, Stamp
from services.commitment.papers.sign import Identity, Request, sign
from services.commitment.papers.typeset import typeset
from services.commitment.providers.local import certificates

BLOCKS = [f"p{number:02}" for number in range(1, 10)]
ORGANIZATIONS = [f"32.{number:02}" for number in range(1, 10)]
REVOKED = "32.99"
SEKDA = "Sekretaris Daerah"
STAMP = Stamp("Ditandatangani secara elektronik", (SEKDA, "Kabupaten Uji"), "Tidak berlaku secara hukum")


@dataclass(frozen=True, slots=True)
class Authority:
    """One that answers on loopback."""

    folder: Path
    tsa_url: str
    asked: list[str]
    """Paths, in the order of requests."""

    @property
    def roots(self) -> list[bytes]:
        """DER."""
        return certificates(self.folder / "roots" / "root.pem")

    def identity(self, organization: str) -> Identity:
        """Of its secretary."""
        signer = self.folder / "signers" / organization / "sekretaris-daerah"
        return Identity(
            certificate=certificates(signer.with_suffix(".pem"))[0],
            chain=tuple(certificates(self.folder / "chain.pem")),
            key=signer.with_suffix(".key").read_bytes(),
            passphrase=pki.passphrase(self.folder, organization, SEKDA).encode(),
        )

    def fingerprint(self, organization: str) -> str:
        """SHA-256 of its secretary's certificate."""
        return sha256(self.identity(organization).certificate).hexdigest()

    def sign(self, pdf: bytes, field: str, organization: str) -> bytes:
        """One signature more."""
        return sign(request(pdf, field), self.identity(organization), self.tsa_url)


def request(pdf: bytes, field: str) -> Request:
    return Request(pdf, field, "Menyetujui naskah SHA-256 ab12", "Bandung", SEKDA, STAMP)


def document(blocks: Sequence[str]) -> Document:
    """Made: a page or more."""
    return Document(
        title="Komitmen bersama",
        number=None,
        opening="Pada hari ini kami bersepakat:",
        legal_basis=(),
        clauses=((None, "Naskah buatan untuk pengujian."),),
        closing="Demikian.",
        signed_at="Bandung, 12 Juli 2023",
        sections=(Section("Para pihak", tuple(Block(one, (SEKDA,), "Kabupaten Uji", "") for one in blocks)),),
        foot="Naskah 1",
        verification_url="http://localhost:8080/v/1",
        legal_note="Tidak berlaku secara hukum",
    )


def paper(blocks: Sequence[str]) -> bytes:
    """With an empty field for each block."""
    return typeset(document(blocks)).pdf


@contextmanager
def authority(
    folder: Path,
    organizations: Sequence[str],
    *,
    certified: Mapping[str, Mapping[str, Any]] | None = None,
    at: datetime | None = None,
) -> Generator[Authority]:
    """Certificates for the secretaries of these. It says what it is asked as of a time, of now where none is given.

    certified: what Certomancer is told of a certificate beside the usual, by organization.
    """
    (port,) = ports(folder, 1)
    address = f"http://127.0.0.1:{port}"
    offices = [pki.Office(one, f"Kabupaten Uji {one}", SEKDA) for one in organizations]
    pki.prepare(folder, offices, address)
    path = folder / "certomancer.yml"
    told = yaml.safe_load(path.read_text())
    unusual = {office.label: office.organization for office in offices if office.organization in (certified or {})}
    for label, organization in unusual.items():
        told["pki-architectures"][pki.ARCHITECTURE]["certs"][label] |= (certified or {})[organization]
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    architectures = CertomancerConfig.from_file(str(path), key_search_dir=str(folder / "keys")).pki_archs
    for label, organization in unusual.items():
        certificate = architectures[ArchLabel(pki.ARCHITECTURE)].get_cert(CertLabel(label)).dump()
        kept = folder / "signers" / organization / "sekretaris-daerah.pem"
        kept.write_bytes(pem.armor("CERTIFICATE", certificate))
    application = build_animator_app(architectures, at_time=at, with_web_ui=False, allow_time_override=False)
    asked: list[str] = []

    async def note(request: web.Request, _response: web.StreamResponse) -> None:
        asked.append(request.path)

    application.on_response_prepare.append(note)
    with _served(application, port):
        yield Authority(folder, address + pki.TSA_PATH, asked)


@contextmanager
def _served(application: web.Application, port: int) -> Generator[None]:
    """In a thread: who signs, checks and seals blocks."""

    async def serve() -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        began.set_result(lambda: loop.call_soon_threadsafe(end.set))
        await end.wait()
        await runner.cleanup()

    began: Future[Callable[[], object]] = Future()
    with ThreadPoolExecutor(1) as threads:
        serving = threads.submit(asyncio.run, serve())
        stop = began.result(timeout=30)
        try:
            yield
        finally:
            stop()
            serving.result(timeout=30)
