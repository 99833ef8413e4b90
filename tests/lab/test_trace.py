"""`livinglab trace`: a waterfall from the lab's sink, and from what Jaeger answers."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lab import waterfall
from lab.cli import app
from lab.errors import LabError

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ADDRESS = "http://127.0.0.1:16686"
BEGIN_US = 1_700_000_000_000_000


def jaegers(
    span: str, name: str, process: str, *, at_us: int, for_us: int, refs: list[tuple[str, str]]
) -> dict[str, Any]:
    return {
        "spanID": span,
        "operationName": name,
        "processID": process,
        "references": [{"refType": kind, "traceID": TRACE, "spanID": other} for kind, other in refs],
        "startTime": BEGIN_US + at_us,
        "duration": for_us,
    }


ANSWER = {
    "data": [
        {
            "traceID": TRACE,
            "processes": {"p1": {"serviceName": "assessment"}, "p2": {"serviceName": "scoring"}},
            "spans": [
                jaegers(
                    *("b", "process livinglab.assessment", "p2"),
                    at_us=2_000,
                    for_us=3_000,
                    refs=[("FOLLOWS_FROM", "z"), ("CHILD_OF", "a")],
                ),
                jaegers("a", "POST /submission", "p1", at_us=0, for_us=1_500, refs=[]),
            ],
        }
    ]
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked for; Jaeger has one trace."""
    seen: list[str] = []

    def get(url: str, **_: object) -> httpx.Response:
        seen.append(url)
        there = url.endswith(TRACE)
        return httpx.Response(200 if there else 404, json=ANSWER if there else {"errors": []})

    monkeypatch.setattr(httpx, "get", get)
    return seen


def test_a_trace_of_jaeger_is_shown_as_a_waterfall(asked: list[str]) -> None:
    shown = CliRunner().invoke(app, ["trace", TRACE.upper(), "--jaeger", f"{ADDRESS}/"])
    assert shown.exit_code == 0, shown.output
    assert asked == [f"{ADDRESS}/api/traces/{TRACE}"]
    first, second = [line for line in shown.output.splitlines() if "assessment " in line or "scoring " in line]
    assert "POST /submission" in first
    assert second.index("process") > first.index("POST")  # under its cause
    assert "2.0" in second
    assert "3.0" in second


def test_who_follows_from_another_trace_is_nobodys_child() -> None:
    told = waterfall.of_jaeger(ANSWER)
    assert [(span.span_id, span.parent_id) for span in told] == [("b", "a"), ("a", None)]


def test_a_trace_that_is_not_there_is_said_so(asked: list[str]) -> None:
    with pytest.raises(LabError, match="has no trace"):
        waterfall.fetch("0" * 32, ADDRESS, jaeger=True)


def test_what_is_no_id_is_asked_of_nobody(asked: list[str], tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["trace", "42", "--directory", str(tmp_path)])
    assert refused.exit_code == 2
    assert "32 hex digits" in refused.output
    assert asked == []
