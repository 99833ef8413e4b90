"""What time brings a commitment: an answer that did not come, papers to be sealed, a period that is over."""

import asyncio
from datetime import datetime

import structlog

from chassis.clock import end_of
from chassis.crash import crash_point
from contracts.commitment import CommitmentStatus
from services.commitment.domain import signing
from services.commitment.domain.commitment import Acted, Actor, Commitment
from services.commitment.domain.paper import Sheet, TurnState
from services.commitment.papers.seal import NotSealable, seal
from services.commitment.pool import ChildDied
from services.commitment.store.aggregates import AsItWas, Kept
from services.commitment.usecases.sign import Desk

log = structlog.stdlib.get_logger()

IDLE_S = 0.25
NO_ANSWER = "no_answer"


async def call_due(desk: Desk) -> None:
    """For ever. Several workers share it by leases."""
    while True:
        claimed = await desk.commitments.claim_due()
        if claimed:
            await look(*claimed, desk=desk)
        else:
            await asyncio.sleep(IDLE_S)


async def look(kept: Kept[Commitment], at: datetime, *, desk: Desk) -> None:
    """Whatever is due with a commitment at this moment."""
    commitment = kept.state
    for sheet in commitment.papers.values():
        if sheet.turn and sheet.turn.state is TurnState.SENDING and sheet.turn.until <= at:
            await _without_answer(commitment.commitment, sheet, desk=desk)
        if sheet.turn and sheet.turn.state is TurnState.CLAIMED and sheet.turn.until <= at:
            await _free(commitment.commitment, sheet, desk=desk)
    period_to = commitment.text.period_to if commitment.status is CommitmentStatus.IN_FORCE else None
    if period_to and end_of(period_to) <= at:
        await _complete(commitment.commitment, desk=desk)
    for sheet in commitment.to_seal:
        if desk.signers.tsa_url:
            await _seal(commitment.commitment, sheet, desk.signers.tsa_url, desk=desk)


async def _without_answer(commitment_id: str, sheet: Sheet, *, desk: Desk) -> None:
    """What was sent may have come back, its process having died before it said so; else its outcome is unknown."""
    assert sheet.turn
    attempt = sheet.turn.attempt
    back = await desk.revisions.of_attempt(attempt, sheet.turn.base_sha256)

    def decide(kept: Kept[Commitment]) -> Acted:
        held = kept.state.papers[sheet.paper]
        if held.turn is None or held.turn.attempt != attempt or held.turn.state is not TurnState.SENDING:
            raise AsItWas
        actor = _nobody(kept)
        if back and back.evidence:
            return signing.signed(kept.state, held, back.evidence, actor=actor)
        return signing.unknown(kept.state, held, why=NO_ANSWER, actor=actor)

    await desk.commitments.settle(commitment_id, decide)


async def _free(commitment_id: str, sheet: Sheet, *, desk: Desk) -> None:
    """Who claimed it died before anything left the house; what waits for the paper need not wait for them."""
    attempt = sheet.turn and sheet.turn.attempt

    def decide(kept: Kept[Commitment]) -> Acted:
        held = kept.state.papers[sheet.paper]
        if held.turn is None or held.turn.attempt != attempt or held.turn.state is not TurnState.CLAIMED:
            raise AsItWas
        return signing.freed(kept.state, held)

    await desk.commitments.settle(commitment_id, decide)


async def _complete(commitment_id: str, *, desk: Desk) -> None:
    def decide(kept: Kept[Commitment]) -> Acted:
        if kept.state.status is not CommitmentStatus.IN_FORCE:
            raise AsItWas
        return kept.state.completed(actor=_nobody(kept))

    await desk.commitments.settle(commitment_id, decide)


async def _seal(commitment_id: str, sheet: Sheet, tsa_url: str, *, desk: Desk) -> None:
    """Once in effect: who comes second finds it sealed, and what they made is swept."""
    base = await desk.revisions.file(commitment_id, sheet.paper, sheet.sha256)
    try:
        sealed = await desk.pool.run(seal, base, tsa_url=tsa_url, roots=desk.signers.roots)
    except (NotSealable, ChildDied) as error:  # due again when the lease is over
        log.warning("a paper could not be sealed", commitment=commitment_id, paper=sheet.paper, error=str(error))
        return
    digest = await desk.revisions.keep(sealed, commitment=commitment_id, paper=sheet.paper, previous=base)
    crash_point("seal.kept")

    def decide(kept: Kept[Commitment]) -> Acted:
        if kept.state.papers[sheet.paper].sha256 != sheet.sha256:
            raise AsItWas
        return kept.state.sealed(sheet.paper, sha256=digest, bytes=len(sealed), actor=_nobody(kept))

    await desk.commitments.settle(commitment_id, decide)


def _nobody(kept: Kept[Commitment]) -> Actor:
    assert kept.at
    return Actor("", None, kept.at)
