"""The answer: reckoned by hand, and by rules that hold for any records."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.regions import Kind
from services.commitment.domain.funnel import Beside, Share, Split, Stage
from services.commitment.domain.path import Done, Invitation, Path, Pledged, Records, Scope, Signature, Target, Visit
from services.commitment.domain.progress import Apart, Progress, Scored
from services.commitment.domain.wording import words
from tests.commitment.records import ACTED, CAME, HOST, SIGNED, ask, of_one, scored


def path_of(records: Records, organization: str) -> Path:
    return next(path for path in ask(records).paths if path.organization == organization)


def progress_of(records: Records, organization: str) -> Progress:
    progress = path_of(records, organization).progress
    assert progress is not None
    return progress


@pytest.fixture
def studied() -> Records:
    """Made: 62 regions and 20 institutions came to study, as they did; what they did then is made."""
    regions = [f"{11 + n // 10}.{n % 10 + 1:02}" for n in range(62)]
    institutions = [f"universitas-{n}" for n in range(20)]
    signed = [*regions[:24], institutions[0]]
    later = ["3.50"] * 7 + ["3.00", "2.90", "3.01"]
    return Records(
        visits=[Visit(one, HOST, CAME) for one in [*regions, *institutions]],
        invitations=[Invitation("c", one) for one in [*regions[:30], *institutions[:5]]],
        signatures=[
            *(Signature("other" if one == regions[9] else "c", one, SIGNED) for one in signed),
            Signature("c", "31", SIGNED),
        ],
        done=[
            *(Done(one, "c", ACTED) for one in [*regions[:16], institutions[0], "31"]),
            *(Done(one, None, ACTED) for one in [regions[40], *institutions[5:7]]),
            Done(regions[41], None, date(2022, 11, 20)),
        ],
        pledged=[Pledged(regions[0], "c", True), Pledged(regions[1], "c", False), Pledged(regions[7], "c", True)],
        targets=[Target("c", "spbe-2020", Fraction("3.5"), frozenset())],
        scored=[
            scored(HOST, 2022, "3.01"),
            *(scored(one, 2023, "3.00") for one in regions[:10]),
            *(scored(one, 2024, index) for one, index in zip(regions[:10], later, strict=True)),
            scored(regions[11], 2023, "3.00"),
            scored(regions[12], 2024, "3.00"),
            scored(regions[13], 2023, "3.00"),
            scored(regions[13], 2026, "3.00", instrument="pemdi-2026"),
        ],
    )  # fmt: skip


def test_of_62_regions_and_20_institutions_each_step_has_its_denominator(studied: Records) -> None:
    answer = ask(studied)
    assert [(step.stage.value, step.count, step.of, step.before) for step in answer.steps] == [
        ("visited", 82, 82, 82),
        ("invited", 35, 82, 82),
        ("signed", 25, 82, 35),
        ("acted", 17, 82, 25),
        ("improved", 8, 10, 17),
        ("reached_target", 7, 9, 8),
    ]
    assert answer.followed_up == Split(together=Share(20, 82), regions=Share(17, 62), institutions=Share(3, 20))
    assert answer.reached_host == Share(8, 10)
    assert answer.beside == Beside(signed_without_visit=1, acted_without_visit=1, acted_without_signature=3)


def test_who_cant_be_measured_stands_apart_by_name(studied: Records) -> None:
    answer = ask(studied)
    assert answer.apart == {
        Apart.NO_SCORE: ("12.01", "12.05", "12.06", "universitas-0"),
        Apart.NO_BASE: ("12.03",),
        Apart.NO_LATER: ("12.02",),
        Apart.OTHER_INSTRUMENT: ("12.04",),
    }
    assert answer.no_target == ("11.10",)
    assert answer.no_host_score == ()


def test_a_commitment_begins_with_its_parties_and_counts_what_was_done_under_it(studied: Records) -> None:
    answer = ask(studied, Scope(commitment="c"))
    assert [(step.stage.value, step.count, step.of) for step in answer.steps[:3]] == [
        ("invited", 36, 36),
        ("signed", 25, 36),
        ("acted", 17, 36),
    ]
    assert answer.step(Stage.VISITED) is None
    assert answer.followed_up.together == Share(18, 36), "one acted under it without having signed it"
    assert ask(studied, Scope(commitment="none")).steps[0].count == 0


def test_the_answer_in_words(studied: Records) -> None:
    answer = ask(studied)
    assert words(answer, "id")[:7] == [
        "82 organisasi berkunjung: 62 daerah dan 20 lembaga.",
        "Menindaklanjuti (selesai, dengan bukti yang diterima): 20 dari 82 (24,4%); daerah 17 dari 62 (27,4%); "
        "lembaga 3 dari 20 (15,0%).",
        "Diundang dalam komitmen: 35 dari 82 (42,7%).",
        "Menandatangani: 25 dari 82 (30,5%); 25 dari 35 (71,4%) dari langkah sebelumnya.",
        "Menandatangani dan menindaklanjuti: 17 dari 82 (20,7%); 17 dari 25 (68,0%) dari langkah sebelumnya.",
        "Dari 17 yang sampai di situ, 10 terukur; indeksnya naik: 8 dari 10 (80,0%).",
        "Naik dan mencapai target: 7 dari 9 (77,8%) yang terukur dan punya target.",
    ]
    assert words(answer, "en")[7:] == [
        "Can't be measured: 4 without a score, 1 without one from before, 1 without one from after, 1 measured by "
        "another instrument.",
        "Reached the index that the host had when they came: 8 of 10 (80.0%) who signed and followed up; 8 of 10 "
        "(80.0%) of all visitors who can be measured.",
        "No signatory can be measured yet, so there is nothing to compare.",
    ]


@pytest.mark.parametrize(("parties", "said"), [(4, "1 dari 4"), (5, "1 dari 5 (20,0%)")])
def test_no_percent_of_fewer_than_five(parties: int, said: str) -> None:
    records = Records(
        invitations=[Invitation("c", f"32.0{n}") for n in range(parties)], signatures=[Signature("c", "32.00", SIGNED)]
    )
    assert f"Menandatangani: {said}." in words(ask(records, Scope(commitment="c")), "id")


def test_base_and_newest_are_of_periods_around_the_year_of_the_signature() -> None:
    results = [scored("32.05", period, index) for period, index in [(2021, "2"), (2023, "3"), (2024, "4"), (2025, "1")]]
    progress = progress_of(of_one("32.05", *results), "32.05")
    assert (progress.base.period, progress.later.period, progress.change) == (2023, 2025, -2)


def test_who_only_came_is_measured_from_the_visit() -> None:
    records = Records(
        visits=[Visit("32.05", HOST, CAME), Visit("32.05", "32.04", date(2023, 1, 1))],
        scored=[scored("32.05", period, "3") for period in (2022, 2023, 2024)],
    )
    path, progress = path_of(records, "32.05"), progress_of(records, "32.05")
    assert (path.visited, path.host) == (CAME, HOST)
    assert (progress.base.period, progress.later.period) == (2022, 2024)


def test_the_official_result_wins_over_the_computed_one_in_any_order() -> None:
    results = [scored("32.05", 2023, "3"), scored("32.05", 2024, "4", official=False), scored("32.05", 2024, "2.9")]
    later = replace(results[1], on=date(2026, 1, 1))
    for order in ([*results, later], [later, *reversed(results)]):
        assert progress_of(of_one("32.05", *order), "32.05").change == Fraction("-0.1")


def test_a_result_of_another_instrument_later_still_does_not_hide_what_was_measured() -> None:
    newer = scored("32.05", 2026, "1.5", instrument="pemdi-2026")
    records = of_one("32.05", scored("32.05", 2023, "3"), scored("32.05", 2024, "3.2"), newer)
    assert progress_of(records, "32.05").change == Fraction("0.2")


def test_a_rise_is_exact() -> None:
    path = path_of(of_one("32.05", scored("32.05", 2023, "3"), scored("32.05", 2024, "3.0000000001")), "32.05")
    assert path.improved


def test_of_two_instruments_the_one_that_measured_last() -> None:
    results = [scored("32.05", period, "3") for period in (2023, 2024)]
    results += [scored("32.05", period, "1", instrument="pemdi-2026") for period in (2023, 2026)]
    for order in (results, results[::-1]):
        assert progress_of(of_one("32.05", *order), "32.05").later.period == 2026


def test_who_signed_first_and_came_later_is_measured_from_the_signature() -> None:
    records = Records(
        visits=[Visit("32.05", HOST, date(2025, 1, 1))],
        signatures=[Signature("c", "32.05", SIGNED)],
        scored=[scored("32.05", period, "3") for period in (2023, 2024, 2025, 2026)],
    )
    assert progress_of(records, "32.05").base.period == 2023


@pytest.mark.parametrize(
    ("came", "signed", "done", "acted"),
    [
        (CAME, None, [date(2022, 11, 20)], None),
        (CAME, None, [date(2022, 11, 20), ACTED, CAME], CAME),
        (CAME, SIGNED, [date(2023, 7, 11)], date(2023, 7, 11)),
        (ACTED, SIGNED, [date(2023, 7, 11), SIGNED], SIGNED),
    ],
)
def test_acting_counts_from_the_visit_or_the_signature_whichever_was_first(
    came: date, signed: date | None, done: Sequence[date], acted: date | None
) -> None:
    records = Records(
        visits=[Visit("32.05", HOST, came)],
        signatures=[Signature("c", "32.05", signed)] if signed else [],
        done=[Done("32.05", None, day) for day in done],
    )
    assert path_of(records, "32.05").acted == acted


@pytest.mark.parametrize(
    ("pledged", "target", "reached"),
    [
        ([], None, None),
        ([Pledged("32.05", "c", False)], None, False),
        ([Pledged("32.05", "c", False), Pledged("32.05", None, True)], None, True),
        ([Pledged("32.05", "c", False)], Target("c", "spbe-2020", Fraction("3.5"), frozenset()), True),
        ([], Target("c", "spbe-2020", Fraction("3.51"), frozenset()), False),
        ([], Target("c", "spbe-2020", None, frozenset({"Baik", "Sangat Baik"})), True),
        ([], Target("c", "spbe-2020", None, frozenset({"Sangat Baik"})), False),
        ([], Target("c", "pemdi-2026", Fraction("1"), frozenset()), None),
        ([], Target("other", "spbe-2020", Fraction("1"), frozenset()), None),
    ],
)
def test_a_target_is_a_pledge_s_or_the_commitment_s_own(
    pledged: Sequence[Pledged], target: Target | None, reached: bool | None
) -> None:
    results = (scored("32.05", 2023, "3"), scored("32.05", 2024, "3.5"))
    records = of_one("32.05", *results, pledged=pledged, targets=[target] if target else [])
    assert path_of(records, "32.05").reached_target is reached


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ([scored(HOST, 2022, "3.5"), scored(HOST, 2024, "4.9")], True),
        ([scored(HOST, 2021, "3.51")], False),
        ([scored(HOST, 2023, "3")], None),
        ([scored(HOST, 2022, "1", instrument="pemdi-2026")], None),
    ],
)
def test_the_host_s_index_is_the_one_it_had_when_they_came(host: Sequence[Scored], reached: bool | None) -> None:
    records = of_one("32.05", scored("32.05", 2023, "3"), scored("32.05", 2024, "3.5"), *host)
    assert path_of(records, "32.05").reached_host is reached
    assert ask(records).no_host_score == (("32.05",) if reached is None else ())


def test_the_host_s_index_is_asked_of_visitors_alone_and_of_all_of_them() -> None:
    results = [scored(code, year, "3") for code in ("32.04", "32.05", "32.08", HOST) for year in (2022, 2024)]
    records = Records(
        visits=[Visit("32.05", HOST, CAME), Visit("32.08", HOST, CAME)],
        signatures=[Signature("c", "32.04", CAME), Signature("c", "32.05", CAME)],
        done=[Done("32.04", "c", ACTED), Done("32.05", "c", ACTED)],
        scored=results,
    )
    answer = ask(records, Scope(commitment="c"))
    assert (answer.reached_host, answer.no_host_score) == (Share(1, 1), ())
    assert ask(records).visitors_reached_host == Share(2, 2)


def test_a_host_is_not_among_its_own_visitors_and_days_and_hosts_bound_the_visits() -> None:
    records = Records(visits=[Visit(HOST, HOST, CAME), Visit("32.05", HOST, CAME), Visit("32.08", "32.04", SIGNED)])

    def came(scope: Scope) -> tuple[str, ...]:
        return ask(records, scope).steps[0].organizations

    assert came(Scope()) == ("32.05", "32.08")
    assert came(Scope(host=HOST)) == ("32.05",)
    assert came(Scope(since=CAME, until=CAME)) == ("32.05",)
    assert came(Scope(since=date(2022, 11, 22))) == ("32.08",)
    assert came(Scope(organizations=frozenset({"32.08", HOST}))) == ("32.08",)


def test_a_renumbered_region_counts_once_with_all_that_it_did_before() -> None:
    records = Records(
        visits=[Visit("91.01", "91.02", CAME), Visit("92.01", HOST, SIGNED), Visit("92.02", "91.02", CAME)],
        signatures=[Signature("c", "91.01", SIGNED)],
        done=[Done("92.01", "c", ACTED)],
        scored=[scored("91.01", 2023, "2"), scored("92.01", 2024, "3")],
    )
    answer = ask(records, successor=lambda code: code.replace("91.", "92."))
    (path,) = answer.paths
    assert (path.organization, path.host, path.improved) == ("92.01", "92.02", True)
    assert answer.step(Stage.IMPROVED) == replace(answer.steps[4], organizations=("92.01",), of=1, before=1)


# Rules that hold for any records

REGIONS = ["32.05", "32.08", "32.10", "32.11", "32.71", "32"]
KINDS = dict.fromkeys(REGIONS[:4], Kind.REGENCY) | {"32.71": Kind.CITY, "32": Kind.PROVINCE}
organizations = st.sampled_from([*REGIONS, "universitas-a", "universitas-b"])
hosts = st.sampled_from(["32.11", "32"])
days = st.dates(date(2021, 1, 1), date(2025, 12, 31))
commitments = st.sampled_from(["c", "d"])
instruments = st.sampled_from(["spbe-2020", "spbe-2020", "pemdi-2026"])
indices = st.integers(100, 500).map(lambda hundredths: Fraction(hundredths, 100))
predicates = st.sampled_from(["Cukup", "Baik", "Sangat Baik"])
all_records = st.builds(
    Records,
    visits=st.lists(st.builds(Visit, organizations, hosts, days), max_size=10),
    invitations=st.lists(st.builds(Invitation, commitments, organizations), max_size=8),
    signatures=st.lists(st.builds(Signature, commitments, organizations, days), max_size=8),
    done=st.lists(st.builds(Done, organizations, st.none() | commitments, days), max_size=10),
    pledged=st.lists(st.builds(Pledged, organizations, st.none() | commitments, st.booleans()), max_size=4),
    targets=st.lists(
        st.builds(Target, commitments, instruments, st.none() | indices, st.frozensets(predicates)),
        max_size=2,
        unique_by=lambda target: target.commitment,
    ),
    scored=st.lists(
        st.builds(
            Scored, st.sampled_from(REGIONS), st.integers(2020, 2026), instruments, indices, predicates, days,
            st.booleans(),
        ),
        max_size=40,
    ),
)  # fmt: skip
scopes = st.builds(
    Scope,
    commitment=st.none() | commitments,
    organizations=st.none() | st.frozensets(organizations),
    host=st.none() | hosts,
    since=st.none() | days,
    until=st.none() | days,
)
KEYS = ("visits", "invitations", "signatures", "done", "pledged", "targets", "scored")


@given(all_records, scopes)
def test_each_step_lies_in_the_one_before_and_sums_add_up(records: Records, scope: Scope) -> None:
    answer = ask(records, scope, among=KINDS)
    for before, step in zip(answer.steps, answer.steps[1:], strict=False):
        assert set(step.organizations) <= set(before.organizations)
        assert step.before == before.count
        assert step.count <= step.of <= answer.steps[0].count
    acted, improved, target = answer.steps[-3:]
    apart = [organization for names in answer.apart.values() for organization in names]
    assert len(apart) == len(set(apart))
    assert set(apart) <= set(acted.organizations)
    assert improved.of == acted.count - len(apart)
    assert target.of == improved.of - len(answer.no_target)
    split = answer.followed_up
    assert split.together.count == split.regions.count + split.institutions.count
    assert split.together.of == split.regions.of + split.institutions.of == answer.steps[0].count
    assert answer.reached_host.of <= improved.of
    found = answer.comparison
    assert found.joined.count == sum(cell.joined.count for cell in found.cells)
    assert found.others.count <= len(KINDS) - found.joined.count
    assert words(answer, "id") != words(answer, "en")


@given(all_records, scopes, st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nothing(records: Records, scope: Scope, chance: random.Random) -> None:
    shuffled = Records(**{name: chance.sample(getattr(records, name), len(getattr(records, name))) for name in KEYS})
    assert ask(shuffled, scope, among=KINDS) == ask(records, scope, among=KINDS)


@given(all_records, scopes, all_records)
def test_who_is_not_asked_about_changes_nothing(records: Records, scope: Scope, foreign: Records) -> None:
    asked = replace(scope, organizations=scope.organizations or frozenset(REGIONS))
    elsewhere = {
        "visits": [replace(one, organization="95") for one in foreign.visits],
        "invitations": [replace(one, organization="95") for one in foreign.invitations],
        "signatures": [replace(one, organization="95") for one in foreign.signatures],
        "done": [replace(one, organization="95") for one in foreign.done],
        "pledged": [replace(one, organization="95") for one in foreign.pledged],
        "scored": [replace(one, region="95") for one in foreign.scored],
    }
    more = replace(records, **{name: [*getattr(records, name), *added] for name, added in elsewhere.items()})
    assert ask(more, asked, among=KINDS) == ask(records, asked, among=KINDS)


@given(all_records, scopes)
def test_a_new_code_changes_nothing_but_the_name(records: Records, scope: Scope) -> None:
    """Whatever was kept under the old code: the answer is the one of a region that always had the new one."""
    renumbered = {"32.08": "32.19"}

    def rename(one: Any) -> Any:
        name = "region" if isinstance(one, Scored) else "organization"
        code = getattr(one, name)
        return replace(one, **{name: renumbered.get(code, code)})

    always = Records(
        **{name: [rename(one) for one in getattr(records, name)] for name in KEYS if name != "targets"},
        targets=records.targets,
    )
    kinds = {renumbered.get(code, code): kind for code, kind in KINDS.items()}
    asked = replace(
        scope, organizations=scope.organizations and frozenset(renumbered.get(c, c) for c in scope.organizations)
    )
    found = ask(records, asked, among=kinds, successor=lambda code: renumbered.get(code, code))
    expected = ask(always, asked, among=kinds)
    assert (found.steps, found.comparison) == (expected.steps, expected.comparison)
