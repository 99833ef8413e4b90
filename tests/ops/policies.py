"""What we ask of every manifest, beyond what a schema can say. A policy takes all of them and names each offence."""

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

from services.notify.domain.address import CLOSED, GLOBAL_UNICAST, Network
from services.notify.post import DEFAULT_PORTS
from services.notify.settings import NotifySettings

Manifest = dict[str, Any]
Policy = Callable[[list[Manifest]], list[str]]
INGRESS_NAMESPACE = {"kubernetes.io/metadata.name": "ingress"}
ONE_SHOT = {"topics", "mongodb-initiate"}  # containers of compose that do one thing and end
EXACT_TAG = re.compile(r"^([\w./-]+:v?\d+\.\d+\.\d+|postgres:\d+\.\d+)[\w.-]*$")  # PostgreSQL counts by two numbers
CREDENTIALS_IN_URI = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|_KEYS?$|^MONGODB_URI")


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


def pods_are_restricted(manifests: list[Manifest]) -> list[str]:
    """Pod Security Standard `restricted`, and what it does not ask: a read-only root, no token of the API server."""
    offences: list[str] = []
    for workload in workloads(manifests):
        spec = pod(workload)
        context = spec.get("securityContext", {})
        asked = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser is a number above 0": context.get("runAsUser", 0) > 0,
            "seccompProfile RuntimeDefault": context.get("seccompProfile") == {"type": "RuntimeDefault"},
            "automountServiceAccountToken false": spec.get("automountServiceAccountToken") is False,
            "no host namespaces": not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
            "no host paths": not any("hostPath" in volume for volume in spec.get("volumes", [])),
        }
        for container in containers(workload):
            own = container.get("securityContext", {})
            asked |= {
                f"{container['name']}: allowPrivilegeEscalation false": own.get("allowPrivilegeEscalation") is False,
                f"{container['name']}: readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
                f"{container['name']}: drops all capabilities": own.get("capabilities") == {"drop": ["ALL"]},
                f"{container['name']}: not privileged": not own.get("privileged"),
            }
        offences += [f"{title(workload)}: {what}" for what, held in asked.items() if not held]
    return offences


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


def resources_are_bounded(manifests: list[Manifest]) -> list[str]:
    """Requests so that the scheduler knows, limits so that one pod can't take the node."""
    bounded = [
        (f"{title(workload)}: {container['name']}", container.get("resources", {}))
        for workload in workloads(manifests)
        for container in containers(workload)
    ]
    bounded += [(title(pool), pool["spec"].get("resources", {})) for pool in of_kind(manifests, "KafkaNodePool")]
    return [
        f"{name}: no {kind}.{resource}"
        for name, resources in bounded
        for kind in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in resources.get(kind, {})
    ]


def probes_are_set(manifests: list[Manifest]) -> list[str]:
    """All three on what runs for ever; on our services at the paths that the chassis answers."""
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    offences: list[str] = []
    for workload in of_kind(manifests, "Deployment", "StatefulSet"):
        for container in containers(workload):
            ports = {port["name"] for port in container.get("ports", [])}
            for probe, path in paths.items():
                found = container.get(probe, {})
                action: dict[str, Any] = found.get("httpGet") or found.get("tcpSocket") or {}
                if action.get("port") not in ports:
                    offences.append(f"{title(workload)}: {container['name']} has no {probe} on a named port")
                elif workload["kind"] == "Deployment" and action.get("path") != path:
                    offences.append(f"{title(workload)}: {probe} must ask {path}")
    return offences


def disruptions_are_budgeted(manifests: list[Manifest]) -> list[str]:
    """A drained node takes one pod of each at a time."""
    budgets = of_kind(manifests, "PodDisruptionBudget")
    offences = [
        f"{title(workload)}: no PodDisruptionBudget"
        for workload in of_kind(manifests, "Deployment", "StatefulSet")
        if not any(matches(pod_labels(workload), budget["spec"]["selector"]) for budget in budgets)
    ]
    for budget in budgets:
        chosen = [w for w in workloads(manifests) if matches(pod_labels(w), budget["spec"]["selector"])]
        if len(chosen) != 1:
            offences.append(f"{title(budget)}: selects {len(chosen)} workloads instead of one")
    return offences


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


def images_are_exact(manifests: list[Manifest]) -> list[str]:
    """A tag that names one release; what runs must not depend on when it was pulled."""
    return [
        f"{title(workload)}: {container['image']} is not an exact tag"
        for workload in workloads(manifests)
        for container in containers(workload)
        if not EXACT_TAG.match(container["image"])
    ]


def selectors_match(manifests: list[Manifest]) -> list[str]:
    """What refers by label or name finds exactly what it means; no schema sees this."""
    offences: list[str] = []
    for workload in of_kind(manifests, "Deployment", "StatefulSet"):
        if not matches(pod_labels(workload), workload["spec"]["selector"]):
            offences.append(f"{title(workload)}: its selector does not match its pods")
        for spread in pod(workload).get("topologySpreadConstraints", [{}]):
            if not matches(pod_labels(workload), spread.get("labelSelector", {"matchLabels": {"none": ""}})):
                offences.append(f"{title(workload)}: its pods are not spread")
        others = [
            w
            for w in workloads(manifests)
            if w is not workload and matches(pod_labels(w), workload["spec"]["selector"])
        ]
        offences += [f"{title(workload)}: selects the pods of {title(other)} too" for other in others]
    for service in of_kind(manifests, "Service"):
        chosen = [w for w in workloads(manifests) if service["spec"]["selector"].items() <= pod_labels(w).items()]
        if len(chosen) != 1:
            offences.append(f"{title(service)}: selects {len(chosen)} workloads instead of one")
            continue
        ports = {port["name"]: port["containerPort"] for c in containers(chosen[0]) for port in c.get("ports", [])}
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if target not in ports and target not in ports.values():
                offences.append(f"{title(service)}: {target} is no port of {title(chosen[0])}")
    return offences


def ways_in_are_open(manifests: list[Manifest]) -> list[str]:
    """What the Ingress leads to is an api, by versioned paths of its service only, and the controller may reach it."""
    services = {service["metadata"]["name"]: service for service in of_kind(manifests, "Service")}
    policies = of_kind(manifests, "NetworkPolicy")
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
            if not any(_lets_in(policy, pod_labels(workload), ports[target]) for policy in policies):
                offences.append(f"{where}: no policy lets the controller in")
    return offences


def _lets_in(policy: Manifest, labels: dict[str, str], port: int) -> bool:
    return matches(labels, policy["spec"]["podSelector"]) and any(
        {"namespaceSelector": {"matchLabels": INGRESS_NAMESPACE}} in rule.get("from", [])
        and {"port": port, "protocol": "TCP"} in rule.get("ports", [])
        for rule in policy["spec"].get("ingress", [])
    )


def references_exist(manifests: list[Manifest]) -> list[str]:
    """Accounts and config maps are ours; secrets are made elsewhere (Strimzi, the operator by hand)."""
    there = {title(manifest) for manifest in manifests}
    offences: list[str] = []
    for workload in workloads(manifests):
        wanted = [f"ServiceAccount/{pod(workload).get('serviceAccountName', 'default')}"]
        wanted += [f"ConfigMap/{v['configMap']['name']}" for v in pod(workload).get("volumes", []) if "configMap" in v]
        for container in containers(workload):
            wanted += [f"ConfigMap/{source['configMapRef']['name']}" for source in container.get("envFrom", [])]
        offences += [f"{title(workload)}: {name} is missing" for name in wanted if name not in there]
    return offences


def secrets_stay_out(manifests: list[Manifest]) -> list[str]:
    """A secret is a name here, never a value."""
    offences = [f"{title(secret)}: a secret in the manifests" for secret in of_kind(manifests, "Secret")]
    for workload in workloads(manifests):
        offences += [
            f"{title(workload)}: {variable['name']} holds a value"
            for container in containers(workload)
            for variable in container.get("env", [])
            if SECRET_NAME.search(variable["name"]) and "secretKeyRef" not in variable.get("valueFrom", {})
        ]
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap" and any("\n" in text for text in strings(manifest["data"])):
            continue  # a script: it shows what such a URI looks like
        offences += [
            f"{title(manifest)}: credentials in {text}" for text in strings(manifest) if CREDENTIALS_IN_URI.search(text)
        ]
    return offences


def facts_have_copies(manifests: list[Manifest]) -> list[str]:
    """Three copies, two acknowledged: one node may be lost, or rolled, without losing a fact or refusing one."""
    config = {"default.replication.factor": 3, "min.insync.replicas": 2, "auto.create.topics.enable": False}
    offences = [
        f"{title(kafka)}: {name} must be {value}"
        for kafka in of_kind(manifests, "Kafka")
        for name, value in config.items()
        if kafka["spec"]["kafka"]["config"].get(name) != value
    ]
    offences += [
        f"{title(topic)}: must have 3 copies, 2 in sync"
        for topic in of_kind(manifests, "KafkaTopic")
        if (topic["spec"]["replicas"], topic["spec"]["config"].get("min.insync.replicas")) != (3, 2)
    ]
    return offences


ALL: tuple[Policy, ...] = (
    pods_are_restricted,
    operator_pods_are_restricted,
    resources_are_bounded,
    probes_are_set,
    disruptions_are_budgeted,
    network_is_closed,
    strangers_are_called_in_the_world_alone,
    images_are_exact,
    selectors_match,
    ways_in_are_open,
    references_exist,
    secrets_stay_out,
    facts_have_copies,
)


def compose_offences(compose: dict[str, Any]) -> list[str]:
    """What every container must have, so that one can't take the machine or open it."""
    found: list[str] = []
    for name, service in compose["services"].items():
        asked = {
            "exact tag": bool(EXACT_TAG.match(service.get("image", ""))),
            "memory limit": int(service.get("mem_limit", 0)) > 0,
            "drops all capabilities": service.get("cap_drop") == ["ALL"],
            "adds no capability but the proxy's": service.get("cap_add", [])
            == (["NET_BIND_SERVICE"] if name == "proxy" else []),
            "no new privileges": "no-new-privileges:true" in service.get("security_opt", []),
            "no port unless it is the proxy": "ports" not in service or name == "proxy",
            "ports on loopback": all(port.get("host_ip") == "127.0.0.1" for port in service.get("ports", [])),
            "read-only unless it is a database": bool(service.get("read_only")) or name in {"kafka", "mongodb"},
            "restarts unless it ends by itself": (service.get("restart") == "unless-stopped") == (name not in ONE_SHOT),
            "health check, its own or its image's": bool(service.get("healthcheck") or service.get("build")),
        }
        found += [f"{name}: {what}" for what, held in asked.items() if not held]
    return found
