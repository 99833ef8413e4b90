"""The state machine of an assessment, by hand, and the one form of a level."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.problem import Problem
from contracts.assessment import AssessmentState, InstrumentPublished, Stage, Status
from services.assessment import catalogue
from services.assessment.domain.answer import Draft, LevelNotWhole, LevelOffScale, UnknownIndicator, checked_level
from services.assessment.domain.assessment import Assessment
from services.assessment.domain.refusals import (
    Incomplete,
    WrongStatus,
)
from services.assessment.domain.review import Act, Assessor, Reason
from tests.assessment.reviewing import CYCLE, TODAY, found, reports

AT = datetime(2023, 8, 1, 9, tzinfo=UTC)
SPBE = catalogue.instrument("spbe-2020")
OF_2018 = catalogue.instrument("spbe-2018")
PEMDI = catalogue.instrument("pemdi-2026")


@pytest.fixture
def draft() -> Assessment:
    """Just opened."""
    return Assessment.opened(region="32.11", cycle=CYCLE)


@pytest.fixture
def filled(draft: Assessment) -> Assessment:
    """Every indicator answered, the minutes signed."""
    return sign(answered(draft, {n: Draft("3") for n in range(1, 48)}))


def answered(assessment: Assessment, drafts: dict[int, Draft], by: str = "dinas", at: datetime = AT) -> Assessment:
    return assessment.answer(drafts, instrument=SPBE, by=by, at=at)


def answer(assessment: Assessment) -> Assessment:
    return answered(assessment, {7: Draft("4")})


def sign(assessment: Assessment) -> Assessment:
    return assessment.sign_minutes(instrument=SPBE, by="sekda", at=AT)


def submit(assessment: Assessment) -> Assessment:
    return assessment.submit(instrument=SPBE, cycle=CYCLE, today=TODAY)


def consent(assessment: Assessment) -> Assessment:
    return assessment.consent_to_publication(by="sekda", at=AT)


def assign(assessment: Assessment) -> Assessment:
    return assessment.assign([Assessor("b", "itb"), Assessor("a", "itb")], route=None, cycle=CYCLE)


def find(assessment: Assessment) -> Assessment:
    return found(assessment, Stage.DOCUMENT, {7: Draft("2", justifikasi="Reviu belum ada.")})


def close(assessment: Assessment) -> Assessment:
    return assessment.close(Stage.INTERVIEW, cycle=CYCLE, today=TODAY)


def give_back(assessment: Assessment) -> Assessment:
    return assessment.give_back([Reason("Lengkapi data dukung.", 7)], instrument=SPBE)


def verify(assessment: Assessment) -> Assessment:
    return assessment.verify(reports(), instrument=SPBE)


def reopen(assessment: Assessment) -> Assessment:
    return assessment.reopen(cycle=CYCLE, today=TODAY)


Command = Callable[[Assessment], Assessment]
# Command → status in which it is possible → status afterwards; and how many facts it states. Elsewhere: WrongStatus.
COMMANDS: dict[Command, tuple[dict[Status, Status], int]] = {
    answer: ({Status.DRAFT: Status.DRAFT, Status.REOPENED: Status.REOPENED, Status.RETURNED: Status.RETURNED}, 0),
    sign: ({Status.DRAFT: Status.DRAFT, Status.REOPENED: Status.REOPENED, Status.RETURNED: Status.RETURNED}, 0),
    submit: (dict.fromkeys((Status.DRAFT, Status.REOPENED, Status.RETURNED), Status.SUBMITTED), 1),
    reopen: ({Status.SUBMITTED: Status.REOPENED}, 1),
    assign: ({status: status for status in set(Status) - {Status.DRAFT, Status.PUBLISHED}}, 1),
    Assessment.take_up: ({Status.SUBMITTED: Status.UNDER_REVIEW}, 0),
    find: ({Status.UNDER_REVIEW: Status.UNDER_REVIEW}, 0),
    close: ({Status.UNDER_REVIEW: Status.UNDER_REVIEW}, 1),
    give_back: ({Status.UNDER_REVIEW: Status.RETURNED, Status.VERIFIED: Status.RETURNED}, 1),
    verify: ({Status.UNDER_REVIEW: Status.VERIFIED}, 1),
    consent: ({Status.VERIFIED: Status.VERIFIED}, 0),
    Assessment.publish: ({Status.VERIFIED: Status.PUBLISHED}, 1),
}


def test_a_draft_has_a_natural_id_and_nothing_in_it(draft: Assessment) -> None:
    assert (draft.id, draft.status, draft.revision, dict(draft.answers)) == ("spbe-2023:32.11", Status.DRAFT, 0, {})


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_each_command_in_each_status(filled: Assessment, status: Status, command: Command) -> None:
    possible, facts = COMMANDS[command]
    closed = () if command is find else (Stage.DOCUMENT,)
    before = replace(filled, status=status, revision=5, closed=closed, consent=Act("sekda", AT))
    if status not in possible:
        with pytest.raises(WrongStatus, match=f"It is {status}") as refused:
            command(before)
        assert (refused.value.status, refused.value.field) == (409, "status")
    else:
        after = command(before)
        assert (after.status, after.revision) == (possible[status], 5 + facts)
    assert (before.status, before.revision, before.answers) == (status, 5, filled.answers)


def test_a_submission_with_gaps_is_refused_with_the_list_of_them(filled: Assessment) -> None:
    gaps = replace(filled, answers={n: a for n, a in filled.answers.items() if n not in (3, 30, 47)})
    with pytest.raises(Incomplete) as refused:
        submit(gaps)
    assert (refused.value.status, refused.value.members) == (409, {"missing": [3, 30, 47]})
    assert gaps.missing(SPBE) == [3, 30, 47]


def test_an_answer_replaces_only_its_own_and_counts_its_changes(filled: Assessment) -> None:
    later = AT + timedelta(hours=1)
    after = answered(filled, {7: Draft("4", "fakta", "analisis", "SIPD")}, by="kominfo", at=later)
    assert {n: a for n, a in after.answers.items() if n != 7} == {n: a for n, a in filled.answers.items() if n != 7}
    now = after.answers[7]
    assert (now.level, now.fakta, now.analisis, now.service_name) == ("4", "fakta", "analisis", "SIPD")
    assert (now.by, now.at, now.version, filled.answers[7].level) == ("kominfo", later, 2, "3")


def test_the_same_answer_again_still_counts_as_a_change(filled: Assessment) -> None:
    """Whoever saw the answer before must see that somebody confirmed it since."""
    assert answered(filled, {7: Draft("3")}).answer_version(7) == filled.answer_version(7) + 1 == 2


@pytest.mark.parametrize("bad", [{7: Draft("4"), 8: Draft("6")}, {7: Draft("4"), 48: Draft("3")}])
def test_one_bad_answer_among_many_changes_none(filled: Assessment, bad: dict[int, Draft]) -> None:
    with pytest.raises(Problem):
        answered(filled, bad)
    assert filled.answers[7].level == "3"


def test_an_assessment_cannot_be_written_to_behind_its_back(filled: Assessment) -> None:
    with pytest.raises(FrozenInstanceError):
        filled.revision = 9  # pyright: ignore[reportAttributeAccessIssue]


def test_others_learn_the_levels_and_nothing_that_was_written_in_support(draft: Assessment) -> None:
    told = answered(draft, {7: Draft("4", "RAHASIA-fakta", "RAHASIA-analisis", "RAHASIA-SIPD")}, by="RAHASIA-nama")
    state = told.state()
    assert state.levels == {Stage.SELF: {7: "4"}}
    assert "RAHASIA" not in state.model_dump_json()


# Levels


@pytest.mark.parametrize(
    ("instrument", "text", "kept"),
    [
        (SPBE, "3", "3"),
        (SPBE, "3.0", "3"),
        (SPBE, "3.0000000000", "3"),
        (SPBE, "03", "3"),
        (SPBE, "003.0", "3"),
        (SPBE, "1", "1"),
        (SPBE, "5", "5"),
        (SPBE, "٣", "3"),
        (OF_2018, "0", "0"),
        (OF_2018, "0.0", "0"),
        (OF_2018, "-0", "0"),
        (OF_2018, "-0.0", "0"),
        (PEMDI, "3.5", "3.5"),
        (PEMDI, "3.50", "3.5"),
        (PEMDI, "003.5", "3.5"),
        (PEMDI, "1.0000000001", "1.0000000001"),
        (PEMDI, "4.9999999999", "4.9999999999"),
        (PEMDI, "5.0", "5"),
        (PEMDI, "٣.٥", "3.5"),
    ],
)
def test_a_level_is_kept_in_one_form(instrument: InstrumentPublished, text: str, kept: str) -> None:
    assert checked_level(text, number=7, instrument=instrument) == kept


@pytest.mark.parametrize(
    ("instrument", "text", "refused"),
    [
        (SPBE, "0", LevelOffScale),
        (SPBE, "6", LevelOffScale),
        (SPBE, "-1", LevelOffScale),
        (SPBE, "-3", LevelOffScale),
        (SPBE, "5.0000000001", LevelOffScale),
        (SPBE, "999999999", LevelOffScale),
        (SPBE, "3.5", LevelNotWhole),
        (SPBE, "3.0000000001", LevelNotWhole),
        (OF_2018, "-1", LevelOffScale),
        (OF_2018, "0.5", LevelNotWhole),
        (PEMDI, "0.9999999999", LevelOffScale),
        (PEMDI, "5.0000000001", LevelOffScale),
    ],
)
def test_a_level_that_the_scale_lacks_is_refused_with_its_field(
    instrument: InstrumentPublished, text: str, refused: type[Problem]
) -> None:
    with pytest.raises(refused) as told:
        checked_level(text, number=7, instrument=instrument)
    assert (told.value.status, told.value.field) == (422, "level")


@pytest.mark.parametrize("number", [-1, 0, 48, 999])
def test_an_indicator_that_is_not_asked_is_refused_by_number(number: int) -> None:
    with pytest.raises(UnknownIndicator, match=f"1 to 47; {number} is not one"):
        checked_level("3", number=number, instrument=SPBE)


@given(st.from_regex(r"-?[0-9]{1,9}(\.[0-9]{1,10})?", fullmatch=True, alphabet="0123456789.-"))
def test_whatever_is_taken_can_be_told_to_others(text: str) -> None:
    """A level that breaks the contract of the fact would only be found out at the submission."""
    for instrument in (SPBE, OF_2018, PEMDI):
        try:
            level = checked_level(text, number=7, instrument=instrument)
        except (LevelOffScale, LevelNotWhole):
            continue
        assert checked_level(level, number=7, instrument=instrument) == level
        AssessmentState.model_validate(
            {
                "assessment": "spbe-2023:32.11",
                "region": "32.11",
                "instrument": instrument.instrument,
                "cycle": "spbe-2023",
                "period": 2023,
                "predicate_basis": "rounded",
                "status": "submitted",
                "levels": {"self": {7: level}},
            }
        )
