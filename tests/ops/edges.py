"""What we ask of network policies: all is closed, what is needed is open, and strangers reach nothing private."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

from services.notify.domain.address import CLOSED, GLOBAL_UNICAST, Network
from services.notify.post import DEFAULT_PORTS
from services.notify.settings import NotifySettings
from tests.ops.k8s import SERVICE, Manifest, Policy, main_container, matches, of_kind, pod_labels, title, workloads

Labels = dict[str, str]
MONGODB = {"app.kubernetes.io/name": "mongodb"}
BROKERS = {"strimzi.io/cluster": "kafka", "strimzi.io/name": "kafka-kafka"}
COLLECTOR = {"app.kubernetes.io/name": "collector"}
CONTROLLERS = ("ingress", "kube-system")  # of the Ingress; the latter is where k3s keeps its own
INITIATE = {"app.kubernetes.io/name": "mongodb-initiate"}


def network_is_closed(manifests: list[Manifest]) -> list[str]:
    """All is denied, every pod has what it needs allowed, and no rule speaks of pods that do not exist."""
    policies = of_kind(manifests, "NetworkPolicy")
    deny: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    offences = [] if any(policy["spec"] == deny for policy in policies) else ["no policy denies all"]
    named = [policy for policy in policies if policy["spec"]["podSelector"]]
    for workload in workloads(manifests):
        if not any(matches(pod_labels(workload), policy["spec"]["podSelector"]) for policy in named):
            offences.append(f"{title(workload)}: no policy allows it anything")
    for policy in named:
        selector = policy["spec"]["podSelector"]
        operated = "strimzi.io/cluster" in selector.get("matchLabels", {})  # Strimzi's pods are not in the manifests
        if not operated and not any(matches(pod_labels(workload), selector) for workload in workloads(manifests)):
            offences.append(f"{title(policy)}: selects no pod")
    return offences


def what_is_needed_is_open(manifests: list[Manifest]) -> list[str]:
    """Where one part calls another, the caller's policies let it out and, where the other is ours, its let it in."""
    needed: list[tuple[Labels, Labels, int]] = [(caller, MONGODB, 27017) for caller in (SERVICE, MONGODB, INITIATE)]
    if of_kind(manifests, "Kafka"):
        needed.append((SERVICE, BROKERS, 9093))
    if any(pod_labels(workload).items() >= COLLECTOR.items() for workload in workloads(manifests)):
        needed.append((SERVICE, COLLECTOR, 4318))
    offences: list[str] = []
    for caller in workloads(manifests):
        for called, port in [(to, port) for who, to, port in needed if who.items() <= pod_labels(caller).items()]:
            answering = [w for w in workloads(manifests) if called.items() <= pod_labels(w).items()]
            if not _opened(manifests, pod_labels(caller), "egress", called, port):
                offences.append(f"{title(caller)}: is not let out to {called} on {port}")
            offences += [
                f"{title(one)}: does not let {title(caller)} in on {port}"
                for one in answering
                if not _opened(manifests, pod_labels(one), "ingress", pod_labels(caller), port)
            ]
    return offences


def _opened(manifests: list[Manifest], of: Labels, direction: str, peer: Labels, port: int) -> bool:
    """Whether any policy of pods `of` opens `port` to or from pods `peer` of the same namespace."""
    side = {"egress": "to", "ingress": "from"}[direction]
    return any(
        {"port": port, "protocol": "TCP"} in rule.get("ports", [])
        and any("podSelector" in p and len(p) == 1 and matches(peer, p["podSelector"]) for p in rule.get(side, []))
        for policy in of_kind(manifests, "NetworkPolicy")
        if matches(of, policy["spec"]["podSelector"])
        for rule in policy["spec"].get(direction, [])
    )


def lets_in_from(manifests: list[Manifest], of: Labels, namespace: str, port: int) -> bool:
    """Whether any policy of pods `of` opens `port` to pods of another namespace."""
    return any(
        {"port": port, "protocol": "TCP"} in rule.get("ports", [])
        and any(
            peer.get("namespaceSelector", {}).get("matchLabels") == {"kubernetes.io/metadata.name": namespace}
            for peer in rule.get("from", [])
        )
        for policy in of_kind(manifests, "NetworkPolicy")
        if matches(of, policy["spec"]["podSelector"])
        for rule in policy["spec"].get("ingress", [])
    )


def strangers_are_called_in_the_world_alone(manifests: list[Manifest]) -> list[str]:
    """Who calls addresses that strangers gave may open connections to all of the Internet and to nothing private.

    By all policies together: what one of them lets out, another can't hold back.
    """
    offences: list[str] = []
    webhooks: str = NotifySettings.model_fields["webhook_ports"].default
    wanted = {*map(int, webhooks.split(",")), DEFAULT_PORTS["smtp"], DEFAULT_PORTS["smtps"]}
    policies = of_kind(manifests, "NetworkPolicy")
    callers = (w for w in of_kind(manifests, "Deployment") if pod_labels(w)["app.kubernetes.io/name"] == "notify")
    for workload in callers:
        reached: dict[int, list[Network]] = {}
        for policy in (p for p in policies if matches(pod_labels(workload), p["spec"]["podSelector"])):
            for rule in policy["spec"].get("egress", []):
                if not rule.get("to") or not rule.get("ports"):
                    offences.append(f"{title(workload)}: {title(policy)} lets everything out")
                    continue
                blocks = [_open(peer["ipBlock"]) for peer in rule["to"] if "ipBlock" in peer]
                for port in [port["port"] for port in rule["ports"]]:
                    reached.setdefault(port, []).extend(network for block in blocks for network in block)
        reached = {port: networks for port, networks in reached.items() if networks}
        if reached.keys() != wanted:
            offences.append(f"{title(workload)}: reaches the ports {sorted(reached)} of the Internet")
        for port, networks in reached.items():
            inside = {each for each in CLOSED if any(_overlap(each, network) for network in networks)}
            offences += [f"{title(workload)}: may call {each} on {port}" for each in sorted(map(str, inside))]
            # What is open and what is closed are together all there is.
            for whole in (ip_network("0.0.0.0/0"), GLOBAL_UNICAST):
                within = {each for each in [*networks, *CLOSED] if each.version == whole.version}
                if _collapsed(within, whole) != [whole]:
                    offences.append(f"{title(workload)}: can't call all of {whole} on {port}")
    return offences


def _open(block: dict[str, Any]) -> list[Network]:
    """The networks that an ipBlock lets through."""
    left: list[Network] = [ip_network(block["cidr"])]
    for closed in map(ip_network, block.get("except", [])):
        left = [
            part for network in left for part in (_without(network, closed) if _overlap(network, closed) else [network])
        ]
    return left


def _without(network: Network, closed: Network) -> Iterator[Network]:
    if isinstance(network, IPv4Network) and isinstance(closed, IPv4Network) and closed.subnet_of(network):
        yield from network.address_exclude(closed)
    if isinstance(network, IPv6Network) and isinstance(closed, IPv6Network) and closed.subnet_of(network):
        yield from network.address_exclude(closed)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _collapsed(networks: set[Network], whole: Network) -> list[Network]:
    """As few networks as say the same, of those that lie in `whole`."""
    if isinstance(whole, IPv4Network):
        return list(collapse_addresses(each for each in networks if isinstance(each, IPv4Network)))
    inside = [each for each in networks if isinstance(each, IPv6Network) and each.subnet_of(whole)]
    return list(collapse_addresses(inside))


def ways_in_are_open(manifests: list[Manifest]) -> list[str]:
    """What the Ingress leads to is an api, by versioned paths of its service only, and the controller may reach it."""
    services = {service["metadata"]["name"]: service for service in of_kind(manifests, "Service")}
    offences: list[str] = []
    for ingress in of_kind(manifests, "Ingress"):
        for path in [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]:
            where, backend = f"{title(ingress)}: {path['path']}", path["backend"]["service"]
            service = services.get(backend["name"])
            name = backend["name"].removesuffix("-api")
            if not re.fullmatch(rf"/{re.escape(name)}/v\d+", path["path"]) or path["pathType"] != "Prefix":
                offences.append(f"{where} is not /{name}/v… as a prefix")
            if service is None or backend["port"]["name"] not in {port["name"] for port in service["spec"]["ports"]}:
                offences.append(f"{where} leads to no Service")
                continue
            (workload,) = [
                w for w in workloads(manifests) if service["spec"]["selector"].items() <= pod_labels(w).items()
            ]
            ports = {port["name"]: port["containerPort"] for port in main_container(workload)["ports"]}
            (target,) = [p["targetPort"] for p in service["spec"]["ports"] if p["name"] == backend["port"]["name"]]
            if not any(lets_in_from(manifests, pod_labels(workload), name, ports[target]) for name in CONTROLLERS):
                offences.append(f"{where}: no policy lets the controller in")
    return offences


ALL: tuple[Policy, ...] = (
    network_is_closed,
    what_is_needed_is_open,
    strangers_are_called_in_the_world_alone,
    ways_in_are_open,
)
