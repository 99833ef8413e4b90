"""Dead letters as operators see them; that they can be tried again is in test_republish.py, on the real parts."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lab import letters
from lab.cli import app

AT = datetime(2026, 8, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def letter() -> dict[str, Any]:
    return {
        "_id": "livinglab.assessment/0/3/17",
        "group": "scoring.assessment",
        "status": "open",
        "code": "unknown_reference",
        "detail": "livinglab.instrument has not told of spbe-2099",
        "reference": "spbe-2099",
        "tries": 2,
        "key": b"32.11",
        "value": b'{"region":"32.11"}',
        "headers": [["ce_type", b"id.livinglab.assessment.submitted.v1"], ["odd", b"\xff\x1b[2J"], ["none", None]],
        "traceparent": "00-e9d7bcfc4d0b21fa2b129426f64430d5-b4ad1b02ee6085b4-01",
        "recorded_at": AT,
        "set_aside_at": AT,
    }


def test_a_letter_tells_why_and_where_its_trace_is(letter: dict[str, Any]) -> None:
    shown = dict(letters.sheet(letter))
    assert shown["why"] == "livinglab.instrument has not told of spbe-2099"
    assert shown["waits for"] == "spbe-2099"
    assert shown["trace"] == "e9d7bcfc4d0b21fa2b129426f64430d5"
    assert shown["header ce_type"] == "id.livinglab.assessment.submitted.v1"
    assert shown["value"] == '{\n  "region": "32.11"\n}'


def test_what_a_record_holds_cannot_command_the_terminal(letter: dict[str, Any]) -> None:
    shown = dict(letters.sheet({**letter, "value": b"\x1b[2J\x07no JSON", "traceparent": None}))
    assert shown["header odd"] == r"\xff\x1b[2J"
    assert shown["value"] == r"\x1b[2J\x07no JSON"
    assert shown["trace"] == "none"


def test_a_long_value_is_shown_in_part(letter: dict[str, Any]) -> None:
    shown = dict(letters.sheet({**letter, "value": b"x" * 900_000}))
    assert shown["value"].endswith("… of 900,000 bytes")
    assert len(shown["value"]) < 2 * letters.PREVIEW_MAX_BYTES


def test_a_record_without_key_and_value_is_shown(letter: dict[str, Any]) -> None:
    shown = dict(letters.sheet({**letter, "key": None, "value": None}))
    assert (shown["key"], shown["value"]) == ("none", "none")


def test_the_list_has_the_reason_and_no_bytes(letter: dict[str, Any]) -> None:
    console = Console(file=StringIO(), width=200)
    console.print(letters.table([{k: v for k, v in letter.items() if k not in ("key", "value", "headers")}]))
    assert isinstance(console.file, StringIO)
    line = console.file.getvalue().splitlines()[1]
    assert "livinglab.assessment/0/3/17" in line
    assert "unknown_reference" in line
    assert "2026-08-01 09:30:00Z" in line


@pytest.mark.parametrize("arguments", [["retry"], ["retry", "a/0/0/0", "--all"], ["discard"]])
def test_one_letter_or_all_has_to_be_said(arguments: list[str]) -> None:
    told = CliRunner().invoke(app, ["dead-letters", *arguments])
    assert told.exit_code == 2
    assert "--all" in told.output
