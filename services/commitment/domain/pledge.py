"""A pledge: a target by a date. What became of it follows from the scores alone, in whatever order they come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from chassis.clock import end_of
from chassis.problem import Problem
from contracts import events
from contracts.commitment import PledgeState, PledgeStatus, Reached, Target
from contracts.events import EventType
from contracts.fact import Frozen, Visibility
from services.commitment.domain.score import Heard, best_of_periods, newest

LOOKED_AT_FIRST = timedelta(minutes=1)
"""Scores of a pledge whose day is over when it is entered may be on their way."""


class DueBeforePledged(Problem):
    """Nothing can be reached before it was promised."""

    status, code, title = 422, "due_before_pledged", "The due date is not after the pledge"
    detail = "Choose a `due` after `pledged_on`."
    detail_id = "Pilih `due` setelah `pledged_on`."


class NotOpen(Problem):
    """It came to its end."""

    status, code, title = 409, "pledge_not_open", "This pledge is not open any more"
    detail = "A pledge that was fulfilled, missed or withdrawn stays so. Make a new one."
    detail_id = "Ikrar yang terpenuhi, tidak tercapai atau ditarik tidak dapat diubah. Buat ikrar baru."


class View(Frozen):
    """What became of a pledge, as far as somebody may know."""

    status: PledgeStatus
    counted: Reached | None
    declared: Reached | None


class Pledge(Frozen):
    """`full` follows from all scores, `public` from the public ones."""

    pledge: str
    region: str
    province: str
    commitment: str | None
    clause: int | None
    target: Target
    satisfied_by: tuple[str, ...]
    """Predicates that reach the target: its own and the better ones of its instrument. Empty for an index."""
    pledged_on: date
    due: date
    withdrawn: bool
    full: View
    public: View
    by: str
    made_at: datetime
    revision: int

    @property
    def due_at(self) -> datetime | None:
        """When it is missed unless a score fulfils it; one that was entered late is missed LOOKED_AT_FIRST later."""
        still_open = PledgeStatus.OPEN in (self.full.status, self.public.status)
        return max(end_of(self.due), self.made_at + LOOKED_AT_FIRST) if still_open else None


@dataclass(frozen=True, slots=True)
class Told:
    """A fact that follows: its type, who may know, and which revision it is."""

    event: EventType
    visibility: Visibility
    revision: int
    body: PledgeState


def derive(pledge: Pledge, facts: Iterable[Heard], *, day_passed: bool) -> Pledge:
    """The pledge as it follows from these facts about its region; the same for any order of them.

    day_passed: its due date is over, so that what is open still is missed.
    """
    known = newest(fact for fact in facts if fact.instrument == pledge.target.instrument)
    return pledge.model_copy(
        update={
            "full": _view(pledge, known, pledge.full, day_passed=day_passed),
            "public": _view(pledge, [s for s in known if s.public], pledge.public, day_passed=day_passed).model_copy(
                update={"declared": None}
            ),
        }
    )


def told(before: Pledge | None, after: Pledge) -> tuple[Pledge, Sequence[Told]]:
    """The pledge with its revisions counted, and its facts: the public one first, so that the last one says most."""
    public_changed = before is None or before.public != after.public
    differs = after.full != after.public
    full_changed = differs and (before is None or before.full != after.full or public_changed)
    views = [(after.public, before and before.public, Visibility.PUBLIC)] if public_changed else []
    views += [(after.full, before and before.full, Visibility.SUPERVISED)] if full_changed else []
    facts = [
        Told(_event(was, view), visibility, after.revision + number, _body(after, view))
        for number, (view, was, visibility) in enumerate(views, start=1)
    ]
    return after.model_copy(update={"revision": after.revision + len(facts)}), facts


def withdraw(pledge: Pledge) -> Pledge:
    """Raises NotOpen."""
    if pledge.full.status is not PledgeStatus.OPEN:
        raise NotOpen
    ended = {"status": PledgeStatus.WITHDRAWN}
    return pledge.model_copy(
        update={
            "withdrawn": True,
            "full": pledge.full.model_copy(update=ended),
            "public": pledge.public.model_copy(update=ended),
        }
    )


def reaches(pledge: Pledge, reached: Reached) -> bool:
    """Whether a figure is as good as the target: by the exact index, or by the predicate's rank."""
    if pledge.target.index is None:
        return reached.predicate in pledge.satisfied_by
    return Fraction(reached.index.value) >= Fraction(pledge.target.index.value)


def _view(pledge: Pledge, scores: Sequence[Heard], was: View, *, day_passed: bool) -> View:
    counting = [score.counted for score in best_of_periods(scores) if score.counted]
    declared = [score.declared for score in scores if score.declared]
    in_time = [reached for reached in counting if pledge.pledged_on < reached.on <= pledge.due]
    good = [reached for reached in in_time if reaches(pledge, reached)]
    if pledge.withdrawn:
        status = PledgeStatus.WITHDRAWN
    elif good:
        status = PledgeStatus.FULFILLED
    elif day_passed or was.status is PledgeStatus.MISSED:
        status = PledgeStatus.MISSED
    else:
        status = PledgeStatus.OPEN
    # Once fulfilled, by what it was first; until then how far it is now.
    shown = min(good, key=lambda reached: (reached.on, reached.score)) if good else (counting or [None])[-1]
    return View(status=status, counted=shown, declared=declared[-1] if declared else None)


def _event(was: View | None, view: View) -> EventType:
    if was is None or was.status is not view.status:
        if view.status is PledgeStatus.FULFILLED:
            return events.PLEDGE_FULFILLED
        if view.status is PledgeStatus.MISSED:
            return events.PLEDGE_MISSED
    return events.PLEDGE_PROGRESSED


def _body(pledge: Pledge, view: View) -> PledgeState:
    return PledgeState(
        pledge=pledge.pledge,
        region=pledge.region,
        commitment=pledge.commitment,
        clause=pledge.clause,
        target=pledge.target,
        pledged_on=pledge.pledged_on,
        due=pledge.due,
        status=view.status,
        counted=view.counted,
        declared=view.declared,
    )
