"""Pledges: what follows from scores, in whatever order and however often they come."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.clock import end_of
from contracts import events
from contracts.commitment import PledgeStatus, Reached, Target
from contracts.fact import Visibility
from contracts.scoring import Basis, Figure
from services.commitment.domain.pledge import LOOKED_AT_FIRST, NotOpen, Pledge, View, derive, told, withdraw
from services.commitment.domain.score import Heard, best_of_periods, newest

DUE = date(2024, 12, 31)
MADE_AT = datetime(2023, 7, 12, 3, tzinfo=UTC)
UNKNOWN = View(status=PledgeStatus.OPEN, counted=None, declared=None)
NEW = Pledge(
    pledge="p1",
    region="32.11",
    province="32",
    commitment=None,
    clause=None,
    target=Target(instrument="spbe-2020", index=Figure(value="3.5", shown="3.50"), predicate=None),
    satisfied_by=(),
    pledged_on=date(2023, 7, 12),
    due=DUE,
    withdrawn=False,
    full=UNKNOWN,
    public=UNKNOWN,
    by="a",
    made_at=MADE_AT,
    revision=0,
)


def reached(index: str, on: date, *, score: str = "spbe-2023:32.11", period: int = 2023, basis: Basis) -> Reached:
    shown = f"{float(index):.2f}"
    predicate = "Sangat Baik" if float(index) >= 3.5 else "Baik"
    return Reached(
        score=score, cycle=f"spbe-{period}", period=period, basis=basis, index=Figure(value=index, shown=shown),
        predicate=predicate, on=on,
    )  # fmt: skip


def heard(
    index: str,
    *,
    revision: int = 1,
    on: date = date(2023, 12, 1),
    verified: bool = True,
    public: bool = False,
    period: int = 2023,
    official: bool = False,
) -> Heard:
    score = f"spbe-{period}:32.11" + (":official" if official else "")
    basis = Basis.OFFICIAL if official else Basis.DOCUMENT if verified else Basis.SELF
    one = reached(index, on, score=score, period=period, basis=basis)
    return Heard(
        score=score, region="32.11", province="32", instrument="spbe-2020", period=period, revision=revision, rule=2,
        public=public or official, official=official, counted=one if verified else None,
        declared=None if verified else one,
    )  # fmt: skip


def test_only_what_was_verified_fulfils() -> None:
    declared = derive(NEW, [heard("4.2", verified=False)], day_passed=False)
    assert (declared.full.status, declared.full.counted) == (PledgeStatus.OPEN, None)
    assert declared.full.declared is not None
    assert declared.full.declared.index.value == "4.2"
    assert declared.public == UNKNOWN, "what a region says of itself is nobody else's"
    verified = derive(declared, [heard("4.2", verified=False), heard("3.5", revision=2)], day_passed=False)
    assert verified.full.status is PledgeStatus.FULFILLED
    assert verified.public == UNKNOWN


@pytest.mark.parametrize(
    ("index", "on", "status"),
    [
        ("3.5", date(2024, 12, 31), PledgeStatus.FULFILLED),
        ("3.5", date(2025, 1, 1), PledgeStatus.OPEN),
        ("3.5", date(2023, 7, 12), PledgeStatus.OPEN),
        ("3.5", date(2023, 7, 13), PledgeStatus.FULFILLED),
        ("3.4999999999", date(2024, 1, 1), PledgeStatus.OPEN),
    ],
)
def test_it_counts_after_the_pledge_and_until_its_day(index: str, on: date, status: PledgeStatus) -> None:
    assert derive(NEW, [heard(index, on=on)], day_passed=False).full.status is status


def test_a_predicate_is_reached_by_a_better_one() -> None:
    target = Target(instrument="spbe-2020", index=None, predicate="Baik")
    pledge = NEW.model_copy(update={"target": target, "satisfied_by": ("Memuaskan", "Sangat Baik", "Baik")})
    assert derive(pledge, [heard("3.9")], day_passed=False).full.status is PledgeStatus.FULFILLED
    better = pledge.model_copy(update={"satisfied_by": ("Memuaskan",)})
    assert derive(better, [heard("3.9")], day_passed=False).full.status is PledgeStatus.OPEN


def test_the_official_result_wins_over_what_was_computed_of_its_period() -> None:
    facts = [heard("3.9"), heard("3.1", official=True, on=date(2024, 1, 11))]
    derived = derive(NEW, facts, day_passed=False)
    assert derived.full.status is PledgeStatus.OPEN
    assert derived.full.counted is not None
    assert derived.full.counted.basis is Basis.OFFICIAL


def test_publication_after_the_day_makes_nothing_late() -> None:
    facts = [
        heard("3.9", revision=4, on=date(2024, 12, 1), period=2024),
        heard("3.9", revision=5, on=date(2025, 2, 1), period=2024, public=True),
    ]
    derived = derive(NEW, facts, day_passed=True)
    assert derived.public.status is PledgeStatus.FULFILLED
    assert derived.public == derived.full


def test_a_correction_after_the_day_makes_nothing_of_before_it() -> None:
    in_time = heard("3.0", on=date(2024, 12, 1), period=2024)
    raised = heard("3.6", revision=2, on=date(2025, 3, 1), period=2024)
    derived = derive(NEW, [raised, in_time], day_passed=True)
    assert derived.full.status is PledgeStatus.MISSED
    # Lowered by mistake and raised again, it counts from then.
    lowered = heard("3.2", revision=3, on=date(2024, 5, 1))
    again = heard("3.9", revision=4, on=date(2025, 3, 1))
    assert derive(NEW, [heard("3.9"), lowered, again], day_passed=True).full.status is PledgeStatus.MISSED


def test_a_correction_takes_it_back_and_a_late_fact_fulfils_it_after_all() -> None:
    fulfilled = derive(NEW, [heard("3.9")], day_passed=False)
    corrected = derive(fulfilled, [heard("3.9"), heard("3.2", revision=2)], day_passed=False)
    assert corrected.full.status is PledgeStatus.OPEN
    missed = derive(corrected, [heard("3.2", revision=2)], day_passed=True)
    assert missed.full.status is PledgeStatus.MISSED
    assert derive(missed, [heard("3.2", revision=2)], day_passed=False).full.status is PledgeStatus.MISSED
    late = [heard("3.2", revision=2), heard("3.6", period=2024, on=date(2024, 12, 30))]
    assert derive(missed, late, day_passed=False).full.status is PledgeStatus.FULFILLED


def test_what_is_told_to_whom() -> None:
    made, first = told(None, NEW)
    assert [(f.event, f.visibility, f.revision) for f in first] == [(events.PLEDGE_PROGRESSED, Visibility.PUBLIC, 1)]
    fulfilled, facts = told(made, derive(made, [heard("3.9")], day_passed=False))
    assert [(f.event, f.visibility, f.revision) for f in facts] == [(events.PLEDGE_FULFILLED, Visibility.SUPERVISED, 2)]
    published = [heard("3.9"), heard("3.9", revision=2, public=True)]
    _, facts = told(fulfilled, derive(fulfilled, published, day_passed=False))
    assert [(f.event, f.visibility, f.revision) for f in facts] == [(events.PLEDGE_FULFILLED, Visibility.PUBLIC, 3)]
    assert facts[0].body.declared is None


def test_when_it_is_looked_at_again() -> None:
    assert NEW.due_at == end_of(DUE)
    late = NEW.model_copy(update={"due": date(2023, 7, 1)})
    assert late.due_at == MADE_AT + LOOKED_AT_FIRST
    assert derive(NEW, [heard("3.9", public=True)], day_passed=False).due_at is None
    assert derive(NEW, [heard("3.9")], day_passed=False).due_at == end_of(DUE), "the public one is open still"


def test_withdrawn_it_stays() -> None:
    ended = withdraw(NEW)
    assert derive(ended, [heard("3.9")], day_passed=True).full.status is PledgeStatus.WITHDRAWN
    with pytest.raises(NotOpen):
        withdraw(ended)


facts_about_one_region = st.lists(
    st.builds(
        heard,
        index=st.sampled_from(["2.9", "3.4", "3.5", "3.9", "4.4"]),
        revision=st.integers(1, 5),
        on=st.dates(date(2023, 7, 1), date(2025, 2, 1)),
        verified=st.booleans(),
        public=st.booleans(),
        period=st.sampled_from([2022, 2023, 2024]),
        official=st.booleans(),
    ),
    max_size=14,
    unique_by=lambda one: (one.score, one.revision),
)


@given(facts=facts_about_one_region, order=st.randoms(use_true_random=False), day_passed=st.booleans())
def test_the_same_facts_come_to_the_same_whatever_their_order(
    facts: list[Heard], order: object, day_passed: bool
) -> None:
    at_once = derive(NEW, facts, day_passed=day_passed)
    shuffled = [*facts, *facts[:3]]
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    step: Pledge = NEW
    known: list[Heard] = []
    revisions: list[int] = []
    for fact in shuffled:
        known.append(fact)
        step, out = told(step, derive(step, known, day_passed=False))
        revisions += [one.revision for one in out]
    step, out = told(step, derive(step, known, day_passed=day_passed))
    revisions += [one.revision for one in out]
    assert (step.full, step.public) == (at_once.full, at_once.public)
    assert revisions == list(range(1, len(revisions) + 1)), "each fact one revision further"
    assert_public_knows_only_what_is_public(at_once.public, facts)


def assert_public_knows_only_what_is_public(view: View, facts: Sequence[Heard]) -> None:
    known = [f.counted for f in best_of_periods([f for f in newest(facts) if f.public]) if f.counted]
    assert view.declared is None
    assert view.counted is None or view.counted in known
