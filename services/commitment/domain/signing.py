"""Signing a paper: one at a time, each on the output of the one before, and never twice without knowing it.

A signer claims the paper's turn before a provider is asked. A local turn that runs out is free again, for nothing left
the house; a remote one that was sent and got no answer is `unknown`, and stays held until the document, or a person,
tells.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from chassis.clock import day_of
from chassis.problem import NotFound
from contracts import events
from contracts.commitment import CommitmentStatus, Provider, Signature
from contracts.fact import Frozen
from services.commitment.domain import trail
from services.commitment.domain.commitment import OPENED, Acted, Actor, Commitment
from services.commitment.domain.paper import PartyState, Refusal, Sheet, Signed, Turn, TurnState
from services.commitment.domain.refusals import (
    AlreadySigned,
    NoSignatory,
    NothingToSettle,
    NotInThisState,
    OtherText,
    OutcomeUnknown,
    SignatoryChanged,
    TurnTaken,
)
from services.commitment.domain.signatory import Signatory
from services.commitment.domain.trail import Act

TURN_S = 90.0
"""A claim that nothing came of is free again. A remote provider takes about a second (domain note); 40 were seen."""

REFUSALS_KEPT = 20


class Evidence(Frozen):
    """What was found in a document that came back: whose signature, and how far it covers."""

    sha256: str
    bytes: int
    certificate_sha256: str
    signer: str
    issuer: str
    at: datetime
    trailing: int
    """Bytes after the signature that hold validation data alone: accepted, and named."""


def sheet_of(commitment: Commitment, block: str) -> Sheet:
    """The paper that a block stands on, of the present edition. Raises NotFound."""
    for sheet in commitment.papers.values():
        if sheet.edition == commitment.edition and block in sheet.blocks:
            return sheet
    raise NotFound


def outcome_of(commitment: Commitment, block: str, request: str) -> Signed | str | None:
    """What a request came to already: its signature, the code of its refusal, or None."""
    signed = commitment.signature(block)
    if signed and signed.request == request:
        return signed
    kept = (one for sheet in commitment.papers.values() for one in sheet.refusals)
    return next((one.code for one in kept if one.request == request), None)


def check_may_sign(commitment: Commitment, party: PartyState, at: datetime) -> Signatory:
    """Who signs for it. Raises NotInThisState, AlreadySigned, NoSignatory, NotTheirDay."""
    if commitment.status not in OPENED or (commitment.status is CommitmentStatus.IN_FORCE and not party.accession):
        raise NotInThisState(commitment.status)
    if commitment.signature(party.block):
        raise AlreadySigned
    if party.signatory is None:
        raise NoSignatory
    party.signatory.check_authority(day_of(at))
    return party.signatory


def claimed(
    commitment: Commitment,
    party: PartyState,
    *,
    attempt: str,
    provider: Provider,
    text_sha256: str,
    signatory: Signatory,
    certificate_sha256: str,
    request: str,
    lasts: timedelta,
    actor: Actor,
) -> Commitment:
    """The paper with its turn taken, by `signatory`, who read the text of that hash.

    Raises OtherText, SignatoryChanged, TurnTaken, OutcomeUnknown, and what `check_may_sign` does.
    """
    if text_sha256 != commitment.text.sha256():
        raise OtherText
    if check_may_sign(commitment, party, actor.at) != signatory:
        raise SignatoryChanged
    sheet = sheet_of(commitment, party.block)
    if (held := sheet.turn) and not _lapsed(held, actor.at):
        raise _held(held)
    turn = Turn(
        attempt=attempt,
        block=party.block,
        by=actor.by,
        request=request,
        provider=provider,
        state=TurnState.CLAIMED,
        base_sha256=sheet.sha256,
        certificate_sha256=certificate_sha256,
        signatory=signatory,
        since=actor.at,
        until=actor.at + lasts,
    )
    return _with(commitment, sheet, turn=turn)


def sent(commitment: Commitment, sheet: Sheet, *, lasts: timedelta, actor: Actor) -> Acted:
    """The document leaves the house."""
    assert sheet.turn
    turn = sheet.turn.model_copy(update={"state": TurnState.SENDING, "until": actor.at + lasts})
    about = {"paper": sheet.paper, "block": turn.block, "attempt": turn.attempt, "before_sha256": sheet.sha256}
    acted = commitment.act(Act.SENT, actor, about=about)
    return Acted(_with(acted.state, sheet, turn=turn), acted.entries)


def unknown(commitment: Commitment, sheet: Sheet, *, why: str, actor: Actor) -> Acted:
    """No usable answer came."""
    assert sheet.turn
    turn = sheet.turn.model_copy(update={"state": TurnState.UNKNOWN})
    about = {"paper": sheet.paper, "block": turn.block, "attempt": turn.attempt, "why": why}
    acted = commitment.act(Act.UNKNOWN, actor, about=about)
    return Acted(_with(acted.state, sheet, turn=turn), acted.entries)


def refused(commitment: Commitment, sheet: Sheet, *, why: str, actor: Actor) -> Acted:
    """The provider said no, or was not reached: nothing was signed, and the turn is free."""
    assert sheet.turn
    refusals = (*sheet.refusals, Refusal(request=sheet.turn.request, code=why))[-REFUSALS_KEPT:]
    if sheet.turn.state is TurnState.CLAIMED:  # nothing left the house
        return Acted(_with(commitment, sheet, turn=None, refusals=refusals))
    about = {"paper": sheet.paper, "block": sheet.turn.block, "attempt": sheet.turn.attempt, "why": why}
    acted = commitment.act(Act.REFUSED, actor, about=about)
    return Acted(_with(acted.state, sheet, turn=None, refusals=refusals), acted.entries)


def signed(commitment: Commitment, sheet: Sheet, found: Evidence, *, actor: Actor) -> Acted:
    """The signature is in the paper; the commitment enters into force when nobody is missing.

    It counts however late its answer comes: also when the commitment was closed or withdrawn meanwhile.
    """
    turn = sheet.turn
    assert turn
    party = commitment.parties[turn.block]
    told = Signature(
        block=party.block,
        role=party.role,
        organization=party.organization,
        region=party.region,
        name=turn.signatory.name,
        office=turn.signatory.office,
        capacity=turn.signatory.capacity,
        provider=turn.provider,
        for_law=turn.provider is not Provider.LOCAL,
        signed_on=day_of(found.at),
        edition=sheet.edition,
        paper=sheet.paper,
        certificate_sha256=found.certificate_sha256,
        document_sha256=found.sha256,
    )
    kept = Signed(
        told=told,
        at=found.at,
        signer=found.signer,
        issuer=found.issuer,
        request=turn.request,
        attempt=turn.attempt,
        scan=None,
        place=None,
        witnessed_by=None,
    )
    about = {
        "edition": sheet.edition,
        "paper": sheet.paper,
        "block": party.block,
        "provider": turn.provider.value,
        "attempt": turn.attempt,
        "text_sha256": commitment.texts[sheet.edition].sha256(),
        "before_sha256": sheet.sha256,
        "after_sha256": found.sha256,
        "certificate_sha256": found.certificate_sha256,
        "trailing": found.trailing,
    }
    after = sheet.model_copy(
        update={"sha256": found.sha256, "bytes": found.bytes, "electronic": sheet.electronic + 1, "turn": None}
    )
    return _with_signature(commitment, kept, Act.SIGNED, about, actor, papers={**commitment.papers, sheet.paper: after})


def signed_by_hand(
    commitment: Commitment,
    party: PartyState,
    *,
    signed_on: datetime,
    scan: str,
    scan_sha256: str,
    place: str,
    witnessed_by: str,
    request: str,
    actor: Actor,
) -> Acted:
    """Recorded by whoever manages the commitment. Raises TurnTaken, OutcomeUnknown, and what `check_may_sign` does."""
    check_may_sign(commitment, party, signed_on)
    assert party.signatory
    sheet = sheet_of(commitment, party.block)
    papers = commitment.papers
    if (held := sheet.turn) and held.block == party.block:
        if not _lapsed(held, actor.at):
            raise _held(held)
        papers = {**papers, sheet.paper: sheet.model_copy(update={"turn": None})}
    told = Signature(
        block=party.block,
        role=party.role,
        organization=party.organization,
        region=party.region,
        name=party.signatory.name,
        office=party.signatory.office,
        capacity=party.signatory.capacity,
        provider=Provider.PAPER,
        for_law=True,
        signed_on=day_of(signed_on),
        edition=sheet.edition,
        paper=sheet.paper,
        certificate_sha256=None,
        document_sha256=scan_sha256,
    )
    kept = Signed(
        told=told,
        at=None,
        signer=None,
        issuer=None,
        request=request,
        attempt=None,
        scan=scan,
        place=place,
        witnessed_by=witnessed_by,
    )
    about = {"edition": sheet.edition, "paper": sheet.paper, "block": party.block, "scan_sha256": scan_sha256}
    return _with_signature(commitment, kept, Act.PAPER_RECORDED, about, actor, papers=papers)


def freed(commitment: Commitment, sheet: Sheet) -> Acted:
    """A claim ran out: whoever made it died before anything left the house. No act."""
    return Acted(_with(commitment, sheet, turn=None))


def settled(commitment: Commitment, sheet: Sheet, *, why: str, actor: Actor) -> Acted:
    """A person found out that the unknown signature on this paper was not made: the turn is free."""
    assert sheet.turn
    about = {"paper": sheet.paper, "block": sheet.turn.block, "attempt": sheet.turn.attempt, "why": why}
    acted = commitment.act(Act.SETTLED, actor, about=about)
    return Acted(_with(acted.state, sheet, turn=None), acted.entries)


def unknown_sheet(commitment: Commitment, block: str) -> Sheet:
    """The paper on which it is unknown whether this place was signed. Raises NothingToSettle."""
    for sheet in commitment.papers.values():
        if sheet.turn and sheet.turn.block == block and sheet.turn.state is TurnState.UNKNOWN:
            return sheet
    raise NothingToSettle


def _lapsed(turn: Turn, at: datetime) -> bool:
    return turn.state is TurnState.CLAIMED and at >= turn.until


def _held(turn: Turn) -> OutcomeUnknown | TurnTaken:
    return OutcomeUnknown() if turn.state is TurnState.UNKNOWN else TurnTaken(turn.block)


def _with_signature(
    commitment: Commitment, kept: Signed, act: Act, about: Mapping[str, object], actor: Actor, **changed: object
) -> Acted:
    place = f"{kept.told.edition}/{kept.told.block}"
    if place in commitment.signatures:
        raise AlreadySigned
    signatures = {**commitment.signatures, place: kept}
    acted = commitment.act(
        act,
        actor,
        about={**about, "signature_sha256": trail.digest(kept)},
        event=events.COMMITMENT_SIGNED,
        signed=kept.told.block,
        signatures=signatures,
        **changed,
    )
    after = acted.state
    if after.status is CommitmentStatus.OPEN and kept.told.edition == after.edition and after.signed_by_all:
        return acted.then(after.entered_force(actor=actor))
    return acted


def _with(commitment: Commitment, sheet: Sheet, **changed: object) -> Commitment:
    papers = {**commitment.papers, sheet.paper: sheet.model_copy(update=changed)}
    return commitment.model_copy(update={"papers": papers})
