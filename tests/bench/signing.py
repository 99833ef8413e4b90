"""A signature as we make it (stamp, PAdES B-T, check of what came back) beside bare pyHanko; a verdict beside bare too.

In CPU of this process, in turns: signing, time stamps over HTTP from an authority in another process, whose own CPU is
told apart. Bare: pyHanko's PdfSigner with a new HTTPTimeStamper each time, no stamp, no check of the result. It is what
somebody writes who follows its documentation. The papers are the 9th and the 63rd signature of one.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any

import asn1crypto.x509
import psutil
from pyhanko.keys import load_private_key_from_pemder_data
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore
from rich.progress import Progress

from contracts.regions import Directory
from lab.parts import Part, authority
from lab.pki import passphrase
from services.commitment.papers.check import check
from services.commitment.papers.paper import Block, Document, Section, Stamp
from services.commitment.papers.seal import seal
from services.commitment.papers.sign import Identity, Request, sign
from services.commitment.papers.typeset import typeset
from services.commitment.papers.verify import Verdict, examine
from services.commitment.providers.local import certificates
from tests.bench.drain import WrongResult
from tests.bench.figures import Figure
from tests.bench.stage import Stage

PAIRS = int(os.environ.get("BENCH_PAIRS", "7"))
EVERYBODY = 63
SIZES = (9, EVERYBODY)
OFFICE = "Sekretaris Daerah"
STAMP = Stamp("Ditandatangani secara elektronik", (OFFICE, "12 Juli 2023 10.05 WIB"), "Tidak berlaku secara hukum")


@dataclass(frozen=True, slots=True)
class _Signers:
    pki: Part
    codes: Sequence[str]

    @property
    def roots(self) -> list[bytes]:
        return certificates(self.pki.directory / "roots" / "root.pem")

    def identity(self, number: int) -> Identity:
        code = self.codes[number]
        place = self.pki.directory / "signers" / code / "sekretaris-daerah"
        return Identity(
            certificate=certificates(place.with_suffix(".pem"))[0],
            chain=tuple(certificates(self.pki.directory / "chain.pem")),
            key=place.with_suffix(".key").read_bytes(),
            passphrase=passphrase(self.pki.directory, code, OFFICE).encode(),
        )

    def sign(self, pdf: bytes, number: int) -> bytes:
        asked = Request(pdf, _block(number), "Menyetujui naskah SHA-256 " + "ab" * 32, "Bandung", OFFICE, STAMP)
        return sign(asked, self.identity(number), self.pki.address)

    def sign_and_check(self, pdf: bytes, number: int) -> bytes:
        got = self.sign(pdf, number)
        fingerprint = sha256(self.identity(number).certificate).hexdigest()
        check(pdf, got, field=_block(number), certificate_sha256=fingerprint, roots=self.roots)
        return got

    def bare(self, pdf: bytes, number: int) -> bytes:
        own = self.identity(number)
        store = SimpleCertificateStore()
        store.register_multiple([asn1crypto.x509.Certificate.load(one) for one in own.chain])
        key = load_private_key_from_pemder_data(own.key, own.passphrase)
        signer = SimpleSigner(
            signing_cert=asn1crypto.x509.Certificate.load(own.certificate), signing_key=key, cert_registry=store
        )
        metadata = PdfSignatureMetadata(
            field_name=_block(number), md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
        )
        made = PdfSigner(metadata, signer=signer, timestamper=HTTPTimeStamper(self.pki.address))
        writer = IncrementalPdfFileWriter(BytesIO(pdf))
        return asyncio.run(made.async_sign_pdf(writer, existing_fields_only=True)).getvalue()


def measure(stage: Stage, progress: Progress) -> Sequence[Figure]:
    """Signatures per CPU second, ours by bare, the check within; and the verdict on the file that 63 have signed."""
    codes = sorted(region.code for region in Directory.load() if region.self_governing)[:EVERYBODY]
    task = progress.add_task("signing", total=EVERYBODY + len(SIZES) * PAIRS + 2 * PAIRS)
    with authority(stage.directory / "pki") as part:
        signers = _Signers(part, codes)
        pdf = typeset(_document(EVERYBODY)).pdf
        before: dict[int, bytes] = {}
        for number in range(EVERYBODY):
            before[number + 1] = pdf
            pdf = signers.sign(pdf, number)
            progress.advance(task)
        figures: list[Figure] = []
        for size in SIZES:
            ours, bare, stamps = [], [], []
            signers.bare(before[size], size - 1)
            signers.sign_and_check(before[size], size - 1)
            for _ in range(PAIRS):
                at = _cpu_of(part)
                bare.append(_cpu(lambda size=size: signers.bare(before[size], size - 1)))
                stamps.append(_cpu_of(part) - at)
                ours.append(_cpu(lambda size=size: signers.sign_and_check(before[size], size - 1)))
                progress.advance(task)
            ratios = [b / o for b, o in zip(bare, ours, strict=True)]
            figures += [
                Figure.of(f"signing_{size}_ratio", "ours/bare", ratios, target=">= 0.8"),
                Figure.of(f"signing_{size}_rate", "1/s/core", [1 / cost for cost in ours]),
                Figure.of(f"signing_{size}_cpu", "ms", [cost * 1e3 for cost in ours]),
                Figure.of(f"signing_{size}_bare_cpu", "ms", [cost * 1e3 for cost in bare]),
                Figure.of(f"signing_{size}_tsa_cpu", "ms", [cost * 1e3 for cost in stamps]),
            ]
        sealed = seal(pdf, tsa_url=part.address, roots=signers.roots)
        ours, bare = [], []
        for _ in range(PAIRS):
            ours.append(_cpu(lambda: _examined(sealed, signers.roots)))
            bare.append(_cpu(lambda: asyncio.run(_validated(sealed, signers.roots))))
            progress.advance(task, 2)
    return [
        *figures,
        Figure.of("verdict_63_cpu", "s", ours),
        Figure.of("verdict_63_bare_cpu", "s", bare),
        Figure.of("verdict_63_size", "MB", [len(sealed) / 1e6]),
    ]


def _cpu(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _cpu_of(part: Part) -> float:
    times = psutil.Process(part.pid).cpu_times()
    return times.user + times.system


def _examined(pdf: bytes, roots: Sequence[bytes]) -> None:
    if (found := examine(pdf, roots)).verdict is not Verdict.VALID:
        raise WrongResult(f"the file that {EVERYBODY} have signed is {found.verdict}")


async def _validated(pdf: bytes, roots: Sequence[bytes]) -> None:
    reader = PdfFileReader(BytesIO(pdf))
    asked: dict[str, Any] = {"trust_roots": [asn1crypto.x509.Certificate.load(one) for one in roots]}
    context = DocumentSecurityStore.read_dss(reader).as_validation_context(asked | {"allow_fetching": False})
    for signature in reader.embedded_regular_signatures:
        status = await async_validate_pdf_signature(signature, context, skip_diff=True)
        if not status.trusted:
            raise WrongResult("bare pyHanko does not trust a signature")
    await context.aclose()


def _block(number: int) -> str:
    return f"p{number + 1:02}"


def _document(blocks: int) -> Document:
    places = tuple(Block(_block(number), (OFFICE, "Kabupaten Uji"), OFFICE, "") for number in range(blocks))
    return Document(
        title="Komitmen bersama",
        number=None,
        opening="Kami bersepakat:",
        legal_basis=(),
        clauses=((None, "Naskah buatan."),),
        closing="Demikian.",
        signed_at="Bandung, 12 Juli 2023",
        sections=(Section("Para pihak", places),),
        foot="Edisi 1",
        verification_url="http://localhost:8080/v/1",
        legal_note="Tidak berlaku secara hukum",
    )
