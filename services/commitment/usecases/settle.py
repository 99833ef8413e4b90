"""What people bring from outside: a scan of what was signed by hand, and how an unknown signature turned out."""

from datetime import date, datetime, time
from hashlib import sha256

from chassis.clock import JAKARTA, day_of, now
from chassis.outbox import Done, Request
from chassis.problem import Forbidden, NotFound, Problem
from chassis.viewer import Viewer
from services.commitment.domain import signing
from services.commitment.domain.commitment import MANAGES, Acted, Commitment
from services.commitment.domain.paper import Sheet
from services.commitment.domain.refusals import NothingToSettle
from services.commitment.domain.signing import Evidence
from services.commitment.domain.visit import InTheFuture
from services.commitment.papers.check import Found, Unusable, check
from services.commitment.store.aggregates import Kept
from services.commitment.store.uploads import Uploads
from services.commitment.usecases import upload
from services.commitment.usecases.draft import actor_of
from services.commitment.usecases.sign import Desk


class NotThatDocument(Problem):
    """Not the paper with the one signature that is missing."""

    status, code, title = 422, "not_that_document", "This is not the signed document that is missing"

    def __init__(self, why: str) -> None:
        super().__init__(
            "It must be the paper as it was sent, with exactly one signature more, by the expected certificate "
            "(`reason_code` says what is not so).",
            "Dokumen harus persis seperti yang dikirim, ditambah tepat satu tanda tangan dengan sertifikat yang "
            "diharapkan (`reason_code` menyebut yang tidak sesuai).",
            field="file",
            reason_code=why,
        )


class _ToBeChecked(Exception):
    """A decision that needs to know what is in the file that was handed in."""


async def record_by_hand(
    commitment_id: str,
    block: str,
    *,
    signed_on: date,
    place: str,
    witnessed_by: str,
    file: tuple[str, str],
    viewer: Viewer,
    request: Request,
    desk: Desk,
    uploads: Uploads,
) -> Done:
    """A signature on paper, by its scan (id, SHA-256), recorded by who manages the commitment.

    Of a party that was to sign electronically by its facilitator alone: its initiator is a party like others.

    Raises NotFound, Forbidden, InTheFuture, UnknownFile, OtherContent, KeyReused, and what `check_may_sign` does.
    """
    if signed_on > day_of(now()):
        raise InTheFuture(field="signed_on")
    _check_may_record((await desk.commitments.get(commitment_id, viewer=viewer)).state, block, viewer)
    scan = await upload.find(*file, organization=viewer.organization or "", uploads=uploads)

    def change(kept: Kept[Commitment]) -> Acted:
        _check_may_record(kept.state, block, viewer)
        return signing.signed_by_hand(
            kept.state,
            kept.state.parties[block],
            signed_on=datetime.combine(signed_on, time(12), JAKARTA),
            scan=scan.file,
            scan_sha256=scan.sha256,
            place=place,
            witnessed_by=witnessed_by,
            request=request.id,
            actor=actor_of(viewer, kept),
        )

    return await desk.commitments.change(commitment_id, change, viewer=viewer, request=request)


def _check_may_record(commitment: Commitment, block: str, viewer: Viewer) -> None:
    if not commitment.manages(viewer):
        raise Forbidden
    if block not in commitment.parties:
        raise NotFound
    if not (commitment.parties[block].on_paper or viewer.may(*MANAGES, at=commitment.facilitator)):
        raise Forbidden


async def settle(
    commitment_id: str,
    block: str,
    *,
    reason: str,
    file: tuple[str, str] | None,
    viewer: Viewer,
    request: Request,
    desk: Desk,
    uploads: Uploads,
) -> Done:
    """The facilitator found out what became of an unknown signature: none was made, or here is the signed document.

    Raises NotFound, Forbidden, NothingToSettle, NotThatDocument, UnknownFile, OtherContent, KeyReused.
    """
    checked: tuple[str, Evidence] | None = None

    def change(kept: Kept[Commitment]) -> Acted:
        if not viewer.may(*MANAGES, at=kept.state.facilitator):
            raise Forbidden
        sheet = signing.unknown_sheet(kept.state, block)
        assert sheet.turn
        actor = actor_of(viewer, kept)
        if file is None:
            return signing.settled(kept.state, sheet, why=reason, actor=actor)
        if checked is None:
            raise _ToBeChecked(kept.state, sheet)
        attempt, evidence = checked
        if sheet.turn.attempt != attempt:  # an answer came late, and the next one's is unknown already
            raise NothingToSettle
        return signing.signed(kept.state, sheet, evidence, actor=actor)

    try:
        return await desk.commitments.change(commitment_id, change, viewer=viewer, request=request)
    except _ToBeChecked as needed:
        commitment, sheet = needed.args
        found = await _evidence(commitment, sheet, file=file or ("", ""), viewer=viewer, desk=desk, uploads=uploads)
        checked = sheet.turn.attempt, found
    return await desk.commitments.change(commitment_id, change, viewer=viewer, request=request)


async def _evidence(
    commitment: Commitment, sheet: Sheet, *, file: tuple[str, str], viewer: Viewer, desk: Desk, uploads: Uploads
) -> Evidence:
    assert sheet.turn
    found = await upload.find(*file, organization=viewer.organization or "", uploads=uploads)
    content = await uploads.read(found.file) or b""
    base = await desk.revisions.file(commitment.commitment, sheet.paper, sheet.sha256)
    try:
        signature: Found = await desk.pool.run(
            check,
            base,
            content,
            field=None,
            certificate_sha256=sheet.turn.certificate_sha256,
            roots=desk.signers.roots,
        )
    except Unusable as error:
        raise NotThatDocument(str(error.args[0])) from error
    evidence = Evidence(
        sha256=sha256(content).hexdigest(),
        bytes=len(content),
        certificate_sha256=signature.certificate_sha256,
        signer=signature.signer,
        issuer=signature.issuer,
        at=signature.at,
        trailing=signature.trailing,
    )
    await desk.revisions.keep(
        content,
        commitment=commitment.commitment,
        paper=sheet.paper,
        previous=base,
        attempt=sheet.turn.attempt,
        evidence=evidence,
    )
    return evidence
