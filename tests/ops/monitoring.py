"""A real Prometheus and a real Alertmanager, under the rules and routes that are deployed."""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

import httpx
import yaml

from lab.parts import Part
from lab.parts.process import ports
from tests.ops.tools import debian_tool

OBSERVABILITY = Path(__file__).resolve().parents[2] / "deploy" / "observability"


def prometheus(directory: Path, services: Mapping[str, Part], *, alertmanager: Part | None = None) -> Part:
    """Scrapes each of these (name → process) every second."""
    targets = [
        {
            "targets": [f"127.0.0.1:{part.env['METRICS_PORT']}"],
            "labels": {"service": name, "role": "both"},
        }
        for name, part in services.items()
    ]
    told: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(OBSERVABILITY / "prometheus" / name) for name in ("slo.yml", "alerts.yml")],
        "scrape_configs": [{"job_name": "livinglab", "static_configs": targets}],
    }
    if alertmanager is not None:
        where = [{"targets": [alertmanager.address.removeprefix("http://")]}]
        told["alerting"] = {"alertmanagers": [{"static_configs": where}]}
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(told))
    return _part(
        "prometheus",
        directory,
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--enable-feature=exemplar-storage",
    )


def alertmanager(directory: Path, *, receivers: str) -> Part:
    """With the routes that are deployed, their receivers being those at `receivers`, which ends with a slash.

    One time is shorter: that an alert is over is told at once, not at the end of five minutes.
    """
    text = (OBSERVABILITY / "alertmanager.yml").read_text()
    for name in ("pages", "tickets"):
        text = text.replace(f"http://{name}.invalid/", f"{receivers}{name}")
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "alertmanager.yml"
    file.write_text(text.replace("group_interval: 5m", "group_interval: 1s"))
    return _part(
        "prometheus-alertmanager",
        directory,
        f"--config.file={file}",
        f"--storage.path={directory / 'data'}",
        "--cluster.listen-address=",
    )


async def asked(client: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    """The series of a Prometheus (whose /api/v1 `client` begins its addresses with) that have a value."""
    answer = await client.get("query", params={"query": query})
    assert answer.status_code == 200, f"{query}: {answer.text}"
    return [one for one in answer.json()["data"]["result"] if not isnan(float(one["value"][1]))]


def _part(package: str, directory: Path, *arguments: str) -> Part:
    program = debian_tool(package, package)
    (port,) = ports(directory, 1)
    address = f"http://127.0.0.1:{port}"

    def unready() -> str | None:
        try:
            answer = httpx.get(f"{address}/-/ready", timeout=2, trust_env=False)
        except httpx.TransportError as failure:
            return f"no answer ({failure})"
        return None if answer.is_success else f"{answer.status_code}"

    return Part(
        package,
        address=address,
        port=port,
        command=[str(program), f"--web.listen-address=127.0.0.1:{port}", *arguments],
        directory=directory / "process",
        probe=unready,
        env={},
    )
