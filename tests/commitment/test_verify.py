"""What a file proves: ours, changed ones, and whatever strangers send."""

import asyncio
import subprocess
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import asn1crypto.crl
import asn1crypto.x509
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper, TimestampDSSContentSettings
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore, collect_validation_info
from pyhanko_certvalidator import ValidationContext

from services.commitment.papers.child import Overdone, confined
from services.commitment.papers.seal import seal
from services.commitment.papers.verify import Examined, Verdict, examine
from tests.commitment import pki
from tests.commitment.pki import BLOCKS, ORGANIZATIONS, REVOKED, Authority
from tests.commitment.tampering import encrypted, flipped, overlaid, relabelled, with_a_box

PAST = datetime(2021, 6, 1, tzinfo=UTC)
HEADER = b"%PDF-1.7\n"
PLACES = st.floats(0, 1, exclude_max=True)
CHANGES: dict[str, tuple[Callable[[bytes], bytes], Verdict]] = {
    "as it is": (lambda pdf: pdf, Verdict.VALID),
    "a box laid over it": (overlaid, Verdict.CHANGED_AFTER_SIGNING),
    "an entry in the catalog": (relabelled, Verdict.CHANGED_AFTER_SIGNING),
    "bytes after it": (lambda pdf: pdf + b"\n% hello", Verdict.NOT_WHOLE),
    "a line feed after it": (lambda pdf: pdf + b"\n", Verdict.NOT_WHOLE),
    "a bit of its first page": (lambda pdf: flipped(pdf, pdf.find(b"stream", 2_000) + 60), Verdict.BROKEN),
    "cut": (lambda pdf: pdf[:-500], Verdict.UNREADABLE),
    "bytes before it": (lambda pdf: b"\n" + pdf, Verdict.NOT_A_PDF),
    "encrypted": (encrypted, Verdict.ENCRYPTED),
}


def test_a_sealed_paper_tells_who_signed_it_when_and_for_what(
    signed: Sequence[bytes], sealed: bytes, authority: Authority
) -> None:
    examined = examine(sealed, authority.roots)
    assert (examined.verdict, examined.covers_whole_file) == (Verdict.VALID, True)
    assert [one.field for one in examined.signatures] == BLOCKS
    assert [one.ends for one in examined.signatures] == [len(revision) for revision in signed[1:]]
    for one, organization in zip(examined.signatures, ORGANIZATIONS, strict=True):
        assert (one.intact, one.trusted, one.revoked) == (True, True, False)
        assert one.certificate_sha256 == authority.fingerprint(organization)
        assert one.signer == f"Sekretaris Daerah, Kabupaten Uji {organization}"
        assert one.organization == f"Pemerintah Kabupaten Uji {organization}"
        assert one.issuer == "Living Lab Development CA (tidak berlaku secara hukum)"
        assert one.reason == "Menyetujui naskah SHA-256 ab12"
        assert one.at
        assert examined.sealed_at
        assert one.at < examined.sealed_at


@pytest.mark.parametrize("change", CHANGES)
def test_of_whatever_is_done_to_a_paper_the_worst_is_said(
    change: str, signed: Sequence[bytes], sealed: bytes, authority: Authority
) -> None:
    changed, verdict = CHANGES[change]
    assert examine(changed(sealed), authority.roots).verdict is verdict
    assert examine(changed(signed[9]), authority.roots).verdict is verdict


def test_a_change_between_two_signatures_is_seen(signed: Sequence[bytes], authority: Authority) -> None:
    changed = authority.sign(overlaid(signed[2]), "p03", ORGANIZATIONS[2])
    examined = examine(changed, authority.roots)
    assert examined.verdict is Verdict.CHANGED_AFTER_SIGNING
    assert (len(examined.signatures), examined.covers_whole_file) == (3, True)


def test_a_paper_cut_after_an_earlier_signature_is_faultless_by_itself(
    signed: Sequence[bytes], authority: Authority
) -> None:
    # Only who keeps the later revisions can tell: usecases/verify.py, Kinship.
    examined = examine(signed[9][: len(signed[8])], authority.roots)
    assert (examined.verdict, len(examined.signatures), examined.sealed_at) == (Verdict.VALID, 8, None)


def test_a_paper_that_nobody_signed_has_no_signature(paper: bytes, authority: Authority) -> None:
    assert examine(paper, authority.roots) == Examined(Verdict.NO_SIGNATURE)
    assert examine(overlaid(paper), authority.roots) == Examined(Verdict.NO_SIGNATURE)


def test_one_stranger_among_the_signers_makes_it_foreign_and_only_the_stranger_is_not_trusted(
    signed: Sequence[bytes], stranger: Authority, authority: Authority
) -> None:
    examined = examine(stranger.sign(signed[2], "p03", "32.01"), authority.roots)
    assert examined.verdict is Verdict.FOREIGN
    assert [(one.intact, one.trusted, one.at is None) for one in examined.signatures] == [
        (True, True, False),
        (True, True, False),
        (True, False, True),
    ]
    assert examine(signed[9], []).verdict is Verdict.FOREIGN


def test_a_time_stamp_over_all_of_an_authority_that_is_not_trusted_seals_nothing(
    signed: Sequence[bytes], authority: Authority, stranger: Authority
) -> None:
    stamper = PdfTimeStamper(HTTPTimeStamper(stranger.tsa_url), field_name="seal")
    theirs = asyncio.run(stamper.async_timestamp_pdf(IncrementalPdfFileWriter(BytesIO(signed[1])), "sha256"))
    examined = examine(theirs.getvalue(), authority.roots)
    assert (examined.sealed_at, examined.covers_whole_file) == (None, True)
    assert examined.verdict is Verdict.FOREIGN


def test_a_box_over_the_page_under_a_time_stamp_is_a_change_whoever_stamped_it(
    signed: Sequence[bytes], sealed: bytes, authority: Authority, stranger: Authority
) -> None:
    for pdf in (signed[9], sealed):
        for who in (authority, stranger):
            stamper = PdfTimeStamper(HTTPTimeStamper(who.tsa_url), field_name="box")
            stamped = asyncio.run(stamper.async_timestamp_pdf(with_a_box(pdf, "box"), "sha256"))
            assert examine(stamped.getvalue(), authority.roots).verdict is Verdict.CHANGED_AFTER_SIGNING


def test_a_certificate_that_was_revoked_as_of_what_is_stored_in_the_file(
    signed: Sequence[bytes], authority: Authority
) -> None:
    pdf = authority.sign(signed[1], "p02", REVOKED)
    address = authority.tsa_url.replace("/tsa/tsa", "/crls/interm/latest.crl")
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    DocumentSecurityStore.supply_dss_in_writer(
        writer,
        None,
        certs=[asn1crypto.x509.Certificate.load(one) for one in authority.identity(REVOKED).chain],
        crls=[asn1crypto.crl.CertificateList.load(httpx.get(address).content)],
    )
    stamped = asyncio.run(
        PdfTimeStamper(HTTPTimeStamper(authority.tsa_url), field_name="seal").async_timestamp_pdf(writer, "sha256")
    )
    examined = examine(stamped.getvalue(), authority.roots)
    assert examined.verdict is Verdict.REVOKED
    assert [(one.trusted, one.revoked) for one in examined.signatures] == [(True, False), (False, True)]


def test_a_sealed_paper_outlives_its_certificates_and_what_was_known_of_revocations(
    paper: bytes, tmp_path: Path
) -> None:
    ended = {"valid-from": "2020-01-01T00:00:00+0000", "valid-to": "2022-01-01T00:00:00+0000"}
    revoked = {"revoked-since": "2021-12-01T00:00:00+0000", "reason": "superseded"}
    certified = {"32.01": {"validity": ended, "revocation": revoked}}
    with pki.authority(tmp_path, ["32.01"], certified=certified, at=PAST) as past:
        signed = past.sign(paper, "p01", "32.01")
        sealed = asyncio.run(_sealed(signed, past, PAST))
        roots = past.roots
    for pdf, sealed_at in ((signed, None), (sealed, PAST)):
        examined = examine(pdf, roots)
        assert (examined.verdict, examined.sealed_at) == (Verdict.VALID, sealed_at)
        assert [(one.at, one.revoked) for one in examined.signatures] == [(PAST, False)]
    assert examine(overlaid(sealed), roots).verdict is Verdict.CHANGED_AFTER_SIGNING


async def _sealed(pdf: bytes, authority: Authority, at: datetime) -> bytes:
    # As seal.py does, whose clock is today's.
    context = ValidationContext(
        trust_roots=[asn1crypto.x509.Certificate.load(root) for root in authority.roots],
        allow_fetching=True,
        revocation_mode="hard-fail",
        moment=at,
    )
    try:
        writer = IncrementalPdfFileWriter(BytesIO(pdf))
        (signature,) = writer.prev.embedded_regular_signatures
        out = await PdfTimeStamper(HTTPTimeStamper(authority.tsa_url), field_name="seal").async_timestamp_pdf(
            writer,
            "sha256",
            validation_context=context,
            validation_paths=list(await collect_validation_info(signature, context)),
            dss_settings=TimestampDSSContentSettings(include_vri=False, update_before_ts=True),
        )
        return out.getvalue()
    finally:
        await context.aclose()


def test_no_address_in_a_strangers_file_is_asked(paper: bytes, authority: Authority, stranger: Authority) -> None:
    pdf = stranger.sign(paper, "p01", "32.01")
    sealed = seal(pdf, tsa_url=stranger.tsa_url, roots=stranger.roots)
    assert any("/ocsp/" in path for path in stranger.asked), "its certificates name addresses that answer"
    before = len(stranger.asked)
    for roots in (authority.roots, stranger.roots):
        for one in (pdf, sealed, overlaid(sealed)):
            assert len(examine(one, roots).signatures) == 1
    assert len(stranger.asked) == before


@settings(max_examples=40, deadline=None)
@given(share=PLACES, bit=st.integers(0, 7))
def test_whichever_bit_is_flipped_it_never_raises_and_passes_only_where_no_signature_covers_it(
    share: float, bit: int, signed: Sequence[bytes], authority: Authority
) -> None:
    pdf = signed[1]
    place = int(share * len(pdf))
    (signature,) = PdfFileReader(BytesIO(pdf)).embedded_regular_signatures
    covered: Any = signature.byte_range
    _, hole_begins, hole_ends, _ = covered
    examined = examine(flipped(pdf, place, bit), authority.roots)
    assert examined.verdict is not Verdict.VALID or hole_begins <= place < hole_ends


@settings(max_examples=40, deadline=None)
@given(share=PLACES)
def test_wherever_it_is_cut_it_never_raises_and_never_passes(
    share: float, signed: Sequence[bytes], authority: Authority
) -> None:
    pdf = signed[1]
    assert examine(pdf[: int(share * len(pdf))], authority.roots).verdict is not Verdict.VALID


@settings(max_examples=40, deadline=None)
@given(rest=st.binary(max_size=400))
def test_what_only_begins_as_a_document_never_raises(rest: bytes, authority: Authority) -> None:
    assert examine(HEADER + rest, authority.roots).signatures == ()
    assert examine(rest, authority.roots).signatures == ()


def _file(*objects: bytes) -> bytes:
    """Numbered from 1, of which the first is the catalog."""
    out, places = HEADER, list[int]()
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    size = len(objects) + 1
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return b"%bxref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        out, size, table, size, len(out),
    )  # fmt: skip


def _bomb() -> bytes:
    """A table of objects of 300 MB, in 300 kB."""
    packer = zlib.compressobj(9)
    table = b"".join(packer.compress(bytes(1_000_000)) for _ in range(300)) + packer.flush()
    entry = b"<</Type/XRef/Size 75000000/W[1 2 1]/Root 2 0 R/Filter/FlateDecode/Length %d>>" % len(table)
    return b"%b1 0 obj\n%bstream\n%b\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % (
        HEADER, entry, table, len(HEADER),
    )  # fmt: skip


PAGES = b"<</Type/Pages/Kids[]/Count 0>>"
HOSTILE: dict[str, Callable[[], bytes]] = {
    "a table that unpacks to 300 MB": _bomb,
    "arrays in arrays": lambda: _file(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm " + b"[" * 50_000 + b"]" * 50_000 + b">>", PAGES
    ),
    "a field that is its own child": lambda: _file(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[3 0 R]>>>>", PAGES, b"<</FT/Sig/T(a)/Kids[3 0 R]>>"
    ),
    "an object that is itself": lambda: _file(b"<</Type/Catalog/Pages 2 0 R/AcroForm 3 0 R>>", PAGES, b"3 0 R"),
    "100,000 fields": lambda: _file(
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[" + b"3 0 R " * 100_000 + b"]>>>>", PAGES, b"<</FT/Sig/T(a)>>"
    ),
    "a revision before itself": lambda: (
        HEADER + b"xref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 1/Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF\n"
    ),
    "nothing but its first line": lambda: HEADER,
    "zeros": lambda: HEADER + bytes(5_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_made_to_take_all_memory_or_time_ends_in_a_verdict(name: str, authority: Authority) -> None:
    try:
        verdict = confined(examine, HOSTILE[name](), authority.roots).verdict
    except Overdone:
        verdict = Verdict.TOO_COMPLEX
    assert verdict in {Verdict.UNREADABLE, Verdict.TOO_COMPLEX, Verdict.NO_SIGNATURE}


@pytest.mark.ops
def test_another_reader_of_signatures_finds_the_same(signed: Sequence[bytes], sealed: bytes, tmp_path: Path) -> None:
    """Debian's poppler-utils; it says nothing of a change that came after all signatures but by leaving a line out."""

    def said(pdf: bytes) -> tuple[int, bool]:
        path = tmp_path / "file.pdf"
        path.write_bytes(pdf)
        done = subprocess.run(["pdfsig", "-nocert", str(path)], check=False, capture_output=True, text=True, timeout=60)
        return done.stdout.count("Signature is Valid"), "Total document signed" in done.stdout

    assert said(signed[9]) == (9, True)
    assert said(sealed) == (9, True)
    assert said(overlaid(sealed)) == (9, False)
    assert said(CHANGES["a bit of its first page"][0](sealed))[0] == 0
