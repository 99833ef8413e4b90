"""Beside those who did not join: from what was published of West Java, and like with like."""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction

import pytest

from contracts.regions import Directory, Kind
from lab import published
from services.commitment.domain.compared import Change
from services.commitment.domain.funnel import Funnel
from services.commitment.domain.path import Records, Scope, Signature, Visit
from services.commitment.domain.wording import words
from tests.commitment.records import CAME, HOST, SIGNED, ask, of_one, scored


@pytest.fixture(scope="module")
def west_java() -> tuple[Records, Mapping[str, Kind]]:
    """What was published of 2023 and 2024, and the nine that signed on 12 July 2023."""
    directory = Directory.load()
    years = {2023: published.RESULTS_2023, 2024: published.RESULTS_2024_WEST_JAVA}
    results = [scored(row.code, year, row.index) for year, file in years.items() for row in published.read(file)]
    signed = [Signature("jabar", code, SIGNED) for code in directory.group("jabar-2023")]
    among = {code: kind for kind, codes in directory.governments("32", on=date(2023, 12, 31)).items() for code in codes}
    return Records(signatures=signed, scored=results), among


def test_in_west_java_all_rose_whether_they_had_joined_or_not(
    west_java: tuple[Records, Mapping[str, Kind]],
) -> None:
    records, among = west_java
    answer = ask(records, Scope(commitment="jabar"), among=among)
    found = answer.comparison
    assert (found.joined.count, found.joined.improved, found.joined.total) == (9, 9, Fraction("4.12"))
    assert (found.others.count, found.others.improved, found.others.total) == (19, 19, Fraction("10.42"))
    assert [(cell.like.kind.value, cell.joined.count, cell.others.count) for cell in found.cells] == [
        ("regency", 6, 12),
        ("city", 2, 7),
        ("province", 1, 0),
    ]
    assert words(answer, "id")[-4:] == [
        "Penanda tangan: 9 dari 9 (100,0%) naik, rata-rata +0,46.",
        "Yang tidak menandatangani: 19 dari 19 (100,0%) naik, rata-rata +0,55.",
        "Disamakan jenis daerah, instrumen, dan tahunnya (8 penanda tangan): +0,44 berbanding +0,55.",
        "Kedua kelompok sama-sama naik; selisihnya bukan bukti sebab.",
    ]
    assert words(answer, "en")[-1] == "Both groups rose; the difference is no proof of a cause."


def compared(joined: str, other: str) -> Funnel:
    """A regency that signed and one that came but did not, both at 3 before."""
    records = of_one("32.05", *(scored(code, 2023, "3") for code in ("32.05", "32.08", "32.71", "32.09")))
    after = [("32.05", joined), ("32.08", other), ("32.71", "5"), ("32.09", "5")]
    more = Records(
        visits=[*records.visits, Visit("32.08", HOST, CAME)],
        signatures=[*records.signatures, Signature("another", "32.09", SIGNED)],
        done=records.done,
        scored=[*records.scored, *(scored(code, 2024, index) for code, index in after)],
    )
    among = {code: Kind.CITY if code == "32.71" else Kind.REGENCY for code in ("32.05", "32.08", "32.71", "32.09")}
    return ask(more, Scope(commitment="c"), among=among)


def test_like_is_compared_with_like_and_who_signed_anything_is_no_other() -> None:
    found = compared("3.5", "3.1").comparison
    assert found.joined == Change(1, 1, Fraction("0.5"))
    assert found.others == found.visited == Change(1, 1, Fraction("0.1"))


@pytest.mark.parametrize(
    ("joined", "other", "id_", "en"),
    [
        ("3.1", "3.2", "Kedua kelompok sama-sama naik", "Both groups rose"),
        ("3.1", "3", "Hanya penanda tangan yang naik", "Only the signatories rose"),
        ("2.9", "3.1", "Yang tidak menandatangani naik, penanda tangan tidak", "Those who did not sign rose"),
        ("3", "2.9", "Kedua kelompok sama-sama tidak naik", "Neither group rose"),
    ],
)
def test_no_comparison_is_told_as_a_cause(joined: str, other: str, id_: str, en: str) -> None:
    answer = compared(joined, other)
    indonesian, english = words(answer, "id")[-1], words(answer, "en")[-1]
    assert indonesian.startswith(id_)
    assert "bukan bukti sebab" in indonesian
    assert english.startswith(en)
    assert "no proof of a cause" in english


def test_a_fall_is_said_with_its_sign() -> None:
    assert "Penanda tangan: 0 dari 1 naik, rata-rata -0,50." in words(compared("2.5", "3.1"), "id")


def test_without_anybody_like_them_nothing_is_compared() -> None:
    records = of_one("32.05", scored("32.05", 2023, "3"), scored("32.05", 2024, "4"))
    answer = ask(records, among={"32.05": Kind.REGENCY})
    assert answer.comparison.standardised is None
    assert words(answer, "id")[-1] == (
        "Tidak ada daerah sebanding di luar para penanda tangan, jadi tidak ada pembanding."
    )


def test_a_region_like_several_of_the_joined_counts_once_where_most_of_them_are() -> None:
    codes = ("32.04", "32.05", "32.08", "32.09")
    signed = [Signature("c", code, SIGNED) for code in codes[:2]] + [Signature("c", "32.08", date(2022, 7, 12))]
    results = [scored(code, year, f"{year - 2020}") for code in codes for year in range(2022, 2025)]
    among: dict[str, Kind] = dict.fromkeys(codes, Kind.REGENCY)
    found = ask(Records(signatures=signed, scored=results), among=among).comparison
    assert [(cell.like.base, cell.joined.count, cell.others.count) for cell in found.cells] == [
        (2023, 2, 1),
        (2022, 1, 1),
    ]
    assert found.others == Change(1, 1, Fraction(1))
    assert found.standardised is not None
    assert (found.standardised.joined, found.standardised.others) == (Fraction(4, 3), Fraction(4, 3))


def test_who_only_came_has_not_joined() -> None:
    records = Records(visits=[Visit("32.05", HOST, CAME)], scored=[scored("32.05", year, "3") for year in (2022, 2024)])
    assert ask(records, among={"32.05": Kind.REGENCY}).comparison.joined.count == 0
