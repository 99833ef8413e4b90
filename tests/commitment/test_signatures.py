"""One signature more: how it is made, what is asked of it when it comes back, and how all are sealed."""

import asyncio
import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

import asn1crypto.x509
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec, append_signature_field
from pyhanko.sign.validation import (
    async_validate_pdf_signature,
    async_validate_pdf_timestamp,
)
from pyhanko.sign.validation.dss import DocumentSecurityStore, async_add_validation_info
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from lab.parts.process import ports
from services.commitment.papers.check import Found, Unusable, check
from services.commitment.papers.seal import NotSealable, seal
from services.commitment.papers.sign import Identity, NoTimeStamp, WrongPassphraseForKey, sign
from tests.commitment import pki
from tests.commitment.pki import BLOCKS, ORGANIZATIONS, REVOKED, Authority, request
from tests.commitment.tampering import overlaid, relabelled, with_a_kid

Judge = Callable[..., Found]
FIRST, SECOND = ORGANIZATIONS[:2]


@pytest.fixture
def judge(authority: Authority) -> Judge:
    """What is said of an answer to the question for the first signature."""

    def of(sent: bytes, got: bytes, *, field: str | None = "p01", by: str = FIRST) -> Found:
        return check(sent, got, field=field, certificate_sha256=authority.fingerprint(by), roots=authority.roots)

    return of


@pytest.fixture(scope="session")
def with_validation_data(signed: Sequence[bytes], authority: Authority) -> bytes:
    """What a provider returns that stores validation data with each signature: a revision of its own."""

    async def add() -> bytes:
        context = ValidationContext(
            trust_roots=[asn1crypto.x509.Certificate.load(root) for root in authority.roots],
            allow_fetching=True,
            revocation_mode="hard-fail",
        )
        try:
            signature = PdfFileReader(BytesIO(signed[1])).embedded_regular_signatures[0]
            return (await async_add_validation_info(signature, context)).getvalue()
        finally:
            await context.aclose()

    return asyncio.run(add())


@pytest.fixture
def with_field(paper: bytes) -> Callable[[tuple[int, int, int, int]], bytes]:
    """The paper with a field that was not in it, as a provider makes one of its own."""

    def make(box: tuple[int, int, int, int]) -> bytes:
        writer = IncrementalPdfFileWriter(BytesIO(paper))
        append_signature_field(writer, SigFieldSpec("theirs", on_page=0, box=box))
        out = BytesIO()
        writer.write(out)
        return out.getvalue()

    return make


def code(judge: Judge, sent: bytes, got: bytes, **asked: str | None) -> str:
    with pytest.raises(Unusable) as refused:
        judge(sent, got, **asked)
    return refused.value.args[0]


def test_each_of_nine_is_found_in_the_field_it_was_asked_for(
    signed: Sequence[bytes], judge: Judge, authority: Authority
) -> None:
    for number, (block, organization) in enumerate(zip(BLOCKS, ORGANIZATIONS, strict=True)):
        found = judge(signed[number], signed[number + 1], field=block, by=organization)
        assert found.field == block
        assert found.certificate_sha256 == authority.fingerprint(organization)
        assert found.signer == f"Sekretaris Daerah, Kabupaten Uji {organization}"
        assert found.issuer == "Living Lab Development CA (tidak berlaku secara hukum)"
        assert found.trailing == 0


def test_a_signature_names_the_text_and_where(signed: Sequence[bytes]) -> None:
    (signature,) = PdfFileReader(BytesIO(signed[1])).embedded_regular_signatures
    said = signature.sig_object
    assert said["/SubFilter"] == "/ETSI.CAdES.detached"
    assert (said["/Reason"], said["/Location"], said["/Name"]) == (
        "Menyetujui naskah SHA-256 ab12",
        "Bandung",
        "Sekretaris Daerah",
    )


def test_validation_data_after_a_signature_is_accepted_and_its_size_is_named(
    signed: Sequence[bytes], with_validation_data: bytes, judge: Judge, authority: Authority
) -> None:
    found = judge(signed[0], with_validation_data)
    assert found.trailing == len(with_validation_data) - len(signed[1]) > 0
    next_one = authority.sign(with_validation_data, "p02", SECOND)
    assert judge(with_validation_data, next_one, field="p02", by=SECOND).trailing == 0


def test_an_invisible_field_of_the_providers_own_is_accepted_where_none_was_asked_for(
    paper: bytes, with_field: Callable[[tuple[int, int, int, int]], bytes], judge: Judge, authority: Authority
) -> None:
    theirs = authority.sign(with_field((0, 0, 0, 0)), "theirs", FIRST)
    assert judge(paper, theirs, field=None).field == "theirs"
    assert code(judge, paper, theirs) == "another_field"
    visible = authority.sign(with_field((0, 0, 500, 800)), "theirs", FIRST)
    assert code(judge, paper, visible, field=None) == "visible_field"
    below = authority.sign(with_a_kid(paper, "theirs"), "theirs", FIRST)
    assert code(judge, paper, below, field=None) == "visible_field"


def test_what_is_not_the_document_that_was_sent_is_refused(
    signed: Sequence[bytes], judge: Judge, authority: Authority
) -> None:
    sent = signed[0]
    another = authority.sign(pki.paper(["p01", "p02"]), "p01", FIRST)
    for got in (sent, b"", b"<html>502 Bad Gateway</html>", another, sent[:-700], signed[1][1:]):
        assert code(judge, sent, got) == "not_the_bytes_sent"


def test_what_is_no_document_after_it_is_refused(signed: Sequence[bytes], judge: Judge) -> None:
    sent, got = signed[0], signed[1]
    assert code(judge, sent, sent + b"<html>502 Bad Gateway</html>") == "signatures_added"
    assert code(judge, sent, got[: len(sent) + 400]) == "signatures_added"
    assert code(judge, sent, got[:-700]) == "unreadable"


def test_other_signatures_than_the_one_asked_for_are_refused(
    signed: Sequence[bytes], judge: Judge, authority: Authority
) -> None:
    assert code(judge, signed[0], signed[2]) == "signatures_added"
    assert code(judge, signed[0], authority.sign(signed[0], "p02", FIRST)) == "another_field"
    assert code(judge, signed[0], authority.sign(signed[0], "p01", SECOND)) == "another_signer"


@pytest.mark.parametrize("changed", [overlaid, relabelled])
def test_a_change_beside_the_signature_is_refused(
    changed: Callable[[bytes], bytes], signed: Sequence[bytes], judge: Judge, authority: Authority
) -> None:
    between = authority.sign(changed(signed[0]), "p01", FIRST)
    assert code(judge, signed[0], between) == "changed_beside_signing"
    assert code(judge, signed[0], changed(signed[1])) == "changed_beside_signing"


def test_a_page_that_was_changed_two_revisions_ago_is_refused(
    signed: Sequence[bytes], judge: Judge, authority: Authority, with_field: Callable[..., bytes]
) -> None:
    # `apply` of pyHanko's policy compares the last revision with the one before it: this passes it.
    writer = IncrementalPdfFileWriter(BytesIO(overlaid(signed[0])))
    append_signature_field(writer, SigFieldSpec("theirs", on_page=0, box=(0, 0, 0, 0)))
    out = BytesIO()
    writer.write(out)
    got = authority.sign(out.getvalue(), "theirs", FIRST)
    assert code(judge, signed[0], got, field=None) == "changed_beside_signing"


def test_a_signature_that_leaves_out_the_one_before_it_is_refused(
    signed: Sequence[bytes], judge: Judge, authority: Authority
) -> None:
    # Its cross-references go on from before the first signature: its bytes are there, its field is empty again.
    earlier = PdfFileReader(BytesIO(signed[0])).last_startxref
    writer = IncrementalPdfFileWriter(BytesIO(signed[1]))
    writer.prev.last_startxref = earlier
    writer.update_root()
    out = BytesIO()
    writer.write(out)
    got = authority.sign(out.getvalue(), "p02", SECOND)
    assert got.startswith(signed[1])
    assert [one.field_name for one in PdfFileReader(BytesIO(got)).embedded_signatures] == ["p02"]
    assert code(judge, signed[1], got, field="p02", by=SECOND) == "revision_left_out"


def test_bytes_after_the_signature_that_are_no_revision_are_refused(signed: Sequence[bytes], judge: Judge) -> None:
    assert code(judge, signed[0], signed[1] + b"\n% hello\n") == "trailing_bytes"


def test_a_signature_over_other_bytes_is_refused(signed: Sequence[bytes], judge: Judge) -> None:
    got = bytearray(signed[1])
    place = signed[1].index(b"Bandung", len(signed[0]))
    got[place : place + 7] = b"Jakarta"
    assert code(judge, signed[0], bytes(got)) == "not_valid"


def test_a_signature_of_an_authority_that_is_not_trusted_is_refused(
    paper: bytes, authority: Authority, stranger: Authority
) -> None:
    got = stranger.sign(paper, "p01", FIRST)
    asked = {"field": "p01", "certificate_sha256": stranger.fingerprint(FIRST)}
    with pytest.raises(Unusable, match="not_valid"):
        check(paper, got, roots=authority.roots, **asked)
    assert check(paper, got, roots=stranger.roots, **asked).field == "p01"


def test_a_time_stamp_of_an_authority_that_is_not_trusted_is_refused(
    paper: bytes, authority: Authority, stranger: Authority, judge: Judge
) -> None:
    got = sign(request(paper, "p01"), authority.identity(FIRST), stranger.tsa_url)
    assert code(judge, paper, got) == "no_trusted_time"


def test_a_revoked_certificate_signs_nothing_that_counts(
    paper: bytes, signed: Sequence[bytes], authority: Authority, judge: Judge
) -> None:
    assert code(judge, paper, authority.sign(paper, "p01", REVOKED), by=REVOKED) == "not_valid"
    with pytest.raises(NotSealable, match=r"[Rr]evoked"):
        seal(authority.sign(signed[8], "p09", REVOKED), tsa_url=authority.tsa_url, roots=authority.roots)


def test_a_signature_that_can_not_be_made_leaves_nothing(paper: bytes, authority: Authority) -> None:
    identity = authority.identity(FIRST)
    with pytest.raises(WrongPassphraseForKey):
        sign(request(paper, "p01"), replace(identity, passphrase=b"mistyped"), authority.tsa_url)
    with pytest.raises(WrongPassphraseForKey):
        sign(request(paper, "p01"), replace(identity, passphrase=b""), authority.tsa_url)


def test_without_a_time_stamp_nothing_is_signed_or_sealed(
    signed: Sequence[bytes], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (nobody,) = ports(tmp_path_factory.mktemp("nobody"), 1)
    url = f"http://127.0.0.1:{nobody}/tsa"
    with pytest.raises(NoTimeStamp):
        sign(request(signed[0], "p01"), authority.identity(FIRST), url)
    with pytest.raises(NotSealable):
        seal(signed[9], tsa_url=url, roots=authority.roots)


def test_an_authority_that_answers_nonsense_gave_no_time_stamp(signed: Sequence[bytes], authority: Authority) -> None:
    for page in ("/", "/lab/ocsp/interm"):
        url = authority.tsa_url.replace("/lab/tsa/tsa", page)
        with pytest.raises(NoTimeStamp):
            sign(request(signed[0], "p01"), authority.identity(FIRST), url)
        with pytest.raises(NotSealable):
            seal(signed[1], tsa_url=url, roots=authority.roots)


def test_a_strangers_signature_is_not_sealed(paper: bytes, authority: Authority, stranger: Authority) -> None:
    with pytest.raises(NotSealable):
        seal(stranger.sign(paper, "p01", FIRST), tsa_url=authority.tsa_url, roots=authority.roots)


async def test_a_sealed_paper_is_valid_by_itself_with_no_authority_to_ask(
    signed: Sequence[bytes], sealed: bytes, authority: Authority
) -> None:
    reader = PdfFileReader(BytesIO(sealed))
    roots = [asn1crypto.x509.Certificate.load(root) for root in authority.roots]
    asked = {"trust_roots": roots, "allow_fetching": False, "revocation_mode": "hard-fail"}
    context = DocumentSecurityStore.read_dss(reader).as_validation_context(asked)
    signatures, (stamp,) = reader.embedded_regular_signatures, reader.embedded_timestamp_signatures
    assert [one.field_name for one in signatures] == BLOCKS
    for one in signatures:
        status = await async_validate_pdf_signature(one, context, skip_diff=True)
        assert (status.intact, status.valid, status.trusted) == (True, True, True), one.field_name
    status = await async_validate_pdf_timestamp(stamp, context)
    assert (status.intact, status.valid, status.trusted) == (True, True, True)
    assert status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    assert sealed.startswith(signed[9]), "no signature was touched"
    assert reader.xrefs.total_revisions == PdfFileReader(BytesIO(signed[9])).xrefs.total_revisions + 1


def test_keys_and_passphrases_are_in_no_text(paper: bytes, authority: Authority) -> None:
    identity = authority.identity(FIRST)
    wrong = replace(identity, passphrase=b"mistyped-passphrase")
    with pytest.raises(WrongPassphraseForKey) as refused:
        sign(request(paper, "p01"), wrong, authority.tsa_url)
    error = refused.value
    texts = [
        repr(identity),
        str(identity),
        repr(wrong),
        repr(error),
        "".join(traceback.format_exception(error)),
        repr(pickle.loads(pickle.dumps(error)).args),
        pickle.dumps(error).decode("latin-1"),
    ]
    secrets = [identity.passphrase.decode(), "mistyped-passphrase", identity.key.splitlines()[2].decode()]
    assert not [(secret, text) for secret in secrets for text in texts if secret in text]
    assert repr(identity) == repr(Identity(identity.certificate, identity.chain, b"", b""))
