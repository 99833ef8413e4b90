"""Follow-ups: recorded by a region, shown by evidence, judged by who supervises, called when their day is over."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID, uuid5

from chassis.clock import day_of, now
from chassis.outbox import Done, Request
from chassis.problem import Forbidden, NotFound, Problem
from chassis.records import outgoing
from chassis.references import UnknownInstrument, UnknownRegion
from chassis.viewer import Viewer
from contracts import events
from contracts.commitment import Adoption, Agreement, FollowUpStatus, Funds, IndicatorOf, Recommendation, Step
from contracts.events import EventType
from contracts.regions import Directory
from services.commitment.domain.followup import Evidence, FollowUp, Judgement
from services.commitment.domain.rights import WORKS, supervises
from services.commitment.domain.visit import InTheFuture
from services.commitment.store.aggregates import AsItWas, Decided, Kept
from services.commitment.store.commitments import Commitments
from services.commitment.store.followups import FollowUps, noted
from services.commitment.store.scores import Scores
from services.commitment.store.uploads import Uploads
from services.commitment.usecases import upload
from services.commitment.usecases.command import Command
from services.commitment.usecases.under import check_party, watches

IDLE_S = 0.25
_FOLLOWUPS = UUID("9a7c6b1b-3f0b-5ef9-a8f7-2d2f6b3b5a44")
_EVIDENCE = UUID("4be1f1b5-2a55-5a2c-9a77-d2b1b4c7c7e2")


class UnknownIndicator(Problem):
    """The instrument does not ask this."""

    status, code, title = 422, "unknown_indicator", "The instrument has no such indicator"
    detail = "Indicators are numbered as in the instrument: GET /assessment/v1/instruments/{instrument}."
    detail_id = "Indikator bernomor seperti di instrumen: GET /assessment/v1/instruments/{instrument}."


class OwnProgramme(Problem):
    """Nobody adopts what is theirs."""

    status, code, title = 422, "own_programme", "A region takes over nothing from itself"
    detail = "Name the region whose programme it is as `source`."
    detail_id = "Isi `source` dengan daerah pemilik programnya."


@dataclass(frozen=True, slots=True)
class Asked:
    """What a region will do."""

    region: str
    title: str
    unit: str
    funds: Funds | None
    due: date
    commitment: str | None
    clause: int | None
    recommendation: Recommendation | None
    indicator: IndicatorOf | None
    adoption: Adoption | None


async def record(
    asked: Asked,
    *,
    viewer: Viewer,
    request: Request,
    followups: FollowUps,
    commitments: Commitments,
    scores: Scores,
    directory: Directory,
) -> Done:
    """Raises UnknownRegion, Forbidden, UnknownInstrument, UnknownIndicator, OwnProgramme, KeyReused, and what
    `check_party` does.
    """
    region = directory.find(asked.region)
    if region is None:
        raise UnknownRegion(field="region")
    if not viewer.may(*WORKS, at=asked.region):
        raise Forbidden
    await check_party(asked.commitment, asked.clause, directory.lineage(asked.region), commitments=commitments)
    if asked.indicator:
        await _check_indicator(asked.indicator, scores, field="indicator")
    if asked.adoption:
        if directory.find(asked.adoption.source) is None:
            raise UnknownRegion(field="adoption.source")
        if asked.adoption.source == asked.region:
            raise OwnProgramme(field="adoption.source")
        for one in asked.adoption.raises:
            await _check_indicator(one, scores, field="adoption.raises")
    followup = FollowUp(
        followup=str(uuid5(_FOLLOWUPS, request.id)),
        region=asked.region,
        province=region.province,
        commitment=asked.commitment,
        clause=asked.clause,
        recommendation=asked.recommendation,
        indicator=asked.indicator,
        title=asked.title,
        unit=asked.unit,
        funds=asked.funds,
        due=asked.due,
        status=FollowUpStatus.PLANNED,
        done_on=None,
        reason=None,
        evidence=(),
        overdue_since=None,
        adoption=asked.adoption,
        revision=1,
    )
    decided = _decided(followup, what="recorded", by=viewer.actor, at=now())
    return await followups.create(decided, request=request)


async def work(
    followup_id: str,
    what: str,
    decide: Callable[[FollowUp], FollowUp],
    *,
    command: Command,
    followups: FollowUps,
) -> Done:
    """What the region does with it. Raises NotFound, Forbidden, Stale, KeyReused, and what `decide` does."""
    at = now()

    def change(before: FollowUp) -> Decided[FollowUp]:
        return _decided(decide(before), what=what, by=command.viewer.actor, at=at)

    own = command.of_what_they_saw(change, may=lambda before: command.viewer.may(*WORKS, at=before.region))
    return await followups.change(followup_id, own, viewer=command.viewer, request=command.request)


async def report_done(followup_id: str, on: date, *, command: Command, followups: FollowUps) -> Done:
    """Raises InTheFuture, and what `work` does."""
    _check_happened(on, field="done_on")
    return await work(followup_id, "done", lambda one: one.done(on), command=command, followups=followups)


async def take_step(
    followup_id: str, step: Step, on: date, agreement: Agreement | None, *, command: Command, followups: FollowUps
) -> Done:
    """Raises InTheFuture, and what `work` does."""
    _check_happened(on, field="on")
    return await work(
        followup_id, step.value, lambda one: one.stepped(step, on, agreement), command=command, followups=followups
    )


async def add_evidence(
    followup_id: str,
    *,
    title: str,
    file: tuple[str, str] | None,
    url: str | None,
    command: Command,
    followups: FollowUps,
    uploads: Uploads,
) -> Done:
    """`file`: its id and SHA-256. Raises UnknownFile, OtherContent, and what `work` does."""
    organization = command.viewer.organization or ""
    found = await upload.find(*file, organization=organization, uploads=uploads) if file else None
    evidence = Evidence(
        evidence=str(uuid5(_EVIDENCE, command.request.id)),
        title=title,
        file=found and found.file,
        media_type=found and found.media_type,
        sha256=found and found.sha256,
        bytes=found and found.bytes,
        url=url,
        judgement=Judgement.PENDING,
        note=None,
        added_at=now(),
        judged_at=None,
    )
    return await work(
        followup_id, "evidence", lambda one: one.with_evidence(evidence), command=command, followups=followups
    )


async def read(followup_id: str, *, viewer: Viewer, followups: FollowUps, commitments: Commitments) -> Kept[FollowUp]:
    """As this viewer may see it, all of it where they are to judge it. Raises NotFound."""
    found = await followups.get(followup_id, viewer=viewer)
    watching = await watches(viewer, found.state.commitment, commitments=commitments)
    return await followups.get(followup_id, viewer=viewer, watching=True) if watching else found


async def judge_evidence(
    followup_id: str,
    evidence: str,
    judgement: Judgement,
    *,
    note: str | None,
    command: Command,
    followups: FollowUps,
    commitments: Commitments,
) -> Done:
    """By Kemendagri, the region's province, or who watches over the commitment; never by the region itself.

    Raises NotFound, Forbidden, Stale, NoteNeeded, KeyReused.
    """
    at = now()
    viewer = command.viewer
    under = (await followups.get(followup_id, viewer=viewer)).state.commitment  # stays what it is
    watching = await watches(viewer, under, commitments=commitments)

    def change(before: FollowUp) -> Decided[FollowUp]:
        after = before.judged(evidence, judgement, note=note, at=at)
        return _decided(after, what=judgement.value, by=viewer.actor, at=at)

    def may(before: FollowUp) -> bool:
        return not viewer.is_of(before.region) and (watching or supervises(viewer, before.province))

    judged = command.of_what_they_saw(change, may=may)
    return await followups.change(followup_id, judged, viewer=viewer, request=command.request)


async def evidence_file(
    followup_id: str,
    evidence: str,
    *,
    viewer: Viewer,
    followups: FollowUps,
    commitments: Commitments,
    uploads: Uploads,
) -> tuple[Evidence, bytes]:
    """Raises NotFound, also where the viewer may not see what is behind the evidence."""
    followup = (await read(followup_id, viewer=viewer, followups=followups, commitments=commitments)).state
    for one in followup.evidence:
        if one.evidence == evidence and one.file and (content := await uploads.read(one.file)):
            return one, content
    raise NotFound


async def call_due(followups: FollowUps) -> None:
    """For ever: what is not done when its day is over is overdue. Several workers share it by leases."""
    while True:
        claimed = await followups.claim_due()
        if claimed:
            followup_id, due = claimed
            await fall_due(followup_id, due, followups=followups)
        else:
            await asyncio.sleep(IDLE_S)


async def fall_due(followup_id: str, due: datetime, *, followups: FollowUps) -> None:
    """One whose day was over at `due`, unless it was done or put off meanwhile."""

    def decide(before: FollowUp) -> Decided[FollowUp]:
        if before.due_at is None or before.due_at > due:
            raise AsItWas
        after = before.overdue(before.due + timedelta(days=1))
        return _decided(after, what="overdue", by="", at=due, event=events.FOLLOWUP_OVERDUE)

    await followups.fall_due(followup_id, decide)


async def _check_indicator(asked: IndicatorOf, scores: Scores, *, field: str) -> None:
    instrument = await scores.instrument(asked.instrument)
    if instrument is None:
        raise UnknownInstrument(field=field)
    if asked.number not in instrument.indicators:
        raise UnknownIndicator(field=field)


def _check_happened(on: date, *, field: str) -> None:
    if on > day_of(now()):
        raise InTheFuture(field=field)


def _decided(
    after: FollowUp, *, what: str, by: str, at: datetime, event: EventType = events.FOLLOWUP_RECORDED
) -> Decided[FollowUp]:
    fact = outgoing(
        event,
        after.told(),
        key=after.followup,
        revision=after.revision,
        time=at,
        visibility=after.visibility,
        region=after.region,
    )
    return Decided(after, facts=[fact], notes=[noted(after, what=what, by=by, at=at)], due_at=after.due_at)
