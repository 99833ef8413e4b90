"""What is observed on Kubernetes is what is observed on one machine: the same rules, the same collector."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops import k8s

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Manifests = list[dict[str, Any]]
Find = Callable[[str], dict[str, Any]]


@pytest.fixture
def observability(root: Path) -> Path:
    return root / "deploy" / "observability"


@pytest.mark.parametrize("name", ["slo", "alerts"])
@pytest.mark.parametrize("variant", ["base+monitoring", "national"])
def test_rules_are_those_of_one_machine(find: Find, observability: Path, name: str) -> None:
    assert find(f"PrometheusRule/{name}")["spec"] == yaml.safe_load(
        (observability / "prometheus" / f"{name}.yml").read_text()
    )


@pytest.mark.parametrize("variant", ["base+monitoring", "national"])
def test_there_are_no_other_rules(manifests: Manifests, observability: Path) -> None:
    named = yaml.safe_load((observability / "prometheus" / "prometheus.yml").read_text())["rule_files"]
    rules = k8s.of_kind(manifests, "PrometheusRule")
    assert {f"{rule['metadata']['name']}.yml" for rule in rules} == set(named)


@pytest.mark.parametrize("variant", ["base+collector", "national"])
def test_the_collector_reads_the_one_configuration(manifests: Manifests, observability: Path) -> None:
    assert k8s.config(manifests, "collector") == {"collector.yaml": (observability / "collector.yaml").read_text()}


def strangers(collector: dict[str, Any], configuration: str) -> list[str]:
    """What the manifest gives or opens that the configuration does not know."""
    read = dict(re.findall(r"\$\{env:(\w+):-([^}]*)\}", configuration))
    listens = {re.sub(r".*:", "", value) for value in read.values()}
    container = k8s.main_container(collector)
    found = [one["name"] for one in container["env"] if one["name"] not in read]
    return found + [port["name"] for port in container["ports"] if str(port["containerPort"]) not in listens]


def test_the_collector_is_given_what_its_configuration_reads(find: Find, observability: Path) -> None:
    configuration = (observability / "collector.yaml").read_text()
    collector = find("Deployment/collector")
    assert strangers(collector, configuration) == []
    container = k8s.main_container(collector)
    (mount,) = container["volumeMounts"]
    assert container["args"] == [f"--config={mount['mountPath']}/collector.yaml"]
    container["env"].append({"name": "TRACES_ADRESS", "value": ""})
    container["ports"][1]["containerPort"] = 13134
    assert strangers(collector, configuration) == ["TRACES_ADRESS", "health"]


def test_the_collector_is_of_the_version_that_was_tried(find: Find, root: Path) -> None:
    tried = yaml.safe_load((root / "tests" / "ops" / "collector" / "builder.yaml").read_text())["dist"]["version"]
    assert k8s.main_container(find("Deployment/collector"))["image"].rpartition(":")[2] == tried
