"""Kafka on Kubernetes: topics are those of the contracts; rights and scaling follow from what code writes and reads."""

import importlib
import importlib.util
import re
from collections.abc import Callable
from typing import Any

import pytest

from chassis.consumer import Reaction
from contracts import events, topics
from tests.ops import k8s, tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Manifests = list[dict[str, Any]]
Find = Callable[[str], dict[str, Any]]


def reactions_of(service: str) -> list[Reaction[Any]]:
    """What a service declares that it hears; nothing where it has no consumers."""
    if importlib.util.find_spec(f"services.{service}.consumers") is None:
        return []
    return importlib.import_module(f"services.{service}.consumers").reactions.declared


def test_topics_are_those_of_the_contracts(manifests: Manifests) -> None:
    deployed = {
        topic["metadata"]["name"]: (
            topic["spec"]["partitions"],
            {k: str(v) for k, v in topic["spec"]["config"].items() if k != "min.insync.replicas"},
        )
        for topic in k8s.of_kind(manifests, "KafkaTopic")
    }
    assert deployed == {topic.name: (topic.partitions, topic.config()) for topic in topics.ALL}


def test_kafka_users_may_read_exactly_what_their_service_reacts_to(find: Find, services: list[str]) -> None:
    for service in services:
        acls = find(f"KafkaUser/{service}")["spec"]["authorization"]["acls"]
        on_topics = [acl for acl in acls if acl["resource"]["type"] == "topic"]
        assert all(acl["resource"].keys() == {"type", "name"} for acl in on_topics), "a pattern would reach further"
        readable = {acl["resource"]["name"] for acl in on_topics if "Read" in acl["operations"]}
        groups = [acl["resource"] for acl in acls if acl not in on_topics]
        reactions = reactions_of(service)
        assert readable == {reaction.topic.name for reaction in reactions}
        assert groups == [{"type": "group", "name": f"{service}.", "patternType": "prefix"}][: len(reactions)]
        assert all(reaction.group.startswith(f"{service}.") for reaction in reactions)


def test_kafka_users_may_write_exactly_what_their_service_publishes(find: Find, services: list[str]) -> None:
    for service in services:
        acls = find(f"KafkaUser/{service}")["spec"]["authorization"]["acls"]
        writable = {acl["resource"]["name"] for acl in acls if "Write" in acl["operations"]}
        published = {event.topic.name for event in events.ALL if event.publisher == service}
        assert writable - {topics.PUBLIC.name} == published
        # What is said of a subscription or a delivery is for its owner alone, never public.
        assert (topics.PUBLIC.name in writable) == (service != "notify")


def test_outsiders_read_what_is_public_and_nothing_else(manifests: Manifests, find: Find, services: list[str]) -> None:
    users = {user["metadata"]["name"] for user in k8s.of_kind(manifests, "KafkaUser")}
    assert users == {*services, "outsider", "operator"}
    user = find("KafkaUser/outsider")["spec"]
    assert user["authorization"]["acls"] == [
        {"resource": {"type": "topic", "name": topics.PUBLIC.name}, "operations": ["Describe", "Read"]},
        {
            "resource": {"type": "group", "name": "outsider.", "patternType": "prefix"},
            "operations": ["Describe", "Read"],
        },
    ]
    assert user["quotas"].keys() == {"consumerByteRate", "requestPercentage"}


def test_no_process_may_do_what_an_operator_may(manifests: Manifests, find: Find) -> None:
    acls = find("KafkaUser/operator")["spec"]["authorization"]["acls"]
    operations = {operation for acl in acls for operation in acl["operations"]}
    assert operations == {"Create", "Delete", "Describe", "Write"}
    named = {text for workload in k8s.workloads(manifests) for text in k8s.strings(workload)}
    assert "kafka-assessment" in named
    assert "kafka-operator" not in named


@pytest.mark.parametrize("variant", ["base+strimzi", *k8s.OVERLAYS])
def test_every_listener_asks_who_one_is_by_a_password_and_hides_it(find: Find) -> None:
    kafka = find("Kafka/kafka")["spec"]["kafka"]
    assert kafka["authorization"] == {"type": "simple"}
    for listener in kafka["listeners"]:
        assert listener["tls"]
        assert listener["authentication"] == {"type": "scram-sha-512"}


@pytest.mark.parametrize("variant", ["base+strimzi", *k8s.OVERLAYS])
def test_services_are_told_where_strimzi_makes_the_listener_that_lets_them_in(manifests: Manifests, find: Find) -> None:
    (listener,) = [one for one in find("Kafka/kafka")["spec"]["kafka"]["listeners"] if one["type"] == "internal"]
    assert listener["networkPolicyPeers"] == [{"podSelector": {"matchLabels": k8s.SERVICE}}]
    told = k8s.config(manifests, "addresses")
    assert told["KAFKA_BOOTSTRAP_SERVERS"] == f"kafka-kafka-bootstrap.livinglab.svc:{listener['port']}"
    assert told["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert told["KAFKA_SASL_MECHANISM"].lower() == listener["authentication"]["type"]


def test_each_worker_is_scaled_by_every_group_that_more_of_them_would_help(
    manifests: Manifests, services: list[str]
) -> None:
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one for one in k8s.of_kind(manifests, "ScaledObject")}
    shared = {
        f"{service}-worker": {(one.topic.name, one.group) for one in reactions_of(service) if one.topic.partitions > 1}
        for service in services
    }
    triggers = {name: [trigger["metadata"] for trigger in one["spec"]["triggers"]] for name, one in scaled.items()}
    assert {name: {(asked["topic"], asked["consumerGroup"]) for asked in own} for name, own in triggers.items()} == {
        name: groups for name, groups in shared.items() if groups
    }


def test_keda_asks_kafka_as_the_service_itself(manifests: Manifests, find: Find) -> None:
    asks = find("TriggerAuthentication/kafka")["spec"]
    assert asks["secretTargetRef"] == [{"parameter": "ca", "name": "kafka-cluster-ca-cert", "key": "ca.crt"}]
    told = k8s.config(manifests, "addresses")
    for one in k8s.of_kind(manifests, "ScaledObject"):
        container = k8s.main_container(find(f"Deployment/{one['spec']['scaleTargetRef']['name']}"))
        assert {each["containerName"] for each in asks["env"]} == {container["name"]}
        given = {variable["name"] for variable in container["env"]}
        assert {each["parameter"]: each["name"] for each in asks["env"]} == {
            "username": "KAFKA_SASL_USERNAME",
            "password": "KAFKA_SASL_PASSWORD",
        }
        assert {each["name"] for each in asks["env"]} <= given
        for trigger in one["spec"]["triggers"]:
            assert (trigger["type"], trigger["authenticationRef"]) == ("kafka", {"name": "kafka"})
            asked = trigger["metadata"]
            assert asked["bootstrapServersFromEnv"] in told
            assert (asked["tls"], asked["offsetResetPolicy"]) == ("enable", "earliest")
            assert asked["sasl"] == told["KAFKA_SASL_MECHANISM"].lower().replace("-sha-", "_sha")


def unknown(parameters: dict[str, str], asks: dict[str, Any], triggers: list[dict[str, Any]]) -> list[str]:
    """What KEDA would pass over in silence: its schema takes any name here. `parameters`: name → where it is read."""
    given = [each["parameter"] for each in (*asks["env"], *asks["secretTargetRef"])]
    found = [name for name in given if "authParams" not in parameters.get(name, "")]
    for name in (name for trigger in triggers for name in trigger["metadata"]):
        kind = "resolvedEnv" if name.endswith("FromEnv") else "triggerMetadata"
        if kind not in parameters.get(name.removesuffix("FromEnv"), ""):
            found.append(name)
    return found


def test_keda_knows_every_parameter(manifests: Manifests, find: Find) -> None:
    source = (tools.go_module(tools.KEDA) / "pkg" / "scalers" / "kafka_scaler.go").read_text()
    parameters = dict(re.findall(r'`keda:"name=(\w+),([^"]+)"`', source))
    asks = find("TriggerAuthentication/kafka")["spec"]
    triggers = [trigger for one in k8s.of_kind(manifests, "ScaledObject") for trigger in one["spec"]["triggers"]]
    assert unknown(parameters, asks, triggers) == []
    asks["env"][0]["parameter"] = "user"
    triggers[0]["metadata"] |= {"lagTreshold": "5000", "tlsFromEnv": "TLS"}
    assert unknown(parameters, asks, triggers) == ["user", "lagTreshold", "tlsFromEnv"]


@pytest.mark.parametrize(("variant", "nodes"), [("base+strimzi", 3), ("national", 3), ("single-node", 1)])
def test_there_are_as_many_brokers_as_promised(find: Find, nodes: int) -> None:
    """How many copies follow from it: see the policy facts_have_copies."""
    assert find("KafkaNodePool/node")["spec"]["replicas"] == nodes


def test_each_topic_but_the_public_one_has_one_service_that_writes(manifests: Manifests, services: list[str]) -> None:
    writers: dict[str, list[str]] = {topic.name: [] for topic in topics.ALL}
    users = [user for user in k8s.of_kind(manifests, "KafkaUser") if user["metadata"]["name"] in services]
    for user in users:
        for acl in user["spec"]["authorization"]["acls"]:
            if "Write" in acl["operations"]:
                writers[acl["resource"]["name"]].append(user["metadata"]["name"])
    assert all(writers.values())
    assert {name: who for name, who in writers.items() if len(who) > 1}.keys() == {topics.PUBLIC.name}
