"""What follows from a fact, in which order."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from chassis.deadletters import DeadLetters
from chassis.intake import Fork
from chassis.publish import Publish
from chassis.records import Fact, OutgoingFact, Rejected, outgoing
from contracts import events
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.regions import Directory, Region
from contracts.scoring import ScoreRecalculated
from services.scoring.domain.score import RULE, LevelOffScale, UnknownIndicator, scores
from services.scoring.store.instruments import Instruments
from services.scoring.store.projection import Projection
from services.scoring.store.summaries import Summaries

YIELD_EVERY = 25
"""Facts scored before the event loop gets its turn: about 3 ms."""
SUMMARY_IDLE_S = 0.25
SUMMARY_PAUSE = 4
"""After a derivation the pause, as a multiple of its time: under a flood summaries fall behind, scores do not."""


async def learn_instruments(
    facts: Sequence[Fact[InstrumentPublished]], *, projection: Projection, letters: DeadLetters
) -> None:
    """Keep copies, then release what waited for them. Raises Fork for a second instrument of the same id."""
    for fact in facts:
        if not await projection.keep_instrument(fact.body, digest=fact.digest):
            raise Fork(f"instrument {fact.body.instrument} was published twice, differently")
    await letters.release([fact.body.instrument for fact in facts])


async def learn_cycles(facts: Sequence[Fact[CycleOpened]], *, projection: Projection) -> None:
    """Keep copies. Raises Fork for a second cycle of the same id."""
    for fact in facts:
        if not await projection.keep_cycle(fact.body, digest=fact.digest):
            raise Fork(f"cycle {fact.body.cycle} was opened twice, differently")


async def score(
    facts: Sequence[Fact[AssessmentState]],
    *,
    projection: Projection,
    instruments: Instruments,
    directory: Directory,
    publish: Publish,
) -> None:
    """A projection: score every stage of every fact, keep it, publish it. A repeat does the same again.

    Raises Rejected for levels that the instrument does not have and for regions that do not exist, UnknownReference
    for an instrument not heard of, Fork for a second history of an assessment.
    """
    scored: list[tuple[Fact[AssessmentState], OutgoingFact, Region]] = []
    for position, fact in enumerate(facts):
        body, region = await _scored(fact, instruments, directory)
        follows = outgoing(
            events.SCORE_RECALCULATED,
            body,
            key=fact.key,
            revision=fact.envelope.revision,
            rule=RULE,
            time=fact.envelope.time,
            visibility=fact.envelope.visibility,
            region=body.region,
        )
        scored.append((fact, follows, region))
        if position % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
    if forks := await projection.record(scored):
        raise Fork(f"two histories of {', '.join(forks)}: restore the right one, see docs/runbooks/ConsumerStopped.md")
    for position, (fact, follows, _) in enumerate(scored):
        await publish(follows, cause=fact)
        if position % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)


async def _scored(
    fact: Fact[AssessmentState], instruments: Instruments, directory: Directory
) -> tuple[ScoreRecalculated, Region]:
    state = fact.body
    instrument = await instruments.get(state.instrument)
    region = directory.find(state.region)
    if region is None:
        raise Rejected("unknown_region", f"there is no region {state.region}")
    try:
        by_stage = scores(state, instrument)
    except (LevelOffScale, UnknownIndicator) as error:
        raise Rejected("level_off_scale", str(error)) from error
    body = ScoreRecalculated.model_construct(
        score=state.assessment,
        region=state.region,
        instrument=state.instrument,
        cycle=state.cycle,
        period=state.period,
        predicate_basis=state.predicate_basis,
        status=state.status,
        scores=by_stage,
    )
    return body, region


async def derive_summaries(summaries: Summaries) -> None:
    """For ever: derive the summaries whose marks are due. Several workers share them by leases."""
    while True:
        began = monotonic()
        province, nation = await summaries.derive_province(), await summaries.derive_nation()
        took_s = monotonic() - began
        await asyncio.sleep(SUMMARY_PAUSE * took_s if province or nation else SUMMARY_IDLE_S)
