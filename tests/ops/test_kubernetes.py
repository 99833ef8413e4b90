"""deploy/k8s: base, each component alone on it, each overlay; rendered by kustomize, judged by every kind's schema."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ops import k8s

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Manifests = list[dict[str, Any]]
Judge = Callable[[str], list[dict[str, str]]]
everywhere = pytest.mark.parametrize("variant", k8s.VARIANTS)


def test_components_and_overlays_are_those_of_the_folders() -> None:
    assert k8s.COMPONENTS == ("collector", "ingress", "keda", "monitoring", "strimzi")
    assert k8s.OVERLAYS == ("national", "single-node")


@everywhere
def test_every_manifest_is_valid_by_its_schema(rendered: str, manifests: Manifests, judged: Judge) -> None:
    verdicts = judged(rendered)
    assert [verdict for verdict in verdicts if verdict["status"] != "statusValid"] == []
    assert len(verdicts) == len(manifests)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("terminationGracePeriodSeconds: 45", "terminationGracePeriodSecond: 45"),
        ("maxUnavailable: 1", "maxUnavailable: [1]"),
        ("partitions: 12", "partitions: twelve"),
        ("kraftMetadata: shared", "kraftMetadata: split"),
        ("patternType: prefix", "patternTyp: prefix"),
        ("kind: KafkaUser", "kind: KafkaUsers"),
        ("pathType: Prefix", "pathTyp: Prefix"),
        ("maxReplicaCount: 6", "maxReplicas: 6"),
        ("minReplicaCount: 3", "minReplicaCount: three"),
        ("parameter: username", "parametr: username"),
        ("jobLabel:", "jobLabels:"),
        ("targetLabel: service", "targetLabels: service"),
        ("alert: ServiceDown", "alerts: ServiceDown"),
        ("for: 2m", "for: two minutes"),
    ],
)
def test_schemas_refuse_what_is_wrong(rendered: str, judged: Judge, right: str, wrong: str) -> None:
    whole = next(manifest for manifest in rendered.split("\n---\n") if right in manifest)
    (verdict,) = judged(whole.replace(right, wrong))
    assert verdict["status"] in {"statusInvalid", "statusError"}


def test_kustomize_refuses_a_missing_file(kustomize: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(RuntimeError, match=r"absent\.yaml"):
        kustomize(tmp_path)


def test_the_ingress_leads_to_every_service_and_its_host_is_nobodys(
    find: Callable[[str], dict[str, Any]], services: list[str]
) -> None:
    (rule,) = find("Ingress/livinglab")["spec"]["rules"]
    led = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert led == {f"/{service}/v1": f"{service}-api" for service in services}
    assert rule["host"].endswith(".invalid")
    assert "ingressClassName" not in find("Ingress/livinglab")["spec"]
