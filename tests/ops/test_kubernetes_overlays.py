"""What the overlays promise; the one that deploy/README.md tells to write; the secrets that are asked for."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops import k8s, policies

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Manifests = list[dict[str, Any]]
Find = Callable[[str], dict[str, Any]]
ZONE = "topology.kubernetes.io/zone"


def spread(manifest: dict[str, Any]) -> dict[str, str]:
    """Over what its pods are spread, and what happens where that can't be."""
    pods = manifest["spec"]["template"].get("pod") or k8s.pod(manifest)
    return {one["topologyKey"]: one["whenUnsatisfiable"] for one in pods.get("topologySpreadConstraints", [])}


def unspread(manifests: Manifests) -> list[str]:
    """What holds facts is in three zones or not at all; what serves is in as many as there are."""
    wanted = {"StatefulSet": "DoNotSchedule", "KafkaNodePool": "DoNotSchedule", "Deployment": "ScheduleAnyway"}
    return [
        k8s.title(manifest)
        for manifest in k8s.of_kind(manifests, *wanted)
        if spread(manifest).get(ZONE) != wanted[manifest["kind"]] and manifest["metadata"]["name"] != "collector"
    ]


def few(manifests: Manifests, least: int) -> list[str]:
    """What has fewer pods than there are zones. The collector has one on purpose."""
    return [
        k8s.title(one)
        for one in k8s.of_kind(manifests, "Deployment", "StatefulSet", "KafkaNodePool", "ScaledObject")
        if one["metadata"]["name"] != "collector"
        and one["spec"].get("replicas", one["spec"].get("minReplicaCount", least)) < least
    ]


def test_the_nation_is_served_from_three_zones(manifests: Manifests, find: Find) -> None:
    assert (unspread(manifests), few(manifests, 3)) == ([], [])
    find("KafkaNodePool/node")["spec"]["template"]["pod"]["topologySpreadConstraints"].pop()
    k8s.pod(find("StatefulSet/mongodb"))["topologySpreadConstraints"][0]["whenUnsatisfiable"] = "ScheduleAnyway"
    k8s.pod(find("Deployment/notify-api"))["topologySpreadConstraints"].pop()
    find("ScaledObject/notify-worker")["spec"]["minReplicaCount"] = 2
    assert unspread(manifests) == ["Deployment/notify-api", "StatefulSet/mongodb", "KafkaNodePool/node"]
    assert few(manifests, 3) == ["ScaledObject/notify-worker"]


@pytest.mark.parametrize("variant", ["single-node"])
def test_on_one_node_there_is_one_of_each(manifests: Manifests) -> None:
    counted = k8s.of_kind(manifests, "Deployment", "StatefulSet", "KafkaNodePool")
    assert {k8s.title(one): one["spec"]["replicas"] for one in counted if one["spec"]["replicas"] != 1} == {}
    assert k8s.of_kind(manifests, "ScaledObject", "PodMonitor") == []


@pytest.mark.parametrize("variant", k8s.VARIANTS)
def test_every_secret_that_is_asked_for_is_made_by_strimzi_or_by_a_command_that_is_told(
    manifests: Manifests, services: list[str]
) -> None:
    by_strimzi = {"kafka-cluster-ca-cert", *(f"kafka-{service}" for service in services)}
    told: set[str] = set()
    for file in (k8s.K8S / "base").rglob("*.yaml"):
        for name in re.findall(r"create secret generic ([\w$-]+)", file.read_text()):
            listed = re.search(r"for service in ([a-z ]+);", file.read_text()) if "$service" in name else None
            told |= {name.replace("$service", one) for one in listed[1].split()} if listed else {name}
    asked = {
        *(one["secretKeyRef"]["name"] for one in _within(manifests, "valueFrom") if "secretKeyRef" in one),
        *(one["secretName"] for one in _within(manifests, "secret")),
    }
    assert asked == by_strimzi | told


def _within(value: object, key: str) -> list[dict[str, Any]]:
    """Every mapping that stands under `key`, however deep."""
    if isinstance(value, list):
        return [found for part in value for found in _within(part, key)]
    if not isinstance(value, dict):
        return []
    here = [value[key]] if isinstance(value.get(key), dict) else []
    return [*here, *(found for part in value.values() for found in _within(part, key))]


@pytest.fixture
def own(root: Path, tmp_path: Path, kustomize: Callable[[Path], str]) -> str:
    """What is rendered of the overlay in deploy/README.md, as it stands there."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (root / "deploy" / "README.md").read_text(), re.DOTALL)
    there = os.path.relpath(k8s.K8S / "overlays" / "national", tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(text.replace("../national", there))
    return kustomize(tmp_path)


def test_the_overlay_of_the_readme_is_valid_keeps_policy_and_leaves_no_address_open(
    own: str, judged: Callable[[str], list[dict[str, str]]]
) -> None:
    assert [verdict for verdict in judged(own) if verdict["status"] != "statusValid"] == []
    manifests: Manifests = list(yaml.load_all(own, Loader=yaml.CSafeLoader))
    assert [offence for policy in policies.ALL for offence in policy(manifests)] == []
    assert ".invalid" not in own
    images = {k8s.main_container(one)["image"] for one in k8s.workloads(manifests)}
    assert {image for image in images if image.startswith("livinglab/")} == set()
    (ingress,) = k8s.of_kind(manifests, "Ingress")
    (host,) = [rule["host"] for rule in ingress["spec"]["rules"]]
    assert ingress["spec"]["tls"] == [{"hosts": [host], "secretName": "livinglab-tls"}]
    assert k8s.config(manifests, "public")["PUBLIC_ADDRESS"] == f"https://{host}"


def test_what_is_not_said_stays_invalid(rendered: str) -> None:
    assert rendered.count(".invalid") == 3  # the issuer, the public address, the host
