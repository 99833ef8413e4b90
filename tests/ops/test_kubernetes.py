"""deploy/k8s/base: rendered by kustomize, judged by the schemas of Kubernetes and of Strimzi, held to our policies."""

import importlib.util
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from contracts import events, topics
from tests.ops import policies

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Manifests = list[dict[str, Any]]
Judge = Callable[[str], list[dict[str, str]]]
POLICY_IDS = [policy.__name__ for policy in policies.ALL]


@pytest.fixture
def find(manifests: Manifests) -> Callable[[str], dict[str, Any]]:
    """A manifest by its title, e.g. `Deployment/scoring-api`."""
    by_title = {policies.title(manifest): manifest for manifest in manifests}
    return by_title.__getitem__


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


@pytest.mark.parametrize("policy", policies.ALL, ids=POLICY_IDS)
def test_manifests_keep_policy(manifests: Manifests, policy: policies.Policy) -> None:
    assert policy(manifests) == []


def peers(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return policy["spec"]["egress"][0]["to"]


def exceptions(policy: dict[str, Any], block: int) -> list[str]:
    return peers(policy)[block]["ipBlock"]["except"]


def first_path(ingress: dict[str, Any]) -> dict[str, Any]:
    return ingress["spec"]["rules"][0]["http"]["paths"][0]


# For each policy a change that it must see: (manifest, what is done to it, what the offence says).
BREAKS: dict[policies.Policy, list[tuple[str, Callable[[dict[str, Any]], object], str]]] = {
    policies.pods_are_restricted: [
        ("Deployment/scoring-api", lambda m: m["spec"]["template"]["spec"].pop("securityContext"), "runAsNonRoot"),
        (
            "Job/mongodb-initiate",
            lambda m: policies.main_container(m)["securityContext"].pop("readOnlyRootFilesystem"),
            "readOnly",
        ),
        (
            "StatefulSet/mongodb",
            lambda m: policies.main_container(m)["securityContext"].pop("capabilities"),
            "capabilities",
        ),
        ("Deployment/scoring-api", lambda m: m["spec"]["template"]["spec"].update(hostNetwork=True), "host namespaces"),
    ],
    policies.operator_pods_are_restricted: [
        ("Kafka/kafka", lambda m: m["spec"]["entityOperator"].pop("template"), "not restricted"),
        ("KafkaNodePool/node", lambda m: m["spec"]["template"].pop("kafkaContainer"), "not restricted"),
    ],
    policies.resources_are_bounded: [
        (
            "Deployment/assessment-worker",
            lambda m: policies.main_container(m)["resources"].pop("limits"),
            "limits.memory",
        ),
        ("KafkaNodePool/node", lambda m: m["spec"]["resources"]["requests"].pop("cpu"), "requests.cpu"),
    ],
    policies.probes_are_set: [
        ("Deployment/scoring-worker", lambda m: policies.main_container(m).pop("readinessProbe"), "readinessProbe"),
        (
            "Deployment/scoring-api",
            lambda m: policies.main_container(m)["livenessProbe"]["httpGet"].update(path="/"),
            "/livez",
        ),
        (
            "StatefulSet/mongodb",
            lambda m: policies.main_container(m)["startupProbe"]["tcpSocket"].update(port="http"),
            "named port",
        ),
    ],
    policies.disruptions_are_budgeted: [
        ("PodDisruptionBudget/mongodb", lambda m: m["spec"]["selector"]["matchLabels"].update(x="y"), "no Pod"),
        ("PodDisruptionBudget/scoring-api", lambda m: m["spec"].update(selector={}), "instead of one"),
    ],
    policies.network_is_closed: [
        ("NetworkPolicy/default-deny", lambda m: m["spec"].update(policyTypes=["Ingress"]), "denies all"),
        (
            "NetworkPolicy/mongodb-initiate",
            lambda m: m["spec"].update(podSelector={"matchLabels": {"x": "y"}}),
            "no pod",
        ),
        ("NetworkPolicy/service", lambda m: m["spec"]["podSelector"]["matchLabels"].update(x="y"), "allows it"),
    ],
    policies.strangers_are_called_in_the_world_alone: [
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
    policies.images_are_exact: [
        (
            "Deployment/scoring-api",
            lambda m: policies.main_container(m).update(image="livinglab/scoring:latest"),
            "exact tag",
        ),
        ("StatefulSet/mongodb", lambda m: policies.main_container(m).update(image="mongo"), "exact tag"),
    ],
    policies.selectors_match: [
        ("Deployment/scoring-api", lambda m: m["spec"]["selector"]["matchLabels"].update(x="y"), "does not match"),
        ("Deployment/scoring-api", lambda m: m["spec"]["template"]["spec"].pop("topologySpreadConstraints"), "spread"),
        ("Service/scoring-api", lambda m: m["spec"]["selector"].pop("app.kubernetes.io/name"), "instead of one"),
        ("Service/scoring-api", lambda m: m["spec"]["ports"][0].update(targetPort="web"), "no port"),
    ],
    policies.ways_in_are_open: [
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
    ],
    policies.references_exist: [
        ("ServiceAccount/scoring-worker", lambda m: m["metadata"].update(name="other"), "ServiceAccount"),
        (
            "Deployment/scoring-api",
            lambda m: policies.main_container(m)["envFrom"][0]["configMapRef"].update(name="x"),
            "ConfigMap",
        ),
    ],
    policies.secrets_stay_out: [
        ("Namespace/livinglab", lambda m: m.update(kind="Secret"), "a secret"),
        (
            "Deployment/scoring-api",
            lambda m: policies.main_container(m)["env"].append({"name": "A_TOKEN", "value": "x"}),
            "A_TOKEN",
        ),
        (
            "Deployment/notify-worker",
            lambda m: policies.main_container(m)["env"].append({"name": "WEBHOOK_SEALING_KEYS", "value": "x"}),
            "WEBHOOK_SEALING_KEYS",
        ),
        ("Service/mongodb", lambda m: m["metadata"].update(annotations={"a": "mongodb://u:p@h/"}), "credentials"),
    ],
    policies.facts_have_copies: [
        ("Kafka/kafka", lambda m: m["spec"]["kafka"]["config"].pop("min.insync.replicas"), "min.insync"),
        ("KafkaTopic/livinglab.score", lambda m: m["spec"].update(replicas=1), "3 copies"),
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
    policy: policies.Policy,
    title: str,
    change: Callable[[dict[str, Any]], object],
    offence: str,
) -> None:
    whole = deepcopy(manifests)
    change(find(title))
    assert manifests != whole
    assert any(offence in found for found in policy(manifests))


def test_every_service_has_api_and_worker_with_its_own_name_image_and_credentials(
    find: Callable[[str], dict[str, Any]], services: list[str], project: dict[str, Any]
) -> None:
    for service in services:
        for role in ("api", "worker"):
            container = policies.main_container(find(f"Deployment/{service}-{role}"))
            env = {variable["name"]: variable for variable in container["env"]}
            assert container["image"] == f"livinglab/{service}:{project['version']}"
            assert env["ROLE"]["value"] == role
            assert env["KAFKA_SASL_USERNAME"]["value"] == find(f"KafkaUser/{service}")["metadata"]["name"]
            assert env["KAFKA_SASL_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == f"kafka-{service}"
            assert env["MONGODB_URI"]["valueFrom"]["secretKeyRef"]["name"] == f"mongodb-{service}"
    initiated = {variable["name"] for variable in policies.main_container(find("Job/mongodb-initiate"))["env"]}
    assert initiated == {"MONGODB_KEY"} | {f"MONGODB_URI_{service.upper()}" for service in services}


def test_the_ingress_leads_to_every_service_and_its_host_is_nobodys(
    find: Callable[[str], dict[str, Any]], services: list[str]
) -> None:
    (rule,) = find("Ingress/livinglab")["spec"]["rules"]
    led = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert led == {f"/{service}/v1": f"{service}-api" for service in services}
    assert rule["host"].endswith(".invalid")
    assert "ingressClassName" not in find("Ingress/livinglab")["spec"]


def test_services_are_given_only_variables_they_read(manifests: Manifests, variables: dict[str, set[str]]) -> None:
    addresses = [m for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"].startswith("addresses-")]
    for workload in policies.of_kind(manifests, "Deployment"):
        given = set(addresses[0]["data"])
        given |= {variable["name"] for variable in policies.main_container(workload)["env"]}
        assert given - variables[policies.pod_labels(workload)["app.kubernetes.io/name"]] == set()


def test_notify_has_the_same_keys_in_both_roles_and_nobody_else_has_them(manifests: Manifests) -> None:
    keys = {"WEBHOOK_SIGNING_KEY": "signing", "WEBHOOK_SEALING_KEYS": "sealing"}
    wanted = {name: {"secretKeyRef": {"name": "notify-keys", "key": key}} for name, key in keys.items()}
    holders: list[str] = []
    for workload in policies.workloads(manifests):
        env = policies.main_container(workload).get("env", [])
        if found := {variable["name"]: variable.get("valueFrom") for variable in env if variable["name"] in keys}:
            assert found == wanted
            holders.append(policies.title(workload))
    assert sorted(holders) == ["Deployment/notify-api", "Deployment/notify-worker"]


def test_the_key_of_the_audit_is_held_by_the_worker_alone(manifests: Manifests) -> None:
    holders = [
        policies.title(workload)
        for workload in policies.workloads(manifests)
        if any(one["name"] == "AUDIT_SIGNING_KEY" for one in policies.main_container(workload).get("env", []))
    ]
    assert holders == ["Deployment/commitment-worker"]


def test_topics_are_those_of_the_contracts(manifests: Manifests) -> None:
    deployed = {
        topic["metadata"]["name"]: (
            topic["spec"]["partitions"],
            {k: str(v) for k, v in topic["spec"]["config"].items() if k != "min.insync.replicas"},
        )
        for topic in policies.of_kind(manifests, "KafkaTopic")
    }
    assert deployed == {topic.name: (topic.partitions, topic.config()) for topic in topics.ALL}


def test_kafka_users_may_read_exactly_what_their_service_reacts_to(
    find: Callable[[str], dict[str, Any]], services: list[str]
) -> None:
    for service in services:
        acls = find(f"KafkaUser/{service}")["spec"]["authorization"]["acls"]
        on_topics = [acl for acl in acls if acl["resource"]["type"] == "topic"]
        assert all(acl["resource"].keys() == {"type", "name"} for acl in on_topics), "a pattern would reach further"
        readable = {acl["resource"]["name"] for acl in on_topics if "Read" in acl["operations"]}
        groups = [acl["resource"] for acl in acls if acl not in on_topics]
        consumers = f"services.{service}.consumers"
        if importlib.util.find_spec(consumers) is None:
            assert (readable, groups) == (set(), [])
            continue
        reactions = importlib.import_module(consumers).reactions.declared
        assert readable == {reaction.topic.name for reaction in reactions}
        assert groups == [{"type": "group", "name": f"{service}.", "patternType": "prefix"}]
        assert all(reaction.group.startswith(f"{service}.") for reaction in reactions)


def test_kafka_users_may_write_exactly_what_their_service_publishes(
    find: Callable[[str], dict[str, Any]], services: list[str]
) -> None:
    for service in services:
        acls = find(f"KafkaUser/{service}")["spec"]["authorization"]["acls"]
        writable = {acl["resource"]["name"] for acl in acls if "Write" in acl["operations"]}
        published = {event.topic.name for event in events.ALL if event.publisher == service}
        assert writable - {topics.PUBLIC.name} == published
        # What is said of a subscription or a delivery is for its owner alone, never public.
        assert (topics.PUBLIC.name in writable) == (service != "notify")


def test_each_topic_but_the_public_one_has_one_writer(manifests: Manifests) -> None:
    writers: dict[str, list[str]] = {topic.name: [] for topic in topics.ALL}
    for user in policies.of_kind(manifests, "KafkaUser"):
        for acl in user["spec"]["authorization"]["acls"]:
            if "Write" in acl["operations"]:
                writers[acl["resource"]["name"]].append(user["metadata"]["name"])
    assert all(writers.values())
    assert {name: who for name, who in writers.items() if len(who) > 1}.keys() == {topics.PUBLIC.name}
