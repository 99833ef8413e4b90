"""What we ask of the resources that operators act on: Strimzi, KEDA and Prometheus' own."""

from typing import Any

from contracts import topics
from tests.ops.edges import BROKERS, lets_in_from
from tests.ops.k8s import (
    SERVICE,
    Manifest,
    Policy,
    containers,
    main_container,
    matches,
    of_kind,
    pod_labels,
    title,
    workloads,
)


def operator_pods_are_restricted(manifests: list[Manifest]) -> list[str]:
    """The pods that Strimzi makes run in the same namespace, which refuses others."""
    templates: list[tuple[str, dict[str, Any], list[str]]] = []
    for kafka in of_kind(manifests, "Kafka"):
        template = kafka["spec"]["entityOperator"].get("template", {})
        templates.append((title(kafka), template, ["topicOperatorContainer", "userOperatorContainer"]))
    for pool in of_kind(manifests, "KafkaNodePool"):
        templates.append((title(pool), pool["spec"].get("template", {}), ["kafkaContainer"]))
    wanted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    offences: list[str] = []
    for name, template, parts in templates:
        if template.get("pod", {}).get("securityContext") != wanted:
            offences.append(f"{name}: pod is not restricted")
        offences += [
            f"{name}: {part} is not restricted"
            for part in parts
            if template.get(part, {}).get("securityContext") != own
        ]
    return offences


def facts_have_copies(manifests: list[Manifest]) -> list[str]:
    """Three copies, two acknowledged: one node may be lost, or rolled, without losing a fact or refusing one.

    As many copies as there are nodes, where there are fewer: whoever has one node has been told.
    """
    nodes = sum(pool["spec"]["replicas"] for pool in of_kind(manifests, "KafkaNodePool"))
    copies, in_sync = min(3, nodes), max(1, min(3, nodes) - 1)
    config = {
        "auto.create.topics.enable": False,
        "unclean.leader.election.enable": False,
        "default.replication.factor": copies,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "share.coordinator.state.topic.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.min.isr": in_sync,
    }
    offences = [
        f"{title(kafka)}: {name} must be {value}"
        for kafka in of_kind(manifests, "Kafka")
        for name, value in config.items()
        if kafka["spec"]["kafka"]["config"].get(name) != value
    ]
    offences += [
        f"{title(topic)}: must have {copies} copies, {in_sync} in sync"
        for topic in of_kind(manifests, "KafkaTopic")
        if (topic["spec"]["replicas"], topic["spec"]["config"].get("min.insync.replicas")) != (copies, in_sync)
    ]
    return offences


def workers_are_counted_once(manifests: list[Manifest]) -> list[str]:
    """Either KEDA says how many there are or the Deployment does, and no more than have a partition to read."""
    offences = [f"{title(one)}: KEDA makes these" for one in of_kind(manifests, "HorizontalPodAutoscaler")]
    deployments = {one["metadata"]["name"]: one for one in of_kind(manifests, "Deployment")}
    scaled = {one["spec"]["scaleTargetRef"]["name"]: one for one in of_kind(manifests, "ScaledObject")}
    partitions = {topic.name: topic.partitions for topic in topics.ALL}
    offences += [
        f"{title(one)}: " + ("both it and KEDA count" if name in scaled else "nobody counts")
        for name, one in deployments.items()
        if (name in scaled) == ("replicas" in one["spec"])
    ]
    for name, one in scaled.items():
        if name not in deployments or pod_labels(deployments[name]).get("app.kubernetes.io/component") != "worker":
            offences.append(f"{title(one)}: scales no worker")
        asked = [trigger["metadata"] for trigger in one["spec"]["triggers"]]
        most = max(partitions[trigger["topic"]] for trigger in asked)
        if not 2 <= one["spec"]["minReplicaCount"] < one["spec"]["maxReplicaCount"] <= most:
            offences.append(f"{title(one)}: must be 2 or more, and no more than {most} partitions")
    if scaled and not lets_in_from(manifests, BROKERS, "keda", 9093):
        offences.append("no policy lets KEDA ask the brokers")
    return offences


def metrics_are_scraped(manifests: list[Manifest]) -> list[str]:
    """Every port with metrics by exactly one monitor, Prometheus is let in, and rules find the labels they ask for."""
    monitors = of_kind(manifests, "PodMonitor")
    offences: list[str] = []
    ports = [
        (workload, port)
        for workload in workloads(manifests)
        for container in containers(workload)
        for port in container.get("ports", [])
        if monitors and port["name"].endswith("metrics")
    ]
    for workload, port in ports:
        found = [
            (monitor, endpoint)
            for monitor in monitors
            for endpoint in monitor["spec"]["podMetricsEndpoints"]
            if matches(pod_labels(workload), monitor["spec"]["selector"]) and endpoint["port"] == port["name"]
        ]
        where = f"{title(workload)}: {port['name']}"
        if len(found) != 1:
            offences.append(f"{where} is scraped by {len(found)} monitors")
            continue
        if not lets_in_from(manifests, pod_labels(workload), "observability", port["containerPort"]):
            offences.append(f"{where}: no policy lets Prometheus in")
        ((monitor, endpoint),) = found
        if pod_labels(workload).items() >= SERVICE.items() and _labelled(workload, monitor, endpoint) != {
            "job": "livinglab",
            "service": pod_labels(workload)["app.kubernetes.io/name"],
            "role": next(one["value"] for one in main_container(workload)["env"] if one["name"] == "ROLE"),
        }:
            offences.append(f"{where} does not get the labels job, service, role")
    return offences


def _labelled(workload: Manifest, monitor: Manifest, endpoint: dict[str, Any]) -> dict[str, str | None]:
    """The labels that the operator's Prometheus gives what it scrapes of a pod."""
    of_pod = {
        "__meta_kubernetes_pod_label_" + name.replace(".", "_").replace("/", "_"): value
        for name, value in pod_labels(workload).items()
    }
    given = {one["targetLabel"]: of_pod.get(one["sourceLabels"][0]) for one in endpoint.get("relabelings", [])}
    return {"job": pod_labels(workload).get(monitor["spec"].get("jobLabel", "")), **given}


ALL: tuple[Policy, ...] = (
    operator_pods_are_restricted,
    facts_have_copies,
    workers_are_counted_once,
    metrics_are_scraped,
)
