"""One signature more on a paper: PAdES B-T (ETSI EN 319 142-1), one incremental revision, by pyHanko."""

import asyncio
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO

import asn1crypto.x509
from pyhanko.keys import load_private_key_from_pemder_data
from pyhanko.pdf_utils.content import PdfContent
from pyhanko.pdf_utils.generic import DictionaryObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import AxisAlignment, BoxConstraints, Margins, SimpleBoxLayoutRule
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.timestamps import HTTPTimeStamper, TimestampRequestError
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from services.commitment.papers.paper import Stamp
from services.commitment.papers.typeset import stamp

RESERVED_HEX_DIGITS = 2 * 8_192
"""For the CMS. With an EC leaf, one intermediate and an RSA-2048 token it takes 4,061 bytes; reserving saves a dry run,
and pyHanko's own tight estimate is 2 bytes short where an ECDSA signature comes out longer."""


class WrongPassphraseForKey(Exception):
    """It does not open the key."""


class NoTimeStamp(Exception):
    """The time stamp authority gave none: a signature without one is not made."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be signed, and how it shall look."""

    pdf: bytes = field(repr=False)
    field: str
    reason: str
    """Names the text by its hash: it is in every signature."""
    location: str
    name: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Identity:
    """A key and what certifies it, as PEM and DER."""

    certificate: bytes
    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)
    passphrase: bytes = field(repr=False)


def sign(asked: Request, identity: Identity, tsa_url: str) -> bytes:
    """The document with its signature. Raises WrongPassphraseForKey, NoTimeStamp."""
    try:
        key = load_private_key_from_pemder_data(identity.key, identity.passphrase)
    except (ValueError, TypeError) as error:  # an empty one is a TypeError
        raise WrongPassphraseForKey from error
    store = SimpleCertificateStore()
    store.register_multiple([asn1crypto.x509.Certificate.load(one) for one in identity.chain])
    certificate = asn1crypto.x509.Certificate.load(identity.certificate)
    metadata = PdfSignatureMetadata(
        field_name=asked.field,
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        reason=asked.reason,
        location=asked.location,
        name=asked.name,
    )
    signer = PdfSigner(
        metadata,
        signer=SimpleSigner(signing_cert=certificate, signing_key=key, cert_registry=store),
        timestamper=_time_stamper(tsa_url),
        stamp_style=StaticStampStyle(
            border_width=0, background=_Page(stamp(asked.stamp)), background_layout=_filling_the_box()
        ),
    )
    writer = IncrementalPdfFileWriter(BytesIO(asked.pdf))
    work = signer.async_sign_pdf(writer, existing_fields_only=True, bytes_reserved=RESERVED_HEX_DIGITS)
    try:
        out = asyncio.run(work)
    except (TimestampRequestError, OSError) as error:
        raise NoTimeStamp from error
    return out.getvalue()


@cache
def _time_stamper(url: str) -> HTTPTimeStamper:
    # Kept: a new one asks for a token just to see its size.
    return HTTPTimeStamper(url)


def _filling_the_box() -> SimpleBoxLayoutRule:
    return SimpleBoxLayoutRule(AxisAlignment.ALIGN_MID, AxisAlignment.ALIGN_MID, margins=Margins(0, 0, 0, 0))


class _Page(PdfContent):
    """The first page of a PDF in memory; pyHanko's own opens a file by name."""

    def __init__(self, pdf: bytes) -> None:
        self._pdf = pdf
        super().__init__()

    def render(self) -> bytes:
        page = self._ensure_writer.import_page_as_xobject(PdfFileReader(BytesIO(self._pdf)), page_ix=0)
        self.resources.xobject["/Im0"] = page
        form = page.get_object()
        assert isinstance(form, DictionaryObject)
        left, bottom, right, top = form["/BBox"]
        self.box = BoxConstraints(width=abs(left - right), height=abs(bottom - top))
        return b"/Im0 Do"
