"""What any PDF proves: who signed it, when, whether it is whole and unchanged. Strangers' files: run it confined."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from io import BytesIO
from typing import Any

import asn1crypto.x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, SuspiciousModification
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from services.commitment.papers.changes import is_visible
from services.commitment.papers.check import common_name

SIGNATURES_MAX = 200


class Verdict(StrEnum):
    """Of a file, the worst that is true of it."""

    VALID = "valid"
    NOT_A_PDF = "not_a_pdf"
    ENCRYPTED = "encrypted"
    UNREADABLE = "unreadable"
    TOO_COMPLEX = "too_complex"
    """Looking at it took more time or memory than a document does."""
    NO_SIGNATURE = "no_signature"
    BROKEN = "broken"
    """A signed part was changed."""
    CHANGED_AFTER_SIGNING = "changed_after_signing"
    """Something was laid over it or added, unsigned."""
    NOT_WHOLE = "not_whole"
    """Bytes follow that no signature covers."""
    FOREIGN = "foreign"
    """The authority of a signer, or of a time stamp upon the whole, is not one that we trust."""
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Looked:
    """One signature."""

    field: str
    certificate_sha256: str
    signer: str
    organization: str
    issuer: str
    at: datetime | None
    """Of its time stamp."""
    reason: str
    intact: bool
    trusted: bool
    revoked: bool
    ends: int
    """Bytes of the file up to the end of the revision that it signed."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A file."""

    verdict: Verdict
    signatures: tuple[Looked, ...] = ()
    covers_whole_file: bool = False
    sealed_at: datetime | None = None
    """Of the document time stamp."""


def examine(pdf: bytes, roots: Sequence[bytes]) -> Examined:
    """Validate every signature of a file. roots: DER. Never raises for what the file holds.

    Nothing is fetched, for a stranger's file would choose from where: revocations are known from what is stored in the
    file, which a sealed one has. Certificates are judged as of the last time stamp, so that a signature outlives them
    (ETSI EN 319 102-1, 5.5); the authority of that time stamp is judged as of today.
    """
    if not pdf.startswith(b"%PDF-"):
        return Examined(Verdict.NOT_A_PDF)
    try:
        reader = PdfFileReader(BytesIO(pdf))
        if reader.encrypted:
            return Examined(Verdict.ENCRYPTED)
        return asyncio.run(_examine(reader, roots))
    except MemoryError:
        return Examined(Verdict.TOO_COMPLEX)
    except Exception:
        return Examined(Verdict.UNREADABLE)


async def _examine(reader: PdfFileReader, roots: Sequence[bytes]) -> Examined:
    signatures = reader.embedded_regular_signatures
    stamps = reader.embedded_timestamp_signatures
    if not signatures:
        return Examined(Verdict.NO_SIGNATURE)
    if len(signatures) + len(stamps) > SIGNATURES_MAX:
        return Examined(Verdict.TOO_COMPLEX)
    last = max([*signatures, *stamps], key=_end)
    context = await _context(reader, last, roots)
    looked = [await _look(signature, context) for signature in signatures]
    sealed = [await _stamp(stamp, context) for stamp in stamps]
    last.compute_integrity_info(skip_diff=True)
    whole = last.coverage is SignatureCoverageLevel.ENTIRE_FILE
    return Examined(
        verdict=_verdict(reader, last, looked, sealed, whole=whole),
        signatures=tuple(looked),
        covers_whole_file=whole,
        sealed_at=max((at for _, at in sealed if at), default=None),
    )


def _verdict(
    reader: PdfFileReader,
    last: EmbeddedPdfSignature,
    looked: Sequence[Looked],
    sealed: Sequence[tuple[bool, datetime | None]],
    *,
    whole: bool,
) -> Verdict:
    if not all(one.intact for one in looked) or not all(intact for intact, _ in sealed):
        return Verdict.BROKEN
    if not whole:
        follows = reader.xrefs.total_revisions > last.signed_revision + 1
        return Verdict.CHANGED_AFTER_SIGNING if follows else Verdict.NOT_WHOLE
    # One pass from the first signature's revision: asked of each signature it would be quadratic.
    first = min(reader.embedded_regular_signatures, key=_end)
    if isinstance(DEFAULT_DIFF_POLICY.review_file(reader, first.signed_revision), SuspiciousModification):
        return Verdict.CHANGED_AFTER_SIGNING
    if any(is_visible(stamp.sig_field) for stamp in reader.embedded_timestamp_signatures):
        return Verdict.CHANGED_AFTER_SIGNING  # a time stamp needs no picture; anybody can have one made
    if any(one.revoked for one in looked):
        return Verdict.REVOKED
    if not all(one.trusted for one in looked) or not all(at for _, at in sealed):
        return Verdict.FOREIGN
    return Verdict.VALID


async def _look(signature: EmbeddedPdfSignature, context: ValidationContext) -> Looked:
    certificate = signature.signer_cert
    try:
        status = await async_validate_pdf_signature(signature, context, skip_diff=True)
        intact, trusted = status.intact and status.valid, status.trusted
        revoked = status.revocation_details is not None
        stamped = status.timestamp_validity
    except SignatureValidationError:
        intact, trusted, revoked, stamped = False, False, False, None
    told: Any = certificate.subject.native
    organization = told.get("organization_name", "")
    reason: Any = signature.sig_object.get("/Reason", "")
    return Looked(
        field=signature.field_name,
        certificate_sha256=sha256(certificate.dump()).hexdigest(),
        signer=common_name(certificate.subject),
        organization=organization if isinstance(organization, str) else ", ".join(organization),
        issuer=common_name(certificate.issuer),
        at=stamped.timestamp if stamped and stamped.valid and stamped.trusted else None,
        reason=str(reason)[:400],
        intact=intact,
        trusted=trusted,
        revoked=revoked,
        ends=_end(signature),
    )


async def _stamp(stamp: EmbeddedPdfSignature, context: ValidationContext) -> tuple[bool, datetime | None]:
    try:
        status = await async_validate_pdf_timestamp(stamp, context, skip_diff=True)
    except SignatureValidationError:
        return False, None
    return status.intact and status.valid, status.timestamp if status.trusted else None


async def _context(reader: PdfFileReader, last: EmbeddedPdfSignature, roots: Sequence[bytes]) -> ValidationContext:
    asked: dict[str, Any] = {
        "trust_roots": [asn1crypto.x509.Certificate.load(root) for root in roots],
        "allow_fetching": False,
        "revocation_mode": "soft-fail",
    }
    has_some = "/DSS" in reader.root
    stored = DocumentSecurityStore.read_dss(reader) if has_some else DocumentSecurityStore(writer=None)
    # Without the revocations that are stored: once a CRL has run out, it fails what it is asked about.
    today = ValidationContext(**asked, other_certs=list(stored.load_certs()))
    # They count though issued a moment later, as of a signature that is not sealed yet.
    at = {"moment": await _seen_at(last, today), "retroactive_revinfo": True}
    return stored.as_validation_context(asked | at)


async def _seen_at(last: EmbeddedPdfSignature, today: ValidationContext) -> datetime | None:
    """When a time stamp authority saw what was signed last; None where it is none that we trust today."""
    try:
        if last.sig_object["/Type"] == "/DocTimeStamp":
            status = await async_validate_pdf_timestamp(last, today, skip_diff=True)
        else:
            status = (await async_validate_pdf_signature(last, today, skip_diff=True)).timestamp_validity
    except SignatureValidationError:
        return None
    return status.timestamp if status and status.intact and status.valid and status.trusted else None


def _end(signature: EmbeddedPdfSignature) -> int:
    byte_range: Any = signature.byte_range
    *_, start, length = byte_range
    return int(start) + int(length)
