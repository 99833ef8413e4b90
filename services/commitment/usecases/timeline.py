"""The way of one region: whom it studied with, what it signed, pledged and did, and how its index went."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from chassis.references import UnknownRegion
from chassis.viewer import Viewer
from contracts.commitment import FollowUpStatus, PledgeStatus, VisitStatus
from contracts.regions import Directory
from services.commitment.domain.score import best_of_periods
from services.commitment.store.commitments import Commitments
from services.commitment.store.followups import FollowUps
from services.commitment.store.pledges import Pledges
from services.commitment.store.scores import Scores
from services.commitment.store.visits import Visits

OF_EACH_MAX = 200
"""Visits, commitments, pledges, follow-ups: more of one kind nobody has."""


class Moment(StrEnum):
    """What happened."""

    VISITED = "visited"
    WAS_VISITED = "was_visited"
    SIGNED = "signed"
    PLEDGED = "pledged"
    FULFILLED = "fulfilled"
    DONE = "done"
    SCORED = "scored"


@dataclass(frozen=True, slots=True)
class Entry:
    """One moment; `about` is the id of what it is about."""

    on: date
    moment: Moment
    about: str
    said: str
    """A title, a subject, or an index as it is shown."""
    period: int | None = None
    """Of a score: the year that it is of, which is not that of its decree."""


@dataclass(frozen=True, slots=True)
class Nouns:
    """What it takes."""

    visits: Visits
    commitments: Commitments
    pledges: Pledges
    followups: FollowUps
    scores: Scores
    directory: Directory


async def timeline(region: str, *, viewer: Viewer, by: Nouns) -> list[Entry]:
    """In order of days, as far as this viewer may know. Raises UnknownRegion."""
    if by.directory.find(region) is None:
        raise UnknownRegion(field="region")
    found = [
        *await _visits(region, viewer, by),
        *await _signed(region, viewer, by),
        *await _pledged(region, viewer, by),
        *await _done(region, viewer, by),
        *await _scored(region, viewer, by),
    ]
    return sorted(found, key=lambda entry: (entry.on, entry.moment, entry.about))


async def _visits(region: str, viewer: Viewer, by: Nouns) -> list[Entry]:
    came = await by.visits.page(organization=region, host=None, viewer=viewer, after=None, limit=OF_EACH_MAX)
    received = await by.visits.page(organization=None, host=region, viewer=viewer, after=None, limit=OF_EACH_MAX)
    return [
        Entry(kept.state.visited_on, moment, kept.id, kept.state.subject)
        for moment, visits in ((Moment.VISITED, came), (Moment.WAS_VISITED, received))
        for kept in visits
        if kept.state.status is VisitStatus.RECORDED
    ]


async def _signed(region: str, viewer: Viewer, by: Nouns) -> list[Entry]:
    found = await by.commitments.page(organization=region, status=None, viewer=viewer, after=None, limit=OF_EACH_MAX)
    return [
        Entry(one.told.signed_on, Moment.SIGNED, kept.id, kept.state.text.title)
        for kept in found
        for one in kept.state.signatures.values()
        if one.told.organization in by.directory.lineage(region)
    ]


async def _pledged(region: str, viewer: Viewer, by: Nouns) -> list[Entry]:
    found = await by.pledges.page(region=region, commitment=None, viewer=viewer, after=None, limit=OF_EACH_MAX)
    entries: list[Entry] = []
    for kept in found:
        pledge = kept.state
        target = pledge.target.index.shown if pledge.target.index else pledge.target.predicate or ""
        entries.append(Entry(pledge.pledged_on, Moment.PLEDGED, kept.id, target))
        if pledge.full.status is PledgeStatus.FULFILLED and pledge.full.counted:
            entries.append(Entry(pledge.full.counted.on, Moment.FULFILLED, kept.id, target))
    return entries


async def _done(region: str, viewer: Viewer, by: Nouns) -> list[Entry]:
    found = await by.followups.page(
        region=region,
        commitment=None,
        source=None,
        status=FollowUpStatus.DONE,
        viewer=viewer,
        after=None,
        limit=OF_EACH_MAX,
    )
    return [Entry(kept.state.done_on, Moment.DONE, kept.id, kept.state.title) for kept in found if kept.state.done_on]


async def _scored(region: str, viewer: Viewer, by: Nouns) -> list[Entry]:
    return [
        Entry(score.counted.on, Moment.SCORED, score.score, score.counted.index.shown, period=score.period)
        for score in best_of_periods(await by.scores.counting_of(by.directory.lineage(region), viewer=viewer))
        if score.counted
    ]
