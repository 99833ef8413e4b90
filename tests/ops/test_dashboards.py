"""Dashboards in the eyes of others: Prometheus' parser, and the schema that Grafana publishes."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.tools import GRAFANA_SCHEMA, TYPESCRIPT, debian_tool, node_modules, run

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy" / "observability" / "grafana" / "dashboards"
BOARD = Path(__file__).resolve().parent / "grafana" / "board.ts"
TSC = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
VARIABLES = {"$__rate_interval": "5m", "$service": "scoring"}


def queries() -> list[str]:
    """Of all panels, with a value for each variable of Grafana's."""
    found: list[str] = []
    for path in sorted(DASHBOARDS.glob("*.json")):
        told: dict[str, Any] = json.loads(path.read_text())
        for target in (target for panel in told["panels"] for target in panel.get("targets", ())):
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            found.append(query)
    return found


def test_every_query_is_promql(tmp_path: Path) -> None:
    asked = queries()
    assert len(asked) > 40
    rules = [{"record": f"panel_{number}", "expr": query} for number, query in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = run([debian_tool("promtool", "prometheus"), "check", "rules", file])
    assert done.returncode == 0, done.stdout + done.stderr


def refused(boards: Sequence[Path], folder: Path) -> str:
    """What Grafana's own types find wrong in these files; nothing where they fit."""
    packages = node_modules(GRAFANA_SCHEMA, TYPESCRIPT)
    (folder / "node_modules").symlink_to(packages)
    shutil.copy(BOARD, folder)
    for board in boards:
        typed = f"import type {{ Board }} from './board';\nexport const board: Board = {board.read_text()};\n"
        (folder / f"{board.stem}.ts").write_text(typed)
    done = run([packages / ".bin" / "tsc", *TSC, *folder.glob("*.ts")])
    assert (done.returncode == 0) == (not done.stdout), done.stdout + done.stderr
    return done.stdout


def test_every_dashboard_fits_grafanas_schema(tmp_path: Path) -> None:
    boards = sorted(DASHBOARDS.glob("*.json"))
    assert len(boards) == 5
    assert refused(boards, tmp_path) == ""


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("refersh", "30s", "'\"refersh\"' does not exist"),
        ("graphTooltip", 3, "Type '3' is not assignable"),
        ("templating.list.0.sort", "asc", "is not assignable to type 'VariableSort"),
        ("panels.1.type", "timeserie", "Type '\"timeserie\"' is not assignable"),
        ("panels.1.options.lengend", {}, "'\"lengend\"' does not exist"),
        ("panels.1.options.legend.placement", "below", "Type '\"below\"' is not assignable"),
        ("panels.1.fieldConfig.defaults.unit", 7, "Type 'number' is not assignable to type 'string'"),
        ("panels.1.fieldConfig.defaults.custom.fillopacity", 8, "'\"fillopacity\"' does not exist"),
        ("panels.1.fieldConfig.defaults.thresholds.mode", "absolut", "Type '\"absolut\"' is not assignable"),
        ("panels.1.targets.0.expr", None, "Type 'null' is not assignable to type 'string'"),
    ],
)
def test_a_dashboard_that_does_not_fit_is_refused(path: str, value: object, complaint: str, tmp_path: Path) -> None:
    told: Any = json.loads((DASHBOARDS / "livinglab-service.json").read_text())
    *way, last = path.split(".")
    place = told
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(told))
    assert complaint in refused([broken], tmp_path)
