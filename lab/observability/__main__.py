"""Writes dashboards and rules, the latter also for Kubernetes. `python -m lab.observability [--check]`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.observability import slos
from lab.observability.boards import BOARDS
from lab.observability.dashboards import encoded

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OBSERVABILITY = DEPLOY / "observability"
MONITORING = DEPLOY / "k8s" / "components" / "monitoring"
HEAD = "# Written by `python -m lab.observability` from lab/observability: change it there.\n"
ALERTS_HEAD = "# The alerts are those of deploy/observability/prometheus/alerts.yml.\n"


class _Indented(yaml.SafeDumper):
    """Lists one step further in than their key, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Never without."""
        super().increase_indent(flow, False)


def files() -> Mapping[Path, str]:
    """Every generated file with its text: the same text for the same code."""
    boards = {OBSERVABILITY / "grafana" / "dashboards" / f"{one.uid}.json": encoded(one) for one in BOARDS}
    return {
        OBSERVABILITY / "prometheus" / "slo.yml": HEAD + _dumped(slos.rules()),
        MONITORING / "rules.yaml": HEAD + ALERTS_HEAD + "---\n".join(_dumped(rule) for rule in _for_the_operator()),
        **boards,
    }


def _for_the_operator() -> list[dict[str, Any]]:
    """The same rules as Prometheus' operator reads them: kustomize can't wrap a file in a manifest."""
    alerts = yaml.safe_load((OBSERVABILITY / "prometheus" / "alerts.yml").read_text())
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": name},
            "spec": rules,
        }
        for name, rules in (("slo", slos.rules()), ("alerts", alerts))
    ]


def _dumped(document: Any) -> str:
    return yaml.dump(document, Dumper=_Indented, sort_keys=False, width=120, allow_unicode=True)


def main(arguments: list[str]) -> int:
    """Exit status: 0, 1 when `--check` finds a difference, 2 for unknown arguments."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m lab.observability [--check]", file=sys.stderr)
        return 2
    different = [path for path, text in files().items() if not path.is_file() or path.read_text() != text]
    for path in different:
        if arguments:
            print(f"{path} differs from the code; run `python -m lab.observability`", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path])
    return 1 if arguments and different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
