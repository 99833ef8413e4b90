"""deploy/k8s, held to our policies: every variant keeps each of them, and each has been seen to refuse."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.ops import edges, k8s, operated, policies

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Manifests = list[dict[str, Any]]
POLICY_IDS = [policy.__name__ for policy in policies.ALL]


@pytest.mark.parametrize("variant", k8s.VARIANTS)
@pytest.mark.parametrize("policy", policies.ALL, ids=POLICY_IDS)
def test_manifests_keep_policy(manifests: Manifests, policy: k8s.Policy) -> None:
    assert policy(manifests) == []


def peers(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return policy["spec"]["egress"][0]["to"]


def exceptions(policy: dict[str, Any], block: int) -> list[str]:
    return peers(policy)[block]["ipBlock"]["except"]


def first_path(ingress: dict[str, Any]) -> dict[str, Any]:
    return ingress["spec"]["rules"][0]["http"]["paths"][0]


# For each policy a change that it must see: (manifest, what is done to it, what the offence says).
BREAKS: dict[k8s.Policy, list[tuple[str, Callable[[dict[str, Any]], object], str]]] = {
    policies.pods_are_restricted: [
        ("Deployment/scoring-api", lambda m: m["spec"]["template"]["spec"].pop("securityContext"), "runAsNonRoot"),
        (
            "Job/mongodb-initiate",
            lambda m: k8s.main_container(m)["securityContext"].pop("readOnlyRootFilesystem"),
            "readOnly",
        ),
        (
            "StatefulSet/mongodb",
            lambda m: k8s.main_container(m)["securityContext"].pop("capabilities"),
            "capabilities",
        ),
        ("Deployment/scoring-api", lambda m: m["spec"]["template"]["spec"].update(hostNetwork=True), "host namespaces"),
    ],
    operated.operator_pods_are_restricted: [
        ("Kafka/kafka", lambda m: m["spec"]["entityOperator"].pop("template"), "not restricted"),
        ("KafkaNodePool/node", lambda m: m["spec"]["template"].pop("kafkaContainer"), "not restricted"),
    ],
    policies.resources_are_bounded: [
        (
            "Deployment/assessment-worker",
            lambda m: k8s.main_container(m)["resources"].pop("limits"),
            "limits.memory",
        ),
        ("KafkaNodePool/node", lambda m: m["spec"]["resources"]["requests"].pop("cpu"), "requests.cpu"),
        ("StatefulSet/mongodb", lambda m: k8s.main_container(m)["resources"]["limits"].pop("ephemeral-storage"), "eph"),
    ],
    policies.probes_are_set: [
        ("Deployment/scoring-worker", lambda m: k8s.main_container(m).pop("readinessProbe"), "readinessProbe"),
        (
            "Deployment/scoring-api",
            lambda m: k8s.main_container(m)["livenessProbe"]["httpGet"].update(path="/"),
            "/livez",
        ),
        (
            "StatefulSet/mongodb",
            lambda m: k8s.main_container(m)["startupProbe"]["tcpSocket"].update(port="http"),
            "named port",
        ),
        ("Deployment/collector", lambda m: k8s.main_container(m).pop("livenessProbe"), "livenessProbe"),
    ],
    policies.disruptions_are_budgeted: [
        ("PodDisruptionBudget/mongodb", lambda m: m["spec"]["selector"]["matchLabels"].update(x="y"), "no Pod"),
        ("PodDisruptionBudget/scoring-api", lambda m: m["spec"].update(selector={}), "instead of one"),
    ],
    edges.network_is_closed: [
        ("NetworkPolicy/default-deny", lambda m: m["spec"].update(policyTypes=["Ingress"]), "denies all"),
        (
            "NetworkPolicy/mongodb-initiate",
            lambda m: m["spec"].update(podSelector={"matchLabels": {"x": "y"}}),
            "no pod",
        ),
        ("NetworkPolicy/mongodb", lambda m: m["spec"]["podSelector"]["matchLabels"].update(x="y"), "allows it"),
    ],
    edges.what_is_needed_is_open: [
        ("NetworkPolicy/service", lambda m: m["spec"]["egress"].clear(), "27017"),
        (
            "NetworkPolicy/mongodb",
            lambda m: m["spec"]["ingress"][0]["from"].pop(0),
            "StatefulSet/mongodb: does not let",
        ),
        ("NetworkPolicy/mongodb-initiate", lambda m: m["spec"]["egress"][0]["ports"][0].update(port=27018), "27017"),
        ("NetworkPolicy/kafka-clients", lambda m: m["spec"]["egress"][0]["ports"].clear(), "9093"),
        ("NetworkPolicy/traced", lambda m: m["spec"]["podSelector"]["matchLabels"].update(x="y"), "4318"),
        ("NetworkPolicy/collector", lambda m: m["spec"]["ingress"].pop(0), "Deployment/collector: does not let"),
    ],
    edges.strangers_are_called_in_the_world_alone: [
        (
            "NetworkPolicy/webhooks",
            lambda m: exceptions(m, 0).remove("10.0.0.0/8"),
            "worker: may call 10.0.0.0/8 on 8443",
        ),
        (
            "NetworkPolicy/webhooks",
            lambda m: exceptions(m, 0).remove("169.254.0.0/16"),
            "api: may call 169.254.169.254/32",
        ),
        ("NetworkPolicy/webhooks", lambda m: exceptions(m, 1).remove("2002::/16"), "worker: may call 2002::/16"),
        ("NetworkPolicy/webhooks", lambda m: exceptions(m, 0).append("8.0.0.0/8"), "can't call all of 0.0.0.0/0"),
        ("NetworkPolicy/webhooks", lambda m: exceptions(m, 1).append("2600::/12"), "can't call all of 2000::/3"),
        ("NetworkPolicy/webhooks", lambda m: peers(m)[1]["ipBlock"].update(cidr="::/0"), "may call fc00::/7"),
        (
            "NetworkPolicy/webhooks",
            lambda m: m["spec"]["egress"][0]["ports"].pop(),
            "reaches the ports [443, 465, 8443]",
        ),
        ("NetworkPolicy/webhooks", lambda m: m["spec"]["egress"][0].pop("to"), "lets everything out"),
        (
            "NetworkPolicy/webhooks",
            lambda m: m["spec"]["podSelector"]["matchLabels"].update(x="y"),
            "reaches the ports []",
        ),
        (
            "NetworkPolicy/oidc",
            lambda m: m["spec"]["podSelector"].pop("matchExpressions"),
            "api: may call 10.0.0.0/8 on 443",
        ),
    ],
    policies.stops_are_waited_for: [
        ("Deployment/notify-api", lambda m: k8s.pod(m).update(terminationGracePeriodSeconds=40), "while it stops"),
        ("Deployment/notify-worker", lambda m: k8s.pod(m).update(terminationGracePeriodSeconds=35), "while it stops"),
    ],
    policies.images_are_exact: [
        (
            "Deployment/scoring-api",
            lambda m: k8s.main_container(m).update(image="livinglab/scoring:latest"),
            "exact tag",
        ),
        ("StatefulSet/mongodb", lambda m: k8s.main_container(m).update(image="mongo"), "exact tag"),
    ],
    policies.selectors_match: [
        ("Deployment/scoring-api", lambda m: m["spec"]["selector"]["matchLabels"].update(x="y"), "does not match"),
        ("Deployment/scoring-api", lambda m: m["spec"]["template"]["spec"].pop("topologySpreadConstraints"), "spread"),
        ("Service/scoring-api", lambda m: m["spec"]["selector"].pop("app.kubernetes.io/name"), "instead of one"),
        ("Service/scoring-api", lambda m: m["spec"]["ports"][0].update(targetPort="web"), "no port"),
    ],
    edges.ways_in_are_open: [
        ("Ingress/livinglab", lambda m: first_path(m).update(path="/assessment"), "as a prefix"),
        ("Ingress/livinglab", lambda m: first_path(m).update(pathType="Exact"), "as a prefix"),
        (
            "Ingress/livinglab",
            lambda m: first_path(m)["backend"]["service"]["port"].update(name="metrics"),
            "no Service",
        ),
        ("Service/scoring-api", lambda m: m["metadata"].update(name="other"), "no Service"),
        ("NetworkPolicy/api", lambda m: m["spec"]["ingress"][0].update({"from": []}), "lets the controller in"),
        ("NetworkPolicy/api", lambda m: m["spec"]["ingress"][0]["ports"][0].update(port=80), "lets the controller in"),
        ("NetworkPolicy/api", lambda m: m["spec"]["ingress"][0]["from"][0].pop("namespaceSelector"), "controller in"),
    ],
    policies.references_exist: [
        ("ServiceAccount/scoring-worker", lambda m: m["metadata"].update(name="other"), "ServiceAccount"),
        (
            "Deployment/scoring-api",
            lambda m: k8s.main_container(m)["envFrom"][0]["configMapRef"].update(name="x"),
            "ConfigMap",
        ),
        ("Job/mongodb-initiate", lambda m: k8s.pod(m)["volumes"][0]["configMap"].update(name="x"), "ConfigMap/x"),
        (
            "Deployment/notify-api",
            lambda m: k8s.main_container(m)["env"].append({"valueFrom": {"configMapKeyRef": {"name": "x"}}}),
            "ConfigMap/x",
        ),
        ("PodMonitor/services", lambda m: m["metadata"].pop("namespace"), "another namespace"),
    ],
    policies.secrets_stay_out: [
        ("Namespace/livinglab", lambda m: m.update(kind="Secret"), "a secret"),
        (
            "Deployment/scoring-api",
            lambda m: k8s.main_container(m)["env"].append({"name": "A_TOKEN", "value": "x"}),
            "A_TOKEN",
        ),
        (
            "Deployment/notify-worker",
            lambda m: k8s.main_container(m)["env"].append({"name": "WEBHOOK_SEALING_KEYS", "value": "x"}),
            "WEBHOOK_SEALING_KEYS",
        ),
        ("Service/mongodb", lambda m: m["metadata"].update(annotations={"a": "mongodb://u:p@h/"}), "credentials"),
    ],
    operated.workers_are_counted_once: [
        ("Deployment/scoring-worker", lambda m: m["spec"].update(replicas=3), "both it and KEDA count"),
        ("Deployment/assessment-worker", lambda m: m["spec"].pop("replicas"), "nobody counts"),
        ("ScaledObject/scoring-worker", lambda m: m["spec"]["scaleTargetRef"].update(name="scoring-api"), "no worker"),
        ("ScaledObject/scoring-worker", lambda m: m["spec"].update(maxReplicaCount=24), "no more than 12"),
        ("ScaledObject/notify-worker", lambda m: m["spec"].update(minReplicaCount=0), "must be 2 or more"),
        ("PodDisruptionBudget/mongodb", lambda m: m.update(kind="HorizontalPodAutoscaler"), "KEDA makes these"),
        ("NetworkPolicy/kafka-keda", lambda m: m["spec"]["ingress"][0]["ports"].clear(), "lets KEDA ask"),
    ],
    operated.metrics_are_scraped: [
        ("PodMonitor/services", lambda m: m["spec"]["selector"]["matchLabels"].update(x="y"), "by 0 monitors"),
        ("PodMonitor/collector", lambda m: m["spec"]["podMetricsEndpoints"].pop(), "span-metrics is scraped by 0"),
        ("PodMonitor/collector", lambda m: m["spec"].update(selector={}), "notify-api: metrics is scraped by 2"),
        ("PodMonitor/services", lambda m: m["spec"].pop("jobLabel"), "labels job"),
        ("PodMonitor/services", lambda m: m["spec"]["podMetricsEndpoints"][0]["relabelings"].pop(), "role"),
        (
            "NetworkPolicy/metrics",
            lambda m: m["spec"]["ingress"][0]["ports"][0].update(port=8000),
            "lets Prometheus in",
        ),
        ("NetworkPolicy/collector", lambda m: m["spec"]["ingress"].pop(), "span-metrics: no policy lets Prometheus in"),
    ],
    operated.facts_have_copies: [
        ("Kafka/kafka", lambda m: m["spec"]["kafka"]["config"].pop("min.insync.replicas"), "min.insync"),
        ("KafkaTopic/livinglab.score", lambda m: m["spec"].update(replicas=1), "3 copies"),
        ("KafkaNodePool/node", lambda m: m["spec"].update(replicas=1), "must have 1 copies, 1 in sync"),
        (
            "Kafka/kafka",
            lambda m: m["spec"]["kafka"]["config"].update({"offsets.topic.replication.factor": 1}),
            "offsets",
        ),
    ],
}


def test_every_policy_has_been_seen_to_refuse() -> None:
    assert set(BREAKS) == set(policies.ALL)


@pytest.mark.parametrize(
    ("policy", "title", "change", "offence"),
    [(policy, *case) for policy, cases in BREAKS.items() for case in cases],
    ids=[f"{policy.__name__}-{case[0]}-{case[2]}" for policy, cases in BREAKS.items() for case in cases],
)
def test_policy_refuses(
    manifests: Manifests,
    find: Callable[[str], dict[str, Any]],
    policy: k8s.Policy,
    title: str,
    change: Callable[[dict[str, Any]], object],
    offence: str,
) -> None:
    whole = deepcopy(manifests)
    change(find(title))
    assert manifests != whole
    assert any(offence in found for found in policy(manifests))
