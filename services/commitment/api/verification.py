"""Verification, public: of a commitment, and of any PDF; and the documents themselves."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel

from chassis.auth import AnyViewer
from chassis.conditional import NOT_MODIFIED, not_modified, told
from chassis.openapi import routes
from chassis.problem import NotFound
from chassis.problems import problems
from contracts.commitment import CommitmentStatus, Signature
from contracts.regions import Directory
from services.commitment.api.parameters import CommitmentStore, IdIn, Regions, RevisionStore, VerificationTools
from services.commitment.domain.organization import name_of
from services.commitment.papers.verify import Looked, Verdict
from services.commitment.usecases import verify as usecases
from services.commitment.usecases.verify import Kinship, Verified

VERIFICATIONS = "/commitment/v1/verifications"
PDF_MAX_BYTES = 20_971_520
"""Twelve times the file that 63 have signed."""
router = routes("commitment")
PDF: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}
}
SAID = {
    Verdict.VALID: ("Sah: utuh sejak ditandatangani.", "Valid: unchanged since it was signed."),
    Verdict.NOT_A_PDF: ("Bukan berkas PDF.", "This is not a PDF."),
    Verdict.ENCRYPTED: ("PDF terkunci: unggah tanpa kata sandi.", "The PDF is locked: upload it without a password."),
    Verdict.UNREADABLE: ("PDF rusak atau terpotong.", "The PDF is damaged or cut off."),
    Verdict.TOO_COMPLEX: ("PDF terlalu rumit untuk diperiksa.", "The PDF is too complex to be looked at."),
    Verdict.NO_SIGNATURE: ("Tidak ada tanda tangan elektronik.", "It holds no electronic signature."),
    Verdict.BROKEN: ("Tidak sah: bagian yang ditandatangani diubah.", "Not valid: a signed part was changed."),
    Verdict.CHANGED_AFTER_SIGNING: (
        "Tidak sah: ada perubahan setelah ditandatangani.",
        "Not valid: something was changed after it was signed.",
    ),
    Verdict.NOT_WHOLE: (
        "Tidak sah: ada isi tambahan di luar tanda tangan.",
        "Not valid: something follows that no signature covers.",
    ),
    Verdict.FOREIGN: (
        "Penerbit sertifikat tidak dikenal di sini.",
        "The certificates' authority is not one that is trusted here.",
    ),
    Verdict.REVOKED: ("Tidak sah: sertifikat dicabut.", "Not valid: a certificate was revoked."),
}
OF_OURS = {
    Kinship.EARLIER: (
        "Ini keadaan dokumen sebelumnya: setelah itu masih ada tanda tangan atau segel.",
        "This is an earlier state of the document: others signed, or it was sealed, after it.",
    ),
    Kinship.CHANGED: (
        "Bukan dokumen yang tersimpan di sini: setelah ditandatangani ada yang ditambahkan di luar Living Lab.",
        "Not the document that is kept here: something was added to it outside of the Living Lab.",
    ),
}
"""Of a file whose signatures are valid, and which is not the present state of a paper of ours."""


class SignerOut(BaseModel):
    """Of a signature: what the certificate says, and what we have on record where it is ours."""

    signer: str
    organization: str
    issuer: str
    at: datetime | None
    """Of a time stamp that is trusted."""
    intact: bool
    trusted: bool
    revoked: bool
    region: str | None
    organization_name: str | None
    office: str | None
    for_law: bool | None


class VerificationOut(BaseModel):
    """A verdict on a file. `valid` alone means: signed as it is, by whom it says, and whole."""

    verdict: Verdict
    said_id: str
    said_en: str
    valid: bool
    kinship: Kinship
    sha256: str
    bytes: int
    covers_whole_file: bool
    sealed_at: datetime | None
    commitment: str | None
    paper: str | None
    title: str | None
    text_sha256: str | None
    signatures: list[SignerOut]


class ByHandOut(BaseModel):
    """Signed on paper: by whom, and when."""

    organization: str
    organization_name: str
    office: str
    signed_on: date
    scan_sha256: str


class VerificationsOut(BaseModel):
    """A commitment: where it stands, its papers and what each proves."""

    commitment: str
    title: str
    status: CommitmentStatus
    edition: int
    text_sha256: str
    documents: list[VerificationOut]
    by_hand: list[ByHandOut]


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The PDF itself, at most {PDF_MAX_BYTES} bytes. It is not kept.",
        "content": {
            "application/pdf": {
                "schema": {"type": "string", "contentMediaType": "application/pdf"},
                "example": "(isi berkas)",
            }
        },
    }
}


@router.get("/verifications/{commitment_id}", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def verify_commitment(
    commitment_id: IdIn, viewer: AnyViewer, by: VerificationTools, directory: Regions, request: Request
) -> VerificationsOut:
    """Where a document's QR code leads: who signed, when, for which region; intact, trusted, whole."""
    commitment = (await by.commitments.get(commitment_id, viewer=viewer)).state
    documents = await usecases.of_commitment(commitment_id, viewer=viewer, by=by)
    hand = [one.told for one in commitment.signatures.values() if one.scan and one.told.edition == commitment.edition]
    return told(
        VerificationsOut(
            commitment=commitment.commitment,
            title=commitment.text.title,
            status=commitment.status,
            edition=commitment.edition,
            text_sha256=commitment.text.sha256(),
            documents=[shown(one, directory) for one in documents],
            by_hand=[
                ByHandOut(
                    organization=one.organization,
                    organization_name=name_of(one.organization, directory),
                    office=one.office,
                    signed_on=one.signed_on,
                    scan_sha256=one.document_sha256,
                )
                for one in hand
            ],
        ),
        request,
    )


@router.post("/verifications", responses=problems(400, 401, 408, 413, 415, 422, 429, 503), openapi_extra=_BODY)
async def verify_file(
    viewer: AnyViewer, by: VerificationTools, directory: Regions, request: Request
) -> VerificationOut:
    """Look at any PDF: a plain verdict, whatever it is. Nothing of it is kept."""
    return shown(await usecases.of_file(await request.body(), viewer=viewer, by=by), directory)


@router.get(
    "/commitments/{commitment_id}/document",
    response_class=Response,
    responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED | PDF,
)
async def commitment_document(
    commitment_id: IdIn,
    viewer: AnyViewer,
    commitments: CommitmentStore,
    revisions: RevisionStore,
    request: Request,
    paper: Annotated[
        str | None, Query(pattern=r"^([1-9][0-9]{0,2}|a[0-9]{2,3})$", description="Unset: the text of this edition.")
    ] = None,
) -> Response:
    """The PDF, with all signatures that it has by now."""
    commitment = (await commitments.get(commitment_id, viewer=viewer)).state
    sheet = commitment.papers.get(paper or str(commitment.edition))
    if sheet is None:
        raise NotFound
    headers = {
        "ETag": f'"{sheet.sha256}"',
        "Content-Disposition": f'attachment; filename="komitmen-{commitment_id}-{sheet.paper}.pdf"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    if unchanged := not_modified(request, headers["ETag"]):
        return unchanged
    content = await revisions.file(commitment_id, sheet.paper, sheet.sha256)
    return Response(content, media_type="application/pdf", headers=headers)


def shown(verified: Verified, directory: Directory) -> VerificationOut:
    """As it is answered."""
    examined, commitment = verified.examined, verified.commitment
    by_certificate: dict[str, Signature] = {}
    if commitment:
        by_certificate = {
            one.told.certificate_sha256: one.told
            for one in commitment.signatures.values()
            if one.told.certificate_sha256 and one.told.paper == verified.paper
        }
    said = SAID[examined.verdict]
    if examined.verdict is Verdict.VALID:
        said = OF_OURS.get(verified.kinship, said)
    return VerificationOut(
        verdict=examined.verdict,
        said_id=said[0],
        said_en=said[1],
        valid=examined.verdict is Verdict.VALID and verified.kinship in (Kinship.PRESENT, Kinship.UNKNOWN),
        kinship=verified.kinship,
        sha256=verified.sha256,
        bytes=verified.bytes,
        covers_whole_file=examined.covers_whole_file,
        sealed_at=examined.sealed_at,
        commitment=commitment and commitment.commitment,
        paper=verified.paper,
        title=commitment and commitment.text.title,
        text_sha256=commitment and commitment.text.sha256(),
        signatures=[_signer(one, by_certificate.get(one.certificate_sha256), directory) for one in examined.signatures],
    )


def _signer(looked: Looked, record: Signature | None, directory: Directory) -> SignerOut:
    return SignerOut(
        signer=looked.signer,
        organization=looked.organization,
        issuer=looked.issuer,
        at=looked.at,
        intact=looked.intact,
        trusted=looked.trusted,
        revoked=looked.revoked,
        region=record and record.region,
        organization_name=record and name_of(record.organization, directory),
        office=record and record.office,
        for_law=record and record.for_law,
    )
