"""A manifest as a test reads it, and which sets of manifests there are."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
Policy = Callable[[list[Manifest]], list[str]]
K8S = Path(__file__).resolve().parents[2] / "deploy" / "k8s"
COMPONENTS = tuple(sorted(path.name for path in (K8S / "components").iterdir()))
OVERLAYS = tuple(sorted(path.name for path in (K8S / "overlays").iterdir()))
VARIANTS = ("base", *(f"base+{name}" for name in COMPONENTS), *OVERLAYS)
"""What is rendered and judged: the base, each component alone on it, each overlay."""
SERVICE = {"livinglab/kind": "service"}


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    return of_kind(manifests, "Deployment", "StatefulSet", "Job")


def pod(workload: Manifest) -> dict[str, Any]:
    return workload["spec"]["template"]["spec"]


def pod_labels(workload: Manifest) -> dict[str, str]:
    return workload["spec"]["template"]["metadata"].get("labels", {})


def containers(workload: Manifest) -> list[dict[str, Any]]:
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def main_container(workload: Manifest) -> dict[str, Any]:
    return pod(workload)["containers"][0]


def title(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def matches(labels: dict[str, str], selector: dict[str, Any]) -> bool:
    expressions: list[dict[str, Any]] = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "NotIn" for expression in expressions), "the only operator that we use"
    excluded = any(labels.get(expression["key"]) in expression["values"] for expression in expressions)
    return not excluded and selector.get("matchLabels", {}).items() <= labels.items()


def config(manifests: list[Manifest], name: str) -> dict[str, str]:
    """The data of a generated ConfigMap, whose name ends with a hash."""
    (found,) = [m for m in of_kind(manifests, "ConfigMap") if m["metadata"]["name"].rpartition("-")[0] == name]
    return found["data"]


def strings(value: object) -> Iterator[str]:
    """Every text in a manifest, keys apart."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)
