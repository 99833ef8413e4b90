"""Who may see what: the table is written by hand, on purpose, so that a change of rights shows as a changed line."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.viewer import (
    PUBLIC_VIEWER,
    Assigned,
    Depth,
    National,
    Public,
    Reach,
    Regions,
    Viewer,
    filter_of,
    sees,
    viewer_of,
)
from contracts.regions import Directory
from contracts.roles import Role, TokenClaims

ME = "a3f1"
SUMEDANG = Regions(frozenset({"32.11"}))
NOBODY, ALL, MINE = Public(), National(), Assigned(ME)


class Lore:
    """A province 32 with two regencies; 94 and its regency 94.01 were split off 91, whose regency was 91.07."""

    CLOSURES: Mapping[str, frozenset[str]] = {
        "32": frozenset({"32", "32.11", "32.73"}),
        "32.11": frozenset({"32.11"}),
        "94": frozenset({"94", "94.01", "91", "91.07"}),
        "94.01": frozenset({"94.01", "91.07"}),
        "94.09": frozenset({"94.09"}),
    }

    def find(self, code: str) -> object | None:
        return self.CLOSURES.get(code)

    def closure(self, code: str) -> frozenset[str]:
        return self.CLOSURES[code]

    def ended(self, code: str) -> bool:
        return code == "94.09"

    def successor(self, code: str) -> str:
        return {"94.00": "94.01"}.get(code, code)

    def lineage(self, code: str) -> frozenset[str]:
        return frozenset({code, "94.00"} if code == "94.01" else {code})


JABAR, OWN_JABAR = Regions(Lore.CLOSURES["32"], frozenset({"32"})), Regions(frozenset({"32"}))

TABLE: list[tuple[str, str, Reach, Reach]] = [
    # organization, roles,                     scores,     answers
    ("32.11", "operator", SUMEDANG, SUMEDANG),
    ("32.11", "asesor-internal", SUMEDANG, SUMEDANG),
    ("32.11", "pelaksana-entri-data", SUMEDANG, SUMEDANG),
    ("32.11", "penanggung-jawab", SUMEDANG, SUMEDANG),
    ("32.11", "koordinator-spbe", SUMEDANG, SUMEDANG),
    ("32.11", "kepala-daerah", SUMEDANG, SUMEDANG),
    ("32.11", "operator administrator", SUMEDANG, SUMEDANG),
    ("32.11", "administrator", NOBODY, NOBODY),
    ("32.11", "pembina", NOBODY, NOBODY),
    ("32.11", "peninjau", NOBODY, NOBODY),
    ("32.11", "asesor-eksternal", NOBODY, NOBODY),
    ("32.11", "operator asesor-eksternal", SUMEDANG, SUMEDANG),
    ("32.11", "", NOBODY, NOBODY),
    ("32.11", "raja", NOBODY, NOBODY),
    ("32", "operator", JABAR, OWN_JABAR),
    ("32", "pembina", JABAR, NOBODY),
    ("32", "pembina operator", JABAR, OWN_JABAR),
    ("32", "administrator", NOBODY, NOBODY),
    ("94", "operator", Regions(Lore.CLOSURES["94"], frozenset({"94"})), Regions(frozenset({"94", "91"}))),
    ("94.01", "operator", Regions(Lore.CLOSURES["94.01"]), Regions(Lore.CLOSURES["94.01"])),
    ("99.99", "operator kepala-daerah pembina", NOBODY, NOBODY),
    ("kemenpanrb", "peninjau", ALL, ALL),
    ("kemenpanrb", "peninjau pembina", ALL, ALL),
    ("kemenpanrb", "peninjau asesor-eksternal", ALL, ALL),
    ("kemenpanrb", "pembina", ALL, NOBODY),
    ("kemenpanrb", "pembina asesor-eksternal", ALL, MINE),
    ("kemenpanrb", "administrator", NOBODY, NOBODY),
    ("kemenpanrb", "operator", NOBODY, NOBODY),
    ("kemenpanrb", "", NOBODY, NOBODY),
    ("kemendagri", "pembina", ALL, NOBODY),
    ("kemendagri", "peninjau", NOBODY, NOBODY),
    ("kemendagri", "operator", NOBODY, NOBODY),
    ("universitas-indonesia", "asesor-eksternal", MINE, MINE),
    ("universitas-indonesia", "asesor-eksternal operator", MINE, MINE),
    ("universitas-indonesia", "pembina", NOBODY, NOBODY),
    ("universitas-indonesia", "peninjau", NOBODY, NOBODY),
    ("KEMENPANRB", "peninjau", NOBODY, NOBODY),
    ("", "operator", NOBODY, NOBODY),
]


def viewer(organization: str, roles: str) -> Viewer:
    return viewer_of(TokenClaims(sub=ME, organization=organization, roles=tuple(roles.split())), Lore())


@pytest.mark.parametrize(("organization", "roles", "scores", "answers"), TABLE)
def test_the_table_of_organizations_and_roles(organization: str, roles: str, scores: Reach, answers: Reach) -> None:
    found = viewer(organization, roles)
    assert (found.reach(Depth.SCORES), found.reach(Depth.ANSWERS)) == (scores, answers)
    assert found.actor == ME


def test_the_committed_regions_fit_the_rules() -> None:
    claims = TokenClaims(sub=ME, organization="32", roles=("pembina",))
    found = viewer_of(claims, Directory.load())
    assert isinstance(found.scores, Regions)
    assert {"32", "32.11"} <= found.scores.codes
    assert "33.01" not in found.scores.codes
    assert found.answers == Public()


def test_nobody_sees_the_public_only_and_may_nothing() -> None:
    assert (PUBLIC_VIEWER.scores, PUBLIC_VIEWER.answers) == (Public(), Public())
    assert not any(PUBLIC_VIEWER.may(*Role, at=code) for code in ("", "32.11", "None"))


def test_a_command_needs_the_role_and_that_very_region() -> None:
    operator = viewer("32.11", "operator")
    assert operator.may(Role.RESPONSIBLE, Role.OPERATOR, at="32.11")
    assert not operator.may(Role.RESPONSIBLE, at="32.11")
    assert not operator.may(Role.OPERATOR, at="32.73")
    assert not operator.may(at="32.11")


def test_a_province_commands_nothing_in_its_regencies_nor_in_its_predecessor() -> None:
    assert not viewer("32", "operator pembina").may(*Role, at="32.11")
    assert not viewer("94", "operator").may(*Role, at="91")


def test_answers_have_no_public_ones_so_the_public_filter_matches_nothing() -> None:
    assert filter_of(Public(), public=None) == {"_id": {"$in": []}}
    assert filter_of(Public(), public="published") == {"published": True}


CODES = st.sampled_from(["32", "32.11", "32.73", "94"])
ACTORS = st.sampled_from(["", "a", "b"])
WHOLE = {"32": {"32", "32.11", "32.73"}, "94": {"94"}}


def regions_of(codes: frozenset[str]) -> Regions:
    """With the provinces that they are the whole of."""
    return Regions(codes, frozenset(province for province, parts in WHOLE.items() if parts <= codes))


REACHES = st.one_of(
    st.builds(Public),
    st.builds(National),
    st.frozensets(CODES).map(Regions),
    st.frozensets(CODES).map(regions_of),
    st.builds(Assigned, ACTORS),
)
DOCUMENTS = st.fixed_dictionaries(
    {"_id": st.just("x"), "region": CODES},
    optional={"assessors": st.lists(ACTORS), "published": st.booleans() | st.none()},
).map(lambda document: {**document, "province": str(document["region"]).partition(".")[0]})


@given(reach=REACHES, document=DOCUMENTS, public=st.sampled_from([None, "published"]))
def test_the_filter_finds_exactly_what_the_reach_sees(
    reach: Reach, document: dict[str, Any], public: str | None
) -> None:
    assert matches(filter_of(reach, public=public), document) == sees(reach, document, public=public)


@given(reach=REACHES, document=DOCUMENTS)
def test_whoever_signs_in_still_sees_what_is_public(reach: Reach, document: dict[str, Any]) -> None:
    assert sees(reach, document, public="published") or not sees(Public(), document, public="published")


def matches(query: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """MongoDB's own meaning of the few operators that the filters use."""

    def clause(name: str, wanted: Any) -> bool:
        if name == "$or":
            return any(matches(one, document) for one in wanted)
        held = document.get(name)
        values = cast(list[object], held) if isinstance(held, list) else [held]
        choices: list[object] = wanted["$in"] if isinstance(wanted, dict) else [wanted]
        return any(value in choices for value in values)

    return all(clause(name, wanted) for name, wanted in query.items())


def test_who_is_of_a_renumbered_region_is_of_it_by_either_code() -> None:
    for token in ("94.00", "94.01"):
        viewer = viewer_of(TokenClaims(sub=ME, organization=token, roles=("operator",)), Lore())
        assert viewer.organization == "94.01"
        assert all(viewer.may(Role.OPERATOR, at=code) for code in ("94.00", "94.01"))
        assert not viewer.may(Role.OPERATOR, at="94")


def test_who_is_of_a_region_that_is_no_more_sees_what_it_was_and_does_nothing() -> None:
    viewer = viewer_of(TokenClaims(sub=ME, organization="94.09", roles=("operator",)), Lore())
    assert viewer.answers == Regions(frozenset({"94.09"}))
    assert not viewer.may(Role.OPERATOR, at="94.09")
