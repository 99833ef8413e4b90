"""What happens, in which order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from chassis.deadletters import DeadLetters
from chassis.intake import Fork
from chassis.problem import NotFound, Problem
from chassis.publish import Publish
from chassis.records import Fact, OutgoingFact, Rejected, outgoing
from chassis.references import UnknownCycle, UnknownRegion
from chassis.store import Document
from chassis.viewer import National, Regions, Viewer
from contracts import events
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.regions import Directory, Kind, Region, UnknownGroup
from contracts.scoring import ScoreRecalculated
from services.scoring.domain import RULE, LevelOffScale, UnknownIndicator, scores
from services.scoring.store.instruments import Instruments
from services.scoring.store.projection import Projection
from services.scoring.store.scores import Place, Scores
from services.scoring.summary import Summary

YIELD_EVERY = 25
"""Facts scored before the event loop gets its turn: about 3 ms."""
SUMMARY_IDLE_S = 0.25
SUMMARY_PAUSE = 4
"""After a derivation the pause, as a multiple of its time: under a flood summaries fall behind, scores do not."""


class UnknownScope(Problem):
    """A filter names a province or group that does not exist."""

    status, code, title = 422, "unknown_scope", "There is no such province or group"


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
        raise Fork(f"two histories of {', '.join(forks)}: restore the right one, see docs/runbooks.md")
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


async def derive_summaries(projection: Projection) -> None:
    """For ever: derive the summaries whose marks are due. Several workers share them by leases."""
    while True:
        began = monotonic()
        province, nation = await projection.derive_province(), await projection.derive_nation()
        took_s = monotonic() - began
        await asyncio.sleep(SUMMARY_PAUSE * took_s if province or nation else SUMMARY_IDLE_S)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row of standings: the score, its rank among all of its kind that the viewer sees, and where it ends a page."""

    document: Document
    rank: int
    place: Place


async def opened(cycle: str, *, instruments: Instruments) -> CycleOpened:
    """By id. Raises UnknownCycle."""
    known = await instruments.cycle(cycle)
    if known is None:
        raise UnknownCycle(field="cycle")
    return known


async def of_region(region: str, *, scores: Scores, directory: Directory, viewer: Viewer) -> list[Document]:
    """The newest scores of a region that the viewer sees. Raises UnknownRegion."""
    if directory.find(region) is None:
        raise UnknownRegion(field="region")
    return await scores.of_region(region, viewer=viewer)


async def standings(
    *,
    scores: Scores,
    instruments: Instruments,
    directory: Directory,
    viewer: Viewer,
    cycle: str,
    kind: Kind,
    province: str | None,
    group: str | None,
    after: Place | None,
    limit: int,
) -> list[Ranked]:
    """A page; equal indices share a rank. Raises UnknownCycle, UnknownScope."""
    await opened(cycle, instruments=instruments)
    within = _within(directory, province=province, group=group)
    page = await scores.standings(viewer=viewer, cycle=cycle, kind=kind.value, within=within, after=after, limit=limit)
    rows: list[Ranked] = []
    for document in page:
        index = str(document["order"]["self"])
        seen = (after.seen if after else 0) + 1
        rank = after.rank if after and after.index == index else seen
        after = Place(index=index, name=document["_id"], seen=seen, rank=rank)
        rows.append(Ranked(document, rank, after))
    return rows


def _within(directory: Directory, *, province: str | None, group: str | None) -> Document:
    within: Document = {}
    if province is not None:
        within["province"] = _province(directory, province)
    if group is not None:
        within["region"] = {"$in": sorted(_group(directory, group))}
    return within


def _province(directory: Directory, code: str) -> str:
    region = directory.find(code)
    if region is None or region.kind is not Kind.PROVINCE:
        raise UnknownScope(
            "Use a province's code, such as 32.", "Gunakan kode provinsi, misalnya 32.", field="province"
        )
    return code


def _group(directory: Directory, name: str) -> frozenset[str]:
    try:
        return directory.group(name)
    except UnknownGroup as error:
        raise UnknownScope(
            "Use the name of a group, such as jabar-2023.", "Gunakan nama kelompok, misalnya jabar-2023.", field="group"
        ) from error


async def summary(
    *,
    scores: Scores,
    directory: Directory,
    viewer: Viewer,
    cycle: CycleOpened,
    province: str | None,
    group: str | None,
) -> Summary:
    """Of the nation, a province or a group. Raises UnknownScope, NotFound unless the viewer sees every region in it."""
    reach = viewer.scores
    if group is not None and province is not None:
        raise UnknownScope(
            "A summary is of one scope: send `province` or `group`, not both.",
            "Ringkasan hanya untuk satu cakupan: kirim `province` atau `group`, tidak keduanya.",
            field="group",
        )
    if group is not None:
        members = _group(directory, group)
        if not (isinstance(reach, National) or (isinstance(reach, Regions) and members <= reach.codes)):
            raise NotFound
        return await scores.summary_of_group(cycle.cycle, members, viewer=viewer)
    if province is not None:
        code = _province(directory, province)
        if not (isinstance(reach, National) or (isinstance(reach, Regions) and code in reach.codes)):
            raise NotFound
        return await scores.summary_of_province(cycle.cycle, code, viewer=viewer)
    if not isinstance(reach, National):
        raise NotFound
    return await scores.summary_of_nation(cycle.cycle, viewer=viewer)
