"""The committed list of regions is what its sources say, and its directory answers for any list."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from contracts.organizations import find_organization, organizations
from contracts.regions import DATA, Directory, Kind, UnknownGroup, UnknownRegion

HEADER = (DATA / "regions.csv").read_text(encoding="utf-8").partition("\n")[0]


@pytest.fixture(scope="module")
def directory() -> Directory:
    return Directory.load()


@pytest.fixture
def listed(tmp_path: Path, request: pytest.FixtureRequest) -> Directory:
    """A made list; each row: code, province, predecessors, the last day if it has one."""
    rows = [
        f"{code},Made,regency,{province},true,,,,{''.join(end)},{before}"
        for code, province, before, *end in request.param
    ]
    (tmp_path / "made.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    return Directory.load(tmp_path / "made.csv")


def test_38_provinces_416_regencies_98_cities(directory: Directory) -> None:
    assert len(directory) == 552
    assert Counter(region.kind for region in directory) == {Kind.PROVINCE: 38, Kind.REGENCY: 416, Kind.CITY: 98}


def test_546_govern_themselves_and_six_parts_of_jakarta_do_not(directory: Directory) -> None:
    governed = Counter(region.kind for region in directory if region.self_governing)
    assert governed == {Kind.PROVINCE: 38, Kind.REGENCY: 415, Kind.CITY: 93}
    others = {region.code for region in directory if not region.self_governing}
    assert others == {"31.01", "31.71", "31.72", "31.73", "31.74", "31.75"}


def test_codes_stay_text(directory: Directory) -> None:
    assert directory.get("11.10").name == "Kabupaten Aceh Singkil"
    assert directory.find("11.1") is None


def test_provinces_equal_the_sum_of_their_parts(directory: Directory) -> None:
    for province in directory:
        if province.kind is not Kind.PROVINCE:
            continue
        parts = [directory.get(code) for code in directory.closure(province.code) - {province.code}]
        assert parts
        assert province.population == sum(part.population or 0 for part in parts), province.name
        assert province.area_km2 == sum(part.area_km2 or 0 for part in parts), province.name


def test_what_no_source_gives_is_null(directory: Directory) -> None:
    assert {(r.valid_from, r.valid_to, r.predecessors) for r in directory} == {(None, None, None)}


def test_codes_tell_kind_and_province(directory: Directory) -> None:
    for region in directory:
        province, _, part = region.code.partition(".")
        assert region.province == province
        expected = Kind.PROVINCE if not part else Kind.REGENCY if int(part) <= 69 else Kind.CITY
        assert region.kind is expected, region.code


def test_closure_of_west_java_is_the_province_and_its_27_parts(directory: Directory) -> None:
    closure = directory.closure("32")
    assert len(closure) == 28
    assert {"32", "32.11", "32.79"} <= closure
    assert directory.closure("32") is closure
    assert directory.closure("32.11") == {"32.11"}


INVOLVED = [
    ("90", "90", "", "2026-01-01"),
    ("90.01", "90", ""),
    ("90.01.02", "90", ""),
    ("90.02", "91", ""),  # keeps its code in another province
    ("91", "91", "90"),
    ("91.01", "91", "80.07 80.08", "2026-01-01"),
    ("80.08", "80", "91.01", "2026-01-01"),  # a circle
]
CHANGED = [
    ("90", "90", ""),
    ("90.01", "90", "", "2025-01-01"),  # renumbered twice
    ("90.02", "90", "90.01", "2026-01-01"),
    ("90.03", "90", "90.02"),
    ("90.11", "90", "", "2026-01-01"),  # split, and is no more
    ("90.12", "90", "90.11"),
    ("90.13", "90", "90.11"),
    ("90.21", "90", ""),  # lost a part, and goes on
    ("90.22", "90", "90.21"),
    ("90.31", "90", "", "2026-01-01"),  # merged
    ("90.32", "90", "", "2026-01-01"),
    ("90.33", "90", "90.31 90.32"),
]
"""Made: what may become of regions."""


@pytest.mark.parametrize("listed", [INVOLVED], indirect=True)
def test_closure_has_parts_of_parts_and_what_they_came_from_but_not_its_other_parts(listed: Directory) -> None:
    assert listed.closure("90") == {"90", "90.01", "90.01.02"}
    assert listed.closure("91") == {"91", "91.01", "90.02", "90", "80.07", "80.08"}
    assert listed.closure("80.08") == {"80.08", "91.01", "80.07"}


@pytest.mark.parametrize("listed", [[("90", "90", "")]], indirect=True)
def test_empty_fields_are_unknown(listed: Directory) -> None:
    region = listed.get("90")
    assert (region.population, region.area_km2, region.predecessors) == (None, None, None)


@pytest.mark.parametrize(
    "row",
    [
        "90,Made,village,90,true,,,,,",
        "90,Made,regency,90,yes,,,,,",
        "90,Made,regency,90,true,many,,,,",
        "90,Made,regency,90,true,,wide,,,",
        "90,Made,regency,90,true,,,2022,,",
        "90,Made",
        "90,Made,regency,90,true,,,,2999-01-01,",
    ],
)
def test_a_row_that_is_no_region_is_refused_with_its_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "made.csv").write_text(f"{HEADER}\n{row}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"made\.csv, line 2"):
        Directory.load(tmp_path / "made.csv")


def test_a_code_that_stands_twice_is_refused(directory: Directory) -> None:
    with pytest.raises(ValueError, match=r"32\.11 stands twice"):
        Directory([*directory, directory.get("32.11")])


@pytest.mark.parametrize("code", ["99.99", "11.1", "", "32.11 "])
def test_an_unknown_code_is_named(directory: Directory, code: str) -> None:
    with pytest.raises(UnknownRegion) as get:
        directory.get(code)
    with pytest.raises(UnknownRegion):
        directory.closure(code)
    assert get.value.code == code


def test_the_commitment_of_west_java_has_nine_members(directory: Directory) -> None:
    members = directory.group("jabar-2023")
    assert {directory.get(code).name for code in members} == {
        "Jawa Barat",
        "Kabupaten Bandung",
        "Kabupaten Garut",
        "Kabupaten Kuningan",
        "Kabupaten Cirebon",
        "Kabupaten Majalengka",
        "Kabupaten Sumedang",
        "Kota Cirebon",
        "Kota Tasikmalaya",
    }


def test_an_unknown_group_names_those_there_are(directory: Directory) -> None:
    with pytest.raises(UnknownGroup, match="jabar-2023"):
        directory.group("jabar-2024")


def test_institutions_are_found_by_slug_and_never_look_like_regions(directory: Directory) -> None:
    assert find_organization("kemenpanrb") is organizations()["kemenpanrb"]
    assert find_organization("32.11") is None
    assert all(directory.find(slug) is None for slug in organizations())


@pytest.mark.parametrize("listed", [INVOLVED], indirect=True)
def test_containing_is_closure_seen_from_below(listed: Directory, directory: Directory) -> None:
    for regions in (listed, directory):
        codes = sorted({code for region in regions for code in regions.closure(region.code)})[:600]
        expected = {code: {region.code for region in regions if code in regions.closure(region.code)} for code in codes}
        assert {code: regions.containing(code) & {r.code for r in regions} for code in codes} == expected


@pytest.mark.parametrize("listed", [CHANGED], indirect=True)
def test_a_renumbered_region_is_one_a_split_one_is_nobodys_and_who_lost_a_part_goes_on(listed: Directory) -> None:
    assert {code: listed.successor(code) for code in ("90.01", "90.02", "90.11", "90.21", "90.31")} == {
        "90.01": "90.03",
        "90.02": "90.03",
        "90.11": "90.11",
        "90.21": "90.21",
        "90.31": "90.33",
    }
    assert listed.lineage("90.03") == {"90.01", "90.02", "90.03"}
    assert listed.lineage("90.33") == {"90.31", "90.32", "90.33"}
    assert {code: listed.lineage(code) for code in ("90.12", "90.21", "90.22")} == {
        "90.12": {"90.12"},
        "90.21": {"90.21"},
        "90.22": {"90.22"},
    }


@pytest.mark.parametrize("listed", [CHANGED], indirect=True)
def test_who_came_of_a_region_sees_what_it_was_but_not_what_another_still_is(listed: Directory) -> None:
    assert listed.closure("90.03") == {"90.03", "90.02", "90.01"}
    assert listed.closure("90.12") == {"90.12", "90.11"}
    assert listed.closure("90.22") == {"90.22"}
    assert listed.containing("90.11") == {"90.11", "90.12", "90.13", "90"}
    assert listed.containing("90.21") == {"90.21", "90"}


@pytest.mark.parametrize("listed", [CHANGED], indirect=True)
def test_each_day_has_its_governments(listed: Directory) -> None:
    """Whose first day no row tells has been there all along."""
    before, after = (listed.governments(on=date(year, 12, 31))[Kind.REGENCY] for year in (2025, 2026))
    assert set(before) - set(after) == {"90.02", "90.11", "90.31", "90.32"}
    assert "90.01" not in before


def test_groups_of_a_member_and_of_others(directory: Directory) -> None:
    assert directory.groups_of("32.11") == {"jabar-2023"}
    assert directory.groups_of("32.01") == set()
