"""`livinglab score`: JSON lines in, JSON lines out, by the service's own arithmetic."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lab import published
from lab.cli import app
from lab.published import Published
from lab.score import score_lines

ALL_THREE = {str(number): 3 for number in range(1, 48)}
PEMDI = {str(number): 3 for number in range(1, 21)}


def asked(levels: object, *, instrument: object = "spbe-2020", period: object = 2023) -> str:
    return json.dumps({"instrument": instrument, "period": period, "levels": levels})


def answer(line: str) -> dict[str, Any]:
    (only,) = score_lines([line.encode()])
    return json.loads(only[0])


def error_of(line: str) -> str:
    return answer(line)["error"]["code"]


@pytest.mark.parametrize(
    ("path", "period", "rows"),
    [(published.RESULTS_2023, 2023, 528), (published.RESULTS_2024_WEST_JAVA, 2024, 28)],
)
def test_every_published_row_comes_out_as_printed(path: Path, period: int, rows: int) -> None:
    def printed(row: Published) -> dict[str, Any]:
        return {"index": row.index, "predicate": row.predicate, "domains": dict(row.domains)}

    def computed(score: dict[str, Any]) -> dict[str, Any]:
        domains = {int(number): figure["shown"] for number, figure in score["domains"].items()}
        return {"index": score["index"]["shown"], "predicate": score["predicate"], "domains": domains}

    results = published.read(path)
    answers = score_lines([asked(dict(row.levels), period=period).encode() for row in results])
    assert [computed(json.loads(line)) for line, _ in answers] == [printed(row) for row in results]
    assert len(results) == rows


def test_a_score_has_exact_and_shown_figures_of_every_layer() -> None:
    score = answer(asked({**ALL_THREE, "1": "4"}))
    assert score["index"] == {"value": "3.013", "shown": "3.01"}
    assert score["predicate"] == "Baik"
    assert score["domains"]["1"] == {"value": "3.1", "shown": "3.10"}
    assert score["aspects"].keys() == {str(number) for number in range(1, 9)}


def test_numbers_and_decimal_text_give_the_same_score() -> None:
    as_text = {number: f"{level}.0" for number, level in ALL_THREE.items()}
    assert answer(asked(as_text)) == answer(asked(ALL_THREE))


def test_a_decimal_is_taken_exactly_and_not_as_a_binary_float() -> None:
    line = asked(PEMDI, instrument="pemdi-2026", period=2026).replace('"1": 3,', '"1": 2.6750000000000000001,')
    as_text = {**PEMDI, "1": "2.6750000000000000001"}
    assert answer(line) == answer(asked(as_text, instrument="pemdi-2026", period=2026))
    assert Decimal(answer(line)["index"]["value"]) == Decimal(answer(line)["index"]["value"]).quantize(Decimal("1e-10"))


def test_an_instrument_without_domains_has_none() -> None:
    assert answer(asked(PEMDI, instrument="pemdi-2026", period=2026))["domains"] == {}


def test_the_predicate_follows_the_basis_of_the_cycle() -> None:
    # 2.5975, shown 2.60. 2023 put the rounded index into the bands, 2024 the unrounded one.
    sums = {(1, 10): 25, (11, 20): 30, (21, 31): 22, (32, 41): 27, (42, 47): 15}
    spread = (published.spread(total, range(first, last + 1)) for (first, last), total in sums.items())
    levels = {str(number): level for part in spread for number, level in part}
    found = {period: answer(asked(levels, period=period)) for period in (2023, 2024)}
    assert found[2023]["index"] == found[2024]["index"]
    assert (found[2023]["predicate"], found[2024]["predicate"]) == ("Baik", "Cukup"), found[2023]["index"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (asked({**ALL_THREE, "1": 6}), "level_off_scale"),
        (asked({**ALL_THREE, "1": 0}), "level_off_scale"),
        (asked({**ALL_THREE, "1": -3}), "level_off_scale"),
        (asked({**ALL_THREE, "1": 3.5}), "level_not_whole"),
        (asked({**ALL_THREE, "1": "3.5"}), "level_not_whole"),
        (asked({**ALL_THREE, "1": True}), "invalid_level"),
        (asked({**ALL_THREE, "1": None}), "invalid_level"),
        (asked({**ALL_THREE, "1": "three"}), "invalid_level"),
        (asked({**ALL_THREE, "1": "1/3"}), "invalid_level"),
        (asked(ALL_THREE).replace('"1": 3,', '"1": 3e999999999,'), "invalid_level"),
        (asked(ALL_THREE).replace('"1": 3,', '"1": 1e-999999999,'), "invalid_level"),
        (asked(ALL_THREE).replace('"1": 3,', f'"1": {"9" * 5_000},'), "invalid_level"),
        (asked(ALL_THREE).replace('"1": 3,', '"1": 1e99999999999999999999,'), "invalid_level"),
        (asked({**ALL_THREE, "48": 3}), "unknown_indicator"),
        (asked({**ALL_THREE, "01": 3}), "unknown_indicator"),
        (asked([3] * 47), "invalid_levels"),
        (asked(ALL_THREE, instrument="spbe-2021"), "unknown_instrument"),
        (asked(ALL_THREE, instrument=["spbe-2020"]), "unknown_instrument"),
        (asked(ALL_THREE, period=2019), "unknown_period"),
        (asked(ALL_THREE, period="2023"), "unknown_period"),
        (asked(ALL_THREE, period=True), "unknown_period"),
        (asked(ALL_THREE).replace('"1": 3,', '"1": 3, "1": 4,'), "duplicate_key"),
        (asked({**ALL_THREE, "1": float("nan")}), "invalid_json"),
        (asked({**ALL_THREE, "1": float("inf")}), "invalid_json"),
        ("{}", "unknown_instrument"),
        ("[1]", "invalid_json"),
        ("{", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
    ],
)
def test_a_line_without_a_score_says_why_by_a_stable_code(line: str, code: str) -> None:
    assert error_of(line) == code


def test_a_line_that_is_not_utf_8_is_told_of() -> None:
    (refused,) = score_lines([b'{"instrument": "\xff"}'])
    assert json.loads(refused[0])["error"]["code"] == "invalid_json"


def test_unanswered_indicators_are_named() -> None:
    error = answer(asked({n: 3 for n in ALL_THREE if n not in ("7", "47")}))["error"]
    assert error["code"] == "incomplete"
    assert "7, 47" in error["message"]


def test_the_command_goes_on_after_a_bad_line_and_fails_in_the_end(tmp_path: Path) -> None:
    lines = f"{asked(ALL_THREE)}\n\n  \nnonsense\n{asked(ALL_THREE)}\n"
    by_input = CliRunner().invoke(app, ["score"], input=lines)
    (tmp_path / "lines.jsonl").write_text(lines)
    by_file = CliRunner().invoke(app, ["score", str(tmp_path / "lines.jsonl")])
    by_dash = CliRunner().invoke(app, ["score", "-"], input=lines)
    assert by_input.exit_code == by_file.exit_code == by_dash.exit_code == 1
    assert by_input.stdout == by_file.stdout == by_dash.stdout
    good, bad, again = map(json.loads, by_input.stdout.splitlines())
    assert good == again
    assert good["index"]["value"] == "3"
    assert bad["error"]["code"] == "invalid_json"


def test_the_command_succeeds_when_every_line_has_a_score() -> None:
    assert CliRunner().invoke(app, ["score"], input=asked(ALL_THREE)).exit_code == 0
