"""What is asked of a document that comes back signed, whoever signed it (ADR 17)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import Any

import aiohttp
import asn1crypto.x509
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend

from services.commitment.papers.changes import (
    changed_beside,
    is_visible,
    last_revision,
    newly_filled,
    validation_data_alone,
)


class Unusable(Exception):
    """Not what was asked for. `args[0]`: why, as a code."""


@dataclass(frozen=True, slots=True)
class Found:
    """The one signature that was added."""

    field: str
    certificate_sha256: str
    signer: str
    issuer: str
    at: datetime
    """Of the time stamp."""
    trailing: int
    """Bytes after the signature's revision that hold validation data alone."""


def check(sent: bytes, got: bytes, *, field: str | None, certificate_sha256: str, roots: Sequence[bytes]) -> Found:
    """The signature that was added to `sent`, the only one that is validated. Raises Unusable.

    field: where it was to be; None where the provider makes a field of its own, which then must be invisible. roots:
    DER. Certificates' authorities are asked for revocations, after the certificate was found to be the expected one.
    """
    if len(got) <= len(sent) or not got.startswith(sent):
        raise Unusable("not_the_bytes_sent")
    try:
        return asyncio.run(_check(sent, got, field, certificate_sha256, roots))
    except (PdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise Unusable("unreadable") from error  # pyHanko raises many kinds for what is no PDF


async def _check(
    sent: bytes, got: bytes, expected_field: str | None, certificate_sha256: str, roots: Sequence[bytes]
) -> Found:
    reader = PdfFileReader(BytesIO(got))
    base = last_revision(reader, sent)
    if base is None:
        raise Unusable("revision_left_out")
    new = newly_filled(reader, base)
    if len(new) != 1:
        raise Unusable("signatures_added")
    ((name, field),) = new.items()
    if expected_field is not None and name != expected_field:
        raise Unusable("another_field")
    if expected_field is None and is_visible(field):
        raise Unusable("visible_field")
    signature = EmbeddedPdfSignature(reader, field, name)
    if sha256(signature.signer_cert.dump()).hexdigest() != certificate_sha256:
        raise Unusable("another_signer")
    if changed_beside(reader, field, base):
        raise Unusable("changed_beside_signing")
    trailing = _trailing(reader, signature, len(got))
    status = await _validated(signature, roots)
    if not (status.intact and status.valid and status.trusted):
        raise Unusable("not_valid")
    stamped = status.timestamp_validity
    if stamped is None or not (stamped.valid and stamped.trusted):
        raise Unusable("no_trusted_time")
    return Found(
        field=name,
        certificate_sha256=certificate_sha256,
        signer=common_name(signature.signer_cert.subject),
        issuer=common_name(signature.signer_cert.issuer),
        at=stamped.timestamp,
        trailing=trailing,
    )


async def _validated(signature: EmbeddedPdfSignature, roots: Sequence[bytes]) -> PdfSignatureStatus:
    # Its bytes, its chain and its time stamp; not what was changed later.
    async with aiohttp.ClientSession() as session:  # pyHanko's own reads all of certifi for each: 18 ms of 30
        context = ValidationContext(
            trust_roots=[asn1crypto.x509.Certificate.load(root) for root in roots],
            allow_fetching=True,
            fetcher_backend=AIOHttpFetcherBackend(session),
            revocation_mode="hard-fail",
        )
        try:
            return await async_validate_pdf_signature(signature, context, skip_diff=True)
        except SignatureValidationError as error:
            raise Unusable("not_valid") from error


def common_name(name: asn1crypto.x509.Name) -> str:
    """Of a person or an authority; certificates without one have a unit or an organization."""
    told = name.native
    for part in ("common_name", "organizational_unit_name", "organization_name"):
        if value := told.get(part):
            return value if isinstance(value, str) else ", ".join(value)
    return ""


def _trailing(reader: PdfFileReader, signature: EmbeddedPdfSignature, size: int) -> int:
    signature.compute_integrity_info(skip_diff=True)
    if signature.coverage is SignatureCoverageLevel.ENTIRE_FILE:
        return 0
    if signature.coverage is not SignatureCoverageLevel.ENTIRE_REVISION:
        raise Unusable("coverage")
    if not validation_data_alone(reader, signature.signed_revision):
        raise Unusable("changed_after_signing")
    if reader.xrefs.total_revisions == signature.signed_revision + 1:
        raise Unusable("trailing_bytes")
    byte_range: Any = signature.byte_range
    *_, start, length = byte_range
    return size - start - length
