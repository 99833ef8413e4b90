"""What the tables of contracts/telemetry say of the code: nothing is measured, logged or traced that they lack."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.telemetry import logs, metrics, spans
from contracts.telemetry.page import page

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "chassis").rglob("*.py"), *(ROOT / "services").rglob("*.py")])
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
PROMETHEUS = re.compile(r"[a-z]+(_[a-z]+)*")
OTEL = re.compile(r"(http|messaging|cloudevents|error|livinglab)(\.[a-z_]+)+")


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call):
                yield source, node


def logged() -> Iterator[tuple[str, str, set[str]]]:
    """Event, level and fields of every line that is logged."""
    for source, call in calls():
        match call.func:
            case ast.Attribute(value=ast.Name(id="log"), attr=level) if level in LEVELS:
                match call.args:
                    case [ast.Constant(value=str(event))]:
                        yield event, level, {str(keyword.arg) for keyword in call.keywords}
                    case _:
                        pytest.fail(f"{source}:{call.lineno}: an event is a constant, whatever changes is a field")
            case _:
                pass


def test_every_line_that_is_logged_is_in_the_table_and_no_other() -> None:
    rows = {(row.event, row.level) for row in logs.ALL}
    assert {(event, level) for event, level, _ in logged()} == rows
    assert len(rows) == len(logs.ALL)
    fields = {row.event: set(row.fields) for row in logs.ALL}
    for row in logs.ALL:
        assert set().union(*(found for event, _, found in logged() if event == row.event)) == fields[row.event], row


def test_every_metric_is_made_from_its_row() -> None:
    made = {
        call.args[0].attr
        for _, call in calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("counter", "gauge", "histogram")
        and call.args
        and isinstance(call.args[0], ast.Attribute)
    }
    names = {name for name, row in vars(metrics).items() if isinstance(row, metrics.Metric)}
    assert made == names
    others = [
        f"{source.relative_to(ROOT)}:{call.lineno}"
        for source, call in calls()
        if isinstance(call.func, ast.Name) and call.func.id in ("Gauge", "Histogram") and source.name != "telemetry.py"
    ]
    assert others == []


@pytest.mark.parametrize("row", metrics.ALL, ids=lambda row: row.name)
def test_a_metric_is_named_as_prometheus_asks(row: metrics.Metric) -> None:
    assert PROMETHEUS.fullmatch(row.name)
    assert (row.kind == "counter") == row.name.endswith("_total")
    assert (row.kind == "histogram") == bool(row.buckets)
    assert list(row.buckets) == sorted(row.buckets)
    assert row.labels == tuple(label for label in row.labels if label in metrics.LABELS)
    assert row.meaning
    assert row.healthy


def test_no_label_is_of_a_region_an_organization_or_a_person() -> None:
    used = {label for row in metrics.ALL for label in row.labels}
    assert used == metrics.LABELS.keys()
    grows = {
        "region",
        "organization",
        "subscription",
        "actor",
        "user",
        "commitment",
        "assessment",
        "id",
        "code_of_region",
    }
    assert not used & grows


def test_an_attribute_is_a_convention_or_our_own() -> None:
    used = {name for row in spans.ALL for name in (*row.always, *row.sometimes)}
    assert used == spans.ATTRIBUTES.keys()
    assert [name for name in used if not OTEL.fullmatch(name)] == []


def test_the_edges_lead_over_spans_of_the_table() -> None:
    places = {"{method}": "[A-Z]+", "{route}": "/.+", "{topic}": r"livinglab\.[a-z]+"}

    def pattern(name: str) -> str:
        return "".join(places.get(part, re.escape(part)) for part in re.split(r"(\{[a-z]+\})", name))

    there = {(service, pattern(row.name)) for row in spans.ALL for service in row.services}
    for parent, child in {edge for edges in spans.EDGES.values() for edge in edges}:
        for service, name in (parent, child):
            ours = [one for of, one in there if of == service]
            assert service == spans.RECEIVER or any(re.fullmatch(one, name) for one in ours), name


def test_the_page_tells_of_all() -> None:
    told = page()
    for name in (
        *(row.full_name for row in metrics.ALL),
        *(row.name for row in spans.ALL),
        *(row.event for row in logs.ALL),
    ):
        assert name in told
