"""Dashboards and rules tell of everything that is measured, and lead to a runbook where something is wrong."""

import json
import re
from pathlib import Path

import pytest
import yaml

from contracts.telemetry import metrics
from lab.observability import __main__ as generator
from lab.observability.boards import BOARDS
from lab.observability.panel import Board, Panel

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "observability" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
UNITS = {"s", "short", "bytes", "ops", "reqps", "percentunit"}
PANELS = [(board, panel) for board in BOARDS for _, panels in board.rows for panel in panels]


def test_what_is_generated_is_committed() -> None:
    assert [path for path, text in generator.files().items() if path.read_text() != text] == []
    boards = ROOT / "deploy" / "observability" / "grafana" / "dashboards"
    assert {path.name for path in boards.iterdir()} == {f"{board.uid}.json" for board in BOARDS}


def test_every_metric_is_in_a_panel_or_a_rule_and_each_of_those_is_one() -> None:
    rules = [file.read_text() for file in RULES.glob("*.yml")]
    asked = " ".join(query for _, panel in PANELS for query, _ in panel.queries) + " ".join(rules)
    named = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\blivinglab_[a-z_]+", asked)}
    assert named == {row.full_name for row in metrics.ALL}


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=lambda one: getattr(one, "title", ""))
def test_a_panel_says_what_it_shows_and_what_to_do(board: Board, panel: Panel) -> None:
    assert panel.unit in UNITS
    assert panel.description.endswith(".")
    assert panel.bad is None or (panel.warn is not None and panel.warn <= panel.bad and panel.runbook)
    assert panel.runbook is None or (RUNBOOKS / f"{panel.runbook}.md").is_file()
    told = json.loads((generator.OBSERVABILITY / "grafana" / "dashboards" / f"{board.uid}.json").read_text())
    shown = next(one for one in told["panels"] if one["title"] == panel.title and one["type"] != "row")
    assert [target["expr"] for target in shown["targets"]] == [query for query, _ in panel.queries]
    assert len({one["id"] for one in told["panels"]}) == len(told["panels"])


def test_labels_that_are_asked_for_are_those_of_the_metric() -> None:
    of_the_scrape = {"le", "service", "role", "instance", "job"}
    for _, panel in PANELS:
        for query, legend in panel.queries:
            asked_of = [row for row in metrics.ALL if re.search(rf"\b{row.full_name}(_bucket|_count)?\b", query)]
            known = of_the_scrape.union(*(row.labels for row in asked_of))
            asked = set(re.findall(r"([a-z_]+)=~?\"", query)) | set(re.findall(r"\{\{([a-z_]+)\}\}", legend))
            by = {name.strip() for group in re.findall(r"by \(([a-z_, ]+)\)", query) for name in group.split(",")}
            assert asked | by <= known, panel.title


def test_every_rule_file_is_loaded() -> None:
    configured = yaml.safe_load((RULES / "prometheus.yml").read_text())["rule_files"]
    assert {RULES / name for name in configured} | {RULES / "prometheus.yml"} == set(RULES.glob("*.yml"))
