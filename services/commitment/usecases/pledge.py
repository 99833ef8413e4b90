"""Pledges are made and withdrawn by regions; what becomes of them follows from scores, and from their day."""

import asyncio
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from uuid import UUID, uuid5

from chassis.clock import now
from chassis.outbox import Done, Request
from chassis.problem import Forbidden, Problem
from chassis.records import OutgoingFact, outgoing
from chassis.references import UnknownInstrument, UnknownRegion
from chassis.viewer import Viewer
from contracts.commitment import PledgeStatus, Target
from contracts.regions import Directory
from contracts.scoring import Figure
from services.commitment.domain.pledge import DueBeforePledged, Pledge, Told, View, told
from services.commitment.domain.pledge import derive as derived
from services.commitment.domain.pledge import withdraw as withdrawn
from services.commitment.domain.rights import BINDS
from services.commitment.domain.score import Heard
from services.commitment.store.aggregates import AsItWas, Decided
from services.commitment.store.commitments import Commitments
from services.commitment.store.pledges import Pledges
from services.commitment.store.scores import Scores
from services.commitment.usecases.command import Command
from services.commitment.usecases.under import check_party

IDLE_S = 0.25
_PLEDGES = UUID("d7a9a1d0-66a5-5b0e-a9e2-7c9b0a5d5a35")


class UnknownPredicate(Problem):
    """The instrument has no such predicate."""

    status, code, title = 422, "unknown_predicate", "The instrument has no such predicate"

    def __init__(self, predicates: tuple[str, ...]) -> None:
        listed = ", ".join(predicates)
        super().__init__(f"It has: {listed}.", f"Pilihannya: {listed}.", field="predicate")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a region pledges. Either an index or a predicate."""

    region: str
    instrument: str
    index: Figure | None
    predicate: str | None
    pledged_on: date
    due: date
    commitment: str | None = None
    clause: int | None = None


async def make(
    asked: Asked,
    *,
    viewer: Viewer,
    request: Request,
    pledges: Pledges,
    commitments: Commitments,
    scores: Scores,
    directory: Directory,
) -> Done:
    """Raises UnknownRegion, UnknownInstrument, UnknownPredicate, DueBeforePledged, Forbidden, KeyReused, and what
    `check_party` does.
    """
    region = directory.find(asked.region)
    if region is None:
        raise UnknownRegion(field="region")
    if not viewer.may(*BINDS, at=asked.region):
        raise Forbidden
    await check_party(asked.commitment, asked.clause, directory.lineage(asked.region), commitments=commitments)
    instrument = await scores.instrument(asked.instrument)
    if instrument is None:
        raise UnknownInstrument(field="instrument")
    if asked.predicate is not None and asked.predicate not in instrument.predicates:
        raise UnknownPredicate(instrument.predicates)
    if asked.due <= asked.pledged_on:
        raise DueBeforePledged(field="due")
    at = now()
    unknown = View(status=PledgeStatus.OPEN, counted=None, declared=None)
    pledge = Pledge(
        pledge=str(uuid5(_PLEDGES, request.id)),
        region=asked.region,
        province=region.province,
        commitment=asked.commitment,
        clause=asked.clause,
        target=Target(instrument=asked.instrument, index=asked.index, predicate=asked.predicate),
        satisfied_by=instrument.predicates[: instrument.predicates.index(asked.predicate) + 1]
        if asked.predicate
        else (),
        pledged_on=asked.pledged_on,
        due=asked.due,
        withdrawn=False,
        full=unknown,
        public=unknown,
        by=viewer.actor,
        made_at=at,
        revision=0,
    )
    first = derived(pledge, await scores.of([asked.region], asked.instrument), day_passed=False)
    # Due at once: a score that came between the two reads met no pledge of this id, and is looked at then.
    return await pledges.create(replace(_decided(None, first, at), due_at=at), request=request)


async def withdraw(pledge_id: str, *, command: Command, pledges: Pledges) -> Done:
    """Raises NotFound, Forbidden, Stale, NotOpen, KeyReused."""
    at = now()

    def decide(before: Pledge) -> Decided[Pledge]:
        return _decided(before, withdrawn(before), at)

    change = command.of_what_they_saw(decide, may=lambda pledge: command.viewer.may(*BINDS, at=pledge.region))
    return await pledges.change(pledge_id, change, request=command.request)


async def derive(pledge_id: str, *, pledges: Pledges, due: datetime | None = None) -> None:
    """What follows for a pledge now. Nothing is written where nothing does, unless it was `due` at this moment."""
    at = now()

    def decide(before: Pledge, facts: list[Heard]) -> Decided[Pledge]:
        after = derived(before, facts, day_passed=bool(due and before.due_at and due >= before.due_at))
        if after == before and not due:
            raise AsItWas
        return _decided(before, after, at)

    await pledges.derive(pledge_id, decide)


async def call_due(pledges: Pledges) -> None:
    """For ever: what is open when its day is over is missed. Several workers share it by leases."""
    while True:
        claimed = await pledges.claim_due()
        if claimed:
            pledge_id, due = claimed
            await derive(pledge_id, pledges=pledges, due=due)
        else:
            await asyncio.sleep(IDLE_S)


def _decided(before: Pledge | None, after: Pledge, at: datetime) -> Decided[Pledge]:
    counted, facts = told(before, after)
    return Decided(counted, facts=[*map(partial(_fact, at=at), facts)], due_at=counted.due_at)


def _fact(one: Told, *, at: datetime) -> OutgoingFact:
    return outgoing(
        one.event,
        one.body,
        key=one.body.pledge,
        revision=one.revision,
        time=at,
        visibility=one.visibility,
        region=one.body.region,
    )
