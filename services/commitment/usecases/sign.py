"""Signing: the turn is claimed, the provider is asked, what it gives is checked and kept, and only then it counts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

import structlog

from chassis.clock import now
from chassis.crash import crash_point
from chassis.outbox import Request
from chassis.problem import Forbidden
from chassis.viewer import Viewer
from contracts.commitment import Provider, Signature
from contracts.regions import Directory
from services.commitment.domain import signing
from services.commitment.domain.commitment import Acted, Actor, Commitment
from services.commitment.domain.paper import PartyState, Sheet, Signed, Turn
from services.commitment.domain.refusals import OtherText, OutcomeUnknown, TurnTaken
from services.commitment.domain.rights import SIGNS
from services.commitment.domain.signatory import Signatory
from services.commitment.domain.signing import Evidence
from services.commitment.measures import Measures
from services.commitment.papers.check import Unusable, check
from services.commitment.papers.sign import Request as Wanted
from services.commitment.pool import Pool
from services.commitment.providers.port import (
    REFUSALS,
    NoAnswer,
    ProviderUnavailable,
    Secret,
    SigningProvider,
    SigningRefused,
)
from services.commitment.settings import CommitmentSettings
from services.commitment.signers import Signers
from services.commitment.store.aggregates import Kept
from services.commitment.store.commitments import Commitments
from services.commitment.store.revisions import Revisions
from services.commitment.turns import Turns
from services.commitment.usecases.document import stamp_of
from services.commitment.usecases.draft import actor_of

log = structlog.stdlib.get_logger()

TURN_WAIT_S = 20.0
TURN_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Desk:
    """What signing takes."""

    commitments: Commitments
    revisions: Revisions
    signers: Signers
    pool: Pool
    directory: Directory
    settings: CommitmentSettings
    turns: Turns
    measures: Measures


@dataclass(frozen=True, slots=True)
class Asked:
    """What a signer says: `text_sha256` is that of the text that they read."""

    provider: Provider
    text_sha256: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class _Claim:
    """A turn that is held."""

    commitment: Commitment
    sheet: Sheet
    party: PartyState
    attempt: str


@dataclass(frozen=True, slots=True)
class _Read:
    """What a signer read, and as whom they sign."""

    text_sha256: str
    signatory: Signatory
    certificate_sha256: str


class _Known(Exception):
    """The request came before: what it came to."""


async def sign(commitment_id: str, asked: Asked, *, viewer: Viewer, request: Request, desk: Desk) -> Signature | None:
    """The caller's signature for their organization; None while the provider takes longer than they wait.

    A repeat of a request gets what the first one came to. Raises NotFound, Forbidden, OtherText, SignatoryChanged,
    TurnTaken, OutcomeUnknown, SigningRefused, ProviderUnavailable, and what `check_may_sign` does.
    """
    provider = desk.signers.find(asked.provider)
    commitment = (await desk.commitments.get(commitment_id, viewer=viewer)).state
    party = _party_of(commitment, viewer)
    if known := signing.outcome_of(commitment, party.block, request.id):
        return _told(known)
    text_sha256 = asked.text_sha256.lower()
    if text_sha256 != commitment.text.sha256():
        raise OtherText
    signatory = signing.check_may_sign(commitment, party, now())
    expected = await provider.expect(signatory, party.organization, asked.secret)
    line = desk.turns.line(f"{commitment_id}/{signing.sheet_of(commitment, party.block).paper}")
    try:
        await asyncio.wait_for(line.acquire(), TURN_WAIT_S)
    except TimeoutError as error:
        raise TurnTaken(party.block) from error
    try:
        # All of it is asked again of what is there when the turn comes: a text and its signatory may change meanwhile.
        read = _Read(text_sha256, signatory, expected)
        claim = await _claim(commitment_id, asked.provider, read, viewer=viewer, request=request, desk=desk)
    except BaseException as error:
        line.release()
        if isinstance(error, _Known):
            return _told(error.args[0])
        raise
    # On its own: a signer who leaves, or a provider that is slow, ends nothing.
    task = desk.turns.carry(_carry(claim, provider, asked, desk), line)
    finished, _ = await asyncio.wait([task], timeout=desk.settings.signer_waits_s)
    return task.result() if finished else None


async def _claim(
    commitment_id: str, provider: Provider, read: _Read, *, viewer: Viewer, request: Request, desk: Desk
) -> _Claim:
    attempt = str(uuid4())

    def decide(kept: Kept[Commitment]) -> Acted:
        party = _party_of(kept.state, viewer)
        if known := signing.outcome_of(kept.state, party.block, request.id):
            raise _Known(known)
        claimed = signing.claimed(
            kept.state,
            party,
            attempt=attempt,
            provider=provider,
            text_sha256=read.text_sha256,
            signatory=read.signatory,
            certificate_sha256=read.certificate_sha256,
            request=request.id,
            lasts=timedelta(seconds=desk.settings.turn_s),
            actor=actor_of(viewer, kept),
        )
        return Acted(claimed)

    loop = asyncio.get_running_loop()
    deadline = loop.time() + TURN_WAIT_S
    while True:
        try:
            done = await desk.commitments.change(commitment_id, decide, viewer=viewer)
        except TurnTaken:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(TURN_POLL_S)
        else:
            state = desk.commitments.read(done.document).state
            party = _party_of(state, viewer)
            return _Claim(state, signing.sheet_of(state, party.block), party, attempt)


async def _carry(claim: _Claim, provider: SigningProvider, asked: Asked, desk: Desk) -> Signature:
    with desk.measures.signing(provider.name):
        return await _signed(claim, provider, asked, desk)


async def _signed(claim: _Claim, provider: SigningProvider, asked: Asked, desk: Desk) -> Signature:
    commitment, sheet, party = claim.commitment, claim.sheet, claim.party
    crash_point("sign.claimed")
    base = await desk.revisions.file(commitment.commitment, sheet.paper, sheet.sha256)
    if provider.remote:
        lasts = timedelta(seconds=desk.settings.turn_s)
        await _settle(claim, desk, lambda state, at, actor: signing.sent(state, at, lasts=lasts, actor=actor))
        crash_point("sign.sending")
    try:
        office = party.signatory.office if party.signatory else ""
        got = await provider.sign(_wanted(claim, base, provider, desk), party.organization, office, asked.secret)
        crash_point("sign.answered")
        found = await desk.pool.run(
            check,
            base,
            got,
            field=None if provider.remote else party.block,
            certificate_sha256=_turn(sheet).certificate_sha256,
            roots=desk.signers.roots,
        )
    except (SigningRefused, ProviderUnavailable) as problem:
        why = problem.code
        await _settle(claim, desk, lambda state, at, actor: signing.refused(state, at, why=why, actor=actor))
        raise
    except (NoAnswer, Unusable) as error:
        why = str(error.args[0])
        log.warning("no usable answer of a signing provider", provider=provider.name, attempt=claim.attempt, why=why)
        if provider.remote:
            await _settle(claim, desk, lambda state, at, actor: signing.unknown(state, at, why=why, actor=actor))
            raise OutcomeUnknown from error
        refusal = SigningRefused()
        await _settle(claim, desk, lambda state, at, actor: signing.refused(state, at, why=refusal.code, actor=actor))
        raise refusal from error
    evidence = Evidence(
        sha256=sha256(got).hexdigest(),
        bytes=len(got),
        certificate_sha256=found.certificate_sha256,
        signer=found.signer,
        issuer=found.issuer,
        at=found.at,
        trailing=found.trailing,
    )
    await desk.revisions.keep(
        got,
        commitment=commitment.commitment,
        paper=sheet.paper,
        previous=base,
        attempt=claim.attempt,
        evidence=evidence,
    )
    crash_point("sign.kept")
    after = await _settle(claim, desk, lambda state, at, actor: signing.signed(state, at, evidence, actor=actor))
    return after.signatures[f"{sheet.edition}/{party.block}"].told


def _wanted(claim: _Claim, base: bytes, provider: SigningProvider, desk: Desk) -> Wanted:
    text, signatory = claim.commitment.text, _turn(claim.sheet).signatory
    return Wanted(
        pdf=base,
        field=claim.party.block,
        reason=f"Menyetujui naskah SHA-256 {text.sha256()}",
        location=text.place,
        name=signatory.name,
        stamp=stamp_of(
            claim.party,
            signatory,
            at=_turn(claim.sheet).since,
            directory=desk.directory,
            for_law=provider.for_law,
        ),
    )


async def _settle(claim: _Claim, desk: Desk, decide: Callable[[Commitment, Sheet, Actor], Acted]) -> Commitment:
    """Write what became of the turn, while it is still held. Raises TurnTaken where it is not."""
    after: list[Commitment] = []

    def change(kept: Kept[Commitment]) -> Acted:
        sheet = kept.state.papers[claim.sheet.paper]
        if sheet.turn is None or sheet.turn.attempt != claim.attempt:
            raise TurnTaken(sheet.turn.block if sheet.turn else claim.party.block)
        assert kept.at
        actor = Actor(_turn(claim.sheet).by, claim.party.organization, kept.at)
        acted = decide(kept.state, sheet, actor)
        after[:] = [acted.state]
        return acted

    await desk.commitments.settle(claim.commitment.commitment, change)
    return after[0]


def _party_of(commitment: Commitment, viewer: Viewer) -> PartyState:
    own = [party for party in commitment.parties.values() if viewer.may(*SIGNS, at=party.organization)]
    if not own:
        raise Forbidden
    # Several where regions merged that both take part: first the one that has not signed.
    return min(own, key=lambda party: commitment.signature(party.block) is not None)


def _turn(sheet: Sheet) -> Turn:
    assert sheet.turn, "the turn is held"
    return sheet.turn


def _told(known: Signed | str) -> Signature:
    if isinstance(known, str):
        raise REFUSALS[known]()
    return known.told
