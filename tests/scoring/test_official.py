"""Official results are taken as they are or not at all, and each fault is told with its place."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.regions import Directory
from lab import published
from services.assessment import catalogue
from services.scoring.domain.official import REMARKS_MAX, ROWS_MAX, Judged, check_decree, judge, official_score
from services.scoring.domain.score import Instrument
from services.scoring.domain.table import CSV_MAX_BYTES, Record, of_csv, of_records

DIRECTORY = Directory.load()
CYCLE = catalogue.cycle("spbe-2023")
assert CYCLE is not None
INSTRUMENT = Instrument.of(catalogue.instrument(CYCLE.instrument))
HEADING = "code,name,kind,domain_1,index,predicate"
SUMEDANG = "32.11,Kabupaten Sumedang,kabupaten,5.00,4.14,Sangat Baik"
DATA = Path(published.__file__).parents[1] / "data"


def judged(content: bytes | str, *, instrument: Instrument = INSTRUMENT) -> Judged:
    found = Judged()
    rows = of_csv(content.encode() if isinstance(content, str) else content, instrument, found)
    assert CYCLE is not None
    judge(rows, cycle=CYCLE, instrument=instrument, directory=DIRECTORY, judged=found)
    return found


def table(*lines: str) -> Judged:
    return judged("\n".join([HEADING, *lines]))


def places(found: Judged) -> list[tuple[int | None, int | None, str]]:
    return [(fault.where.line, fault.where.column, fault.code) for fault in found.faults]


def as_printed(file: str) -> bytes:
    """The published columns of a results file, without what was reconstructed from them."""
    with (DATA / file).open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    columns = [name for name in rows[0] if not name.startswith("levels_sum")]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def test_the_published_results_of_2023_are_taken_as_they_were_printed() -> None:
    found = judged(as_printed("spbe-results-2023.csv"))
    assert (len(found.results), found.faults) == (528, [])
    (sumedang,) = [result for result in found.results if result.region == "32.11"]
    assert (sumedang.index, sumedang.predicate, sumedang.domains[1]) == ("4.14", "Sangat Baik", "5.00")
    assert {warning.code for warning in found.warnings} == {"name_differs"}  # "Kep.", "Sel.", "NTB" …


def test_a_semicolon_with_decimal_commas_and_a_tab_are_understood() -> None:
    expected = table(SUMEDANG).results
    for heading, line in (
        (HEADING.replace(",", ";"), SUMEDANG.replace(",", ";").replace("5.00", "5,00").replace("4.14", "4,14")),
        (HEADING.replace(",", "\t"), SUMEDANG.replace(",", "\t")),
        ("\ufeffKODE,Nama_Instansi,Kategori,D2001,Indeks,Predikat", SUMEDANG),
    ):
        found = judged(f"{heading}\r\n{line}\r\n")
        assert (found.results, found.faults) == (expected, [])


def test_windows_1252_with_semicolons_names_the_cell_that_is_no_utf8() -> None:
    lines = [HEADING, SUMEDANG, "32.12,Kabupaten Indramayu\u2019s,kabupaten,5.00,4.14,Sangat Baik"]
    found = judged("\r\n".join(lines).replace(",", ";").encode("cp1252"))
    assert (places(found), found.results) == ([(3, 2, "not_utf8")], [])


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("99.99,,,,4.14,", (3, 1, "unknown_region")),
        ("31.71,,,,4.14,", (3, 1, "not_a_government")),
        ("32.11,,,,4.14,", (3, 1, "repeated")),
        ("32.12,,kota,,4.14,", (3, 1, "other_kind")),
        ("32.12,,desa,,4.14,", (3, 3, "unknown_kind")),
        ("32.12,,,5.01,4.14,", (3, 4, "not_a_figure")),
        ("32.12,,,,,", (3, 5, "missing")),
        ("32.12,,,,4.14000000001,", (3, 5, "not_a_figure")),
        ("32.12,,,,\u0664.14,", (3, 5, "not_a_figure")),
        ("32.12,,,,0.99,", (3, 5, "not_a_figure")),
        ("32.12,,,,NaN,", (3, 5, "not_a_figure")),
        ("32.12,,,,4.14,Bagus", (3, 6, "unknown_predicate")),
        ("32.12,,,,4.14", (3, 6, "wrong_width")),
        ("32.12,,,,4.14,,", (3, 7, "wrong_width")),
        ('32.12,"x', (3, 1, "not_csv")),
        ('32.12,"x"y,,,4.14,', (3, 1, "not_csv")),
    ],
)
def test_a_fault_is_told_with_line_and_column(line: str, place: tuple[int, int, str]) -> None:
    assert places(table(SUMEDANG, line)) == [place]


def test_a_line_that_follows_a_cell_of_two_lines_keeps_its_number() -> None:
    assert places(table('32.11,"Kabupaten\nSumedang",kabupaten,5.00,4.14,', "", "99.99,,,,4.14,")) == [
        (5, 1, "unknown_region")
    ]


@pytest.mark.parametrize(
    ("heading", "place"),
    [
        ("code,index,domain_5", (1, 3, "unknown_column")),
        ("code,index,index", (1, 3, "unknown_column")),
        ("code,levels", (1, 2, "unknown_column")),
        ("code,index,domain_1,domain_01", (1, 4, "unknown_column")),
        ("code,index,D2001,domain_1", (1, 4, "unknown_column")),
        ("code", (1, 1, "missing_column")),
        ("", (1, 1, "missing_column")),
    ],
)
def test_a_heading_is_judged_too(heading: str, place: tuple[int, int, str]) -> None:
    assert place in places(judged(heading))


def test_a_decree_has_a_name_and_a_date_that_has_come() -> None:
    assert CYCLE is not None
    today = date(2024, 2, 1)
    assert (
        check_decree("Keputusan Menteri PANRB Nomor 13 Tahun 2024", date(2024, 1, 11), cycle=CYCLE, today=today) == []
    )
    codes = [
        [fault.code for fault in check_decree(decree, decided, cycle=CYCLE, today=today)]
        for decree, decided in (
            ("   ", today),
            ("x\ny", today),
            ('=HYPERLINK("x")', today),
            ("KM", date(2024, 2, 2)),
            ("KM", date(2022, 12, 31)),
        )
    ]
    assert codes == [["no_decree"], ["no_decree"], ["no_decree"], ["in_the_future"], ["before_the_cycle"]]


def test_records_of_the_national_api_come_to_the_same_as_csv() -> None:
    record = {
        "kode": "32.11", "tahun": 2023, "nama_instansi": "Kabupaten Sumedang", "kategori": "Kabupaten",
        "daerah": "Jawa Barat", "nilai": {"D2001": 5.0, "A2001": "5.0000000000", "indeks": 4.1350000001},
    }  # fmt: skip
    found = Judged()
    rows = of_records([Record.model_validate(record)], INSTRUMENT, found)
    assert CYCLE is not None
    judge(rows, cycle=CYCLE, instrument=INSTRUMENT, directory=DIRECTORY, judged=found)
    (result,) = found.results
    assert (found.faults, result.index, result.domains, result.aspects) == (
        [], "4.1350000001", {1: "5.0"}, {1: "5.0000000000"},
    )  # fmt: skip
    score = official_score(result, cycle=CYCLE, instrument=INSTRUMENT, decree="KM", decree_date=date(2024, 1, 11))
    assert (score.predicate, score.predicate_stated, score.index.shown) == ("Sangat Baik", False, "4.14")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"tahun": 2024}, "0.tahun", "other_year"),
        ({"nilai": {"indeks": 4.1, "D2009": 3}}, "0.nilai.D2009", "unknown_column"),
        ({"nilai": {"D2001": 3}}, "0.", "missing"),
    ],
)
def test_faults_of_records_name_their_path(change: dict[str, Any], field: str, code: str) -> None:
    found = Judged()
    record = Record.model_validate({"kode": "32.11", "tahun": 2023, "nilai": {"indeks": 4.14}} | change)
    assert CYCLE is not None
    rows = of_records([record], INSTRUMENT, found)
    judge(rows, cycle=CYCLE, instrument=INSTRUMENT, directory=DIRECTORY, judged=found)
    assert [(fault.where.field, fault.code) for fault in found.faults] == [(field, code)]


def test_published_averages_are_kept_as_they_were_printed() -> None:
    found = table("nasional,Indeks SPBE Nasional,,,2.79,", "NASIONAL,,kabupaten,,2.5,")
    assert ([(a.kind, a.index) for a in found.averages], found.faults) == ([(None, "2.79"), ("regency", "2.5")], [])
    for again in ("nasional", "NASIONAL", "nation"):
        assert places(table("nasional,,,,2.79,", f"{again},,,,2.80,")) == [(3, 1, "repeated")]
    assert [w.code for w in table("nasional,,,2.5,2.79,Baik").warnings] == ["index_alone"]


def test_a_table_without_a_row_is_a_fault() -> None:
    assert [fault.code for fault in table().faults] == ["nothing"]


def test_the_line_that_spreadsheets_write_above_a_heading_is_passed_over() -> None:
    found = judged(f"sep=;\n{HEADING};\n{SUMEDANG}".replace(HEADING + ";", HEADING).replace(",", ";"))
    assert ([result.index for result in found.results], found.faults) == (["4.14"], [])


def test_what_looks_odd_is_a_warning_and_taken_as_published() -> None:
    found = table("32.11,Kabupaten Garut,kabupaten,,1.80,Kurang")  # 2024: shown 1.80, decreed Kurang
    assert [(w.where.column, w.code) for w in found.warnings] == [(2, "name_differs"), (6, "predicate_differs")]
    assert [(r.index, r.predicate) for r in found.results] == [("1.80", "Kurang")]


HOSTILE: Sequence[tuple[str, Callable[[], bytes], str]] = [
    ("lines", lambda: b"code,index\n" + b"a\n" * 500_000, "wrong_width"),
    ("columns", lambda: b"a," * (CSV_MAX_BYTES // 2), "unknown_column"),
    ("one cell", lambda: b'code,index\n"' + b"x" * (CSV_MAX_BYTES - 20), "not_csv"),
    ("too long", lambda: b"code,index\n" + b" \n" * CSV_MAX_BYTES, "too_large"),
    ("zeros", lambda: bytes(CSV_MAX_BYTES), "not_csv"),
    ("rows", lambda: b"code,index\n" + b"nasional,2\n" * (ROWS_MAX + 5), "repeated"),
]


@pytest.mark.parametrize(("name", "content", "code"), HOSTILE, ids=[name for name, *_ in HOSTILE])
def test_a_hostile_table_is_refused_with_a_few_faults(name: str, content: Callable[[], bytes], code: str) -> None:
    found = judged(content())
    assert code in {fault.code for fault in found.faults}
    assert len(found.faults) <= REMARKS_MAX + 2


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: f"{HEADING}\n{text}".encode()))
def test_whatever_is_sent_is_judged_and_never_breaks(content: bytes) -> None:
    found = judged(content)
    json.dumps([fault.message for fault in found.faults])
    assert all(fault.message and fault.message_id for fault in found.faults)
