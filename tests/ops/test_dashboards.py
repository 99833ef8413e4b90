"""Dashboards in the eyes of others: Prometheus' parser, and the schema that Grafana publishes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.tools import debian_tool, run

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

DASHBOARDS = Path(__file__).resolve().parents[2] / "deploy" / "observability" / "grafana" / "dashboards"
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
