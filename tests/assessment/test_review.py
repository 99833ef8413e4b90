"""From submitted to published, by hand: who inherits what, which order holds, what is refused without what."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.assessment import CycleOpened, Stage, StageDates, Status
from services.assessment.domain.answer import Draft, UnknownIndicator
from services.assessment.domain.assessment import Assessment
from services.assessment.domain.refusals import (
    AspectsIncomplete,
    ConsentMissing,
    JustificationMissing,
    MinutesMissing,
    RouteFixed,
    StageClosed,
    StageNotOfRoute,
    StageNotReached,
    StageOutOfTime,
    UnknownRoute,
)
from services.assessment.domain.review import STAGES, AspectReport, Assessor, Reason
from tests.assessment.reviewing import AT, CYCLE, SPBE, TODAY, found, reports, submitted

# Made: no cycle of the past has dates or routes that a source gives.
DATED = CYCLE.model_copy(
    update={
        "stages": (
            StageDates(stage=Stage.SELF, opens=date(2023, 4, 1), closes=date(2023, 5, 31)),
            StageDates(stage=Stage.DOCUMENT, opens=date(2023, 7, 1), closes=date(2023, 7, 31)),
        ),
        "routes": ("pemantauan", "evaluasi"),
    }
)
"""Simulasi."""
ASSESSOR = Assessor("a", "itb")
LEVELS = st.sampled_from("12345")
EVERY = dict.fromkeys(range(1, 48), "3")


@pytest.fixture
def under_review() -> Assessment:
    return submitted(EVERY).assign([ASSESSOR], route=None, cycle=CYCLE).take_up()


def closed(assessment: Assessment, stage: Stage, *, cycle: CycleOpened = CYCLE, today: date = TODAY) -> Assessment:
    return assessment.close(stage, cycle=cycle, today=today)


@given(
    own=st.fixed_dictionaries(dict.fromkeys(range(1, 48), LEVELS)),
    taken_up=st.lists(st.dictionaries(st.integers(1, 47), LEVELS, max_size=5), min_size=1, max_size=3),
)
def test_what_a_stage_did_not_take_up_has_the_level_of_the_stage_before(
    own: dict[int, str], taken_up: list[dict[int, str]]
) -> None:
    review, expected = submitted(own).take_up(), {Stage.SELF: own}
    running = dict(own)
    for stage, levels in zip(STAGES, taken_up, strict=False):
        drafts = {n: Draft(level, justifikasi="Reviu.") for n, level in levels.items()}
        review = closed(found(review, stage, drafts), stage)
        running = expected[stage] = running | levels
    assert review.state().levels == expected
    assert {n: f.level for n, f in review.findings.get(STAGES[0], {}).items()} == taken_up[0]


def test_an_open_stage_is_nobody_elses_business(under_review: Assessment) -> None:
    worked_on = found(under_review, Stage.DOCUMENT, {7: Draft("1", "RAHASIA", "RAHASIA", justifikasi="RAHASIA")})
    assert set(worked_on.state().levels) == {Stage.SELF}
    assert worked_on.levels(Stage.DOCUMENT)[7] == "1"
    assert "RAHASIA" not in closed(worked_on, Stage.DOCUMENT).state().model_dump_json()


def test_stages_are_closed_in_their_order_and_stay_closed(under_review: Assessment) -> None:
    for later in (Stage.INTERVIEW, Stage.SITE_VISIT):
        with pytest.raises(StageNotReached, match="Close document first"):
            closed(under_review, later)
    with pytest.raises(StageNotOfRoute):
        closed(under_review, Stage.SELF)
    visited = closed(closed(under_review, Stage.DOCUMENT), Stage.SITE_VISIT)  # an interview is not always held
    for earlier in STAGES:
        with pytest.raises(StageClosed, match="document, site_visit"):
            found(visited, earlier, {1: Draft("3")})


def test_monitoring_ends_with_the_documents() -> None:
    monitored = submitted(EVERY).assign([ASSESSOR], route="pemantauan", cycle=CYCLE).take_up()
    with pytest.raises(StageNotOfRoute):
        closed(closed(monitored, Stage.DOCUMENT), Stage.INTERVIEW)
    assert closed(monitored, Stage.DOCUMENT).verify(reports(), instrument=SPBE).status is Status.VERIFIED


def test_an_evaluation_is_not_verified_without_an_interview() -> None:
    evaluated = closed(submitted(EVERY).assign([ASSESSOR], route="evaluasi", cycle=CYCLE).take_up(), Stage.DOCUMENT)
    with pytest.raises(StageNotReached, match="interview"):
        closed(evaluated, Stage.SITE_VISIT)
    with pytest.raises(StageNotReached, match="interview"):
        evaluated.verify(reports(), instrument=SPBE)
    assert closed(evaluated, Stage.INTERVIEW).verify(reports(), instrument=SPBE).status is Status.VERIFIED


def test_a_cycle_with_routes_takes_no_other() -> None:
    with pytest.raises(UnknownRoute, match="pemantauan, evaluasi"):
        submitted(EVERY).assign([ASSESSOR], route=None, cycle=DATED)
    two = [Assessor("b", "ui"), ASSESSOR]
    assert submitted(EVERY).assign(two, route="evaluasi", cycle=DATED).state().assessors == ("a", "b")


@pytest.mark.parametrize("today", [date(2023, 3, 31), date(2023, 6, 1)])
def test_out_of_time_is_refused_with_the_dates(today: date) -> None:
    with pytest.raises(StageOutOfTime, match=f"self is open from 2023-04-01 to 2023-05-31; today is {today}"):
        replace(submitted(EVERY), status=Status.REOPENED).submit(instrument=SPBE, cycle=DATED, today=today)


@pytest.mark.parametrize("today", [date(2023, 7, 1), date(2023, 7, 31)])
def test_both_days_are_included(under_review: Assessment, today: date) -> None:
    assert closed(under_review, Stage.DOCUMENT, cycle=DATED, today=today).closed == (Stage.DOCUMENT,)
    with pytest.raises(StageOutOfTime):
        found(under_review, Stage.DOCUMENT, {1: Draft("3")}, cycle=DATED, today=date(2023, 8, 1))


def test_a_return_keeps_the_findings_and_opens_the_stages_again(under_review: Assessment) -> None:
    reviewed = closed(found(under_review, Stage.DOCUMENT, {7: Draft("1", justifikasi="x")}), Stage.DOCUMENT)
    returned = reviewed.give_back([Reason("Lengkapi.", 7), Reason("Rapikan.")], instrument=SPBE)
    assert (returned.closed, returned.reasons[0].indicator, set(returned.state().levels)) == ((), 7, {Stage.SELF})
    again = returned.submit(instrument=SPBE, cycle=CYCLE, today=TODAY).take_up()
    assert (again.reasons, again.levels(Stage.DOCUMENT)[7]) == ((), "1")
    with pytest.raises(UnknownIndicator) as refused:
        reviewed.give_back([Reason("x"), Reason("y", 48)], instrument=SPBE)
    assert (refused.value.status, refused.value.field) == (422, "reasons.1.indicator")


def test_what_is_returned_is_submitted_again_whatever_the_date() -> None:
    late, returned = date(2023, 7, 10), submitted(EVERY).assign([ASSESSOR], route="evaluasi", cycle=DATED).take_up()
    returned = returned.give_back([Reason("Lengkapi.")], instrument=SPBE)
    assert returned.submit(instrument=SPBE, cycle=DATED, today=late).status is Status.SUBMITTED
    with pytest.raises(StageOutOfTime):  # it could not be submitted again
        submitted(EVERY).reopen(cycle=DATED, today=late)


def test_what_was_found_in_time_is_closed_later_too(under_review: Assessment) -> None:
    assert closed(under_review, Stage.DOCUMENT, cycle=DATED, today=date(2023, 8, 2)).closed
    with pytest.raises(StageOutOfTime):
        closed(under_review, Stage.DOCUMENT, cycle=DATED, today=date(2023, 6, 30))


def test_another_assessor_changes_no_route(under_review: Assessment) -> None:
    evaluated = submitted(EVERY).assign([ASSESSOR], route="evaluasi", cycle=CYCLE).take_up()
    assert evaluated.assign([Assessor("b", "ui")], route=None, cycle=CYCLE).route == "evaluasi"
    with pytest.raises(RouteFixed):
        evaluated.assign([ASSESSOR], route="pemantauan", cycle=CYCLE)


def test_who_differs_says_why(under_review: Assessment) -> None:
    for level, justifikasi in [("3", ""), ("4", "Reviu."), ("2", "Reviu.")]:
        assert found(under_review, Stage.DOCUMENT, {7: Draft(level, justifikasi=justifikasi)})
    with pytest.raises(JustificationMissing) as refused:
        found(under_review, Stage.DOCUMENT, {7: Draft("4", justifikasi=" ", place="findings.0.")})
    assert refused.value.field == "findings.0.justifikasi"


def test_a_verified_one_that_is_returned_has_no_consent_any_more(under_review: Assessment) -> None:
    verified = closed(under_review, Stage.DOCUMENT).verify(reports(), instrument=SPBE)
    returned = verified.consent_to_publication(by="sekda", at=AT).give_back([Reason("x")], instrument=SPBE)
    assert (returned.consent, returned.reports, returned.closed) == (None, (), ())


def test_minutes_and_consent_are_two_acts(under_review: Assessment) -> None:
    verified = closed(under_review, Stage.DOCUMENT).verify(reports(), instrument=SPBE)
    with pytest.raises(ConsentMissing):
        verified.publish()
    assert verified.consent_to_publication(by="sekda", at=AT).publish().status is Status.PUBLISHED


def test_a_change_of_an_answer_voids_the_minutes() -> None:
    reopened = submitted(EVERY).reopen(cycle=CYCLE, today=TODAY)
    assert reopened.submit(instrument=SPBE, cycle=CYCLE, today=TODAY).status is Status.SUBMITTED
    changed = reopened.answer({7: Draft("4")}, instrument=SPBE, by="dinas", at=AT)
    with pytest.raises(MinutesMissing):
        changed.submit(instrument=SPBE, cycle=CYCLE, today=TODAY)


@pytest.mark.parametrize("aspects", [[], [1, *range(1, 9)], [*range(9)], [*range(1, 10)], [*range(1, 8)]])
def test_each_aspect_is_reported_on_once(under_review: Assessment, aspects: list[int]) -> None:
    with pytest.raises(AspectsIncomplete):
        closed(under_review, Stage.DOCUMENT).verify([AspectReport(a, "", "", ()) for a in aspects], instrument=SPBE)
