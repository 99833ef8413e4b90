"""What we ask of every manifest, beyond what a schema can say. A policy takes all of them and names each offence."""

import re
from typing import Any

from chassis.consumer import STOP_WAIT_S
from tests.ops import edges, operated
from tests.ops.k8s import (
    K8S,
    SERVICE,
    Manifest,
    Policy,
    containers,
    main_container,
    matches,
    of_kind,
    pod,
    pod_labels,
    strings,
    title,
    workloads,
)

ONE_SHOT = {"topics", "rights", "mongodb-initiate", "volumes"}  # containers of compose that do one thing and end
UNASKED = {"collector", "logs"}  # images of one program: Prometheus' `up` is their health check
CAPABILITIES = {"proxy": ["NET_BIND_SERVICE"], "volumes": ["CHOWN"]}
EXACT_TAG = re.compile(r"^([\w./-]+:v?\d+\.\d+\.\d+|postgres:\d+\.\d+)[\w.-]*$")  # PostgreSQL counts by two numbers
CREDENTIALS_IN_URI = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|_KEYS?$|^MONGODB_URI")


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
        for resource in ("cpu", "memory", *(() if name.startswith("KafkaNodePool") else ("ephemeral-storage",)))
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
                elif pod_labels(workload).items() >= SERVICE.items() and action.get("path") != path:
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


def stops_are_waited_for(manifests: list[Manifest]) -> list[str]:
    """A pod is killed only after the longest that it may take: to answer, to finish its batch; and some more."""
    (requests_s,) = re.findall(r'"--timeout-graceful-shutdown", "(\d+)"', (K8S.parent / "Dockerfile").read_text())
    offences: list[str] = []
    for workload in of_kind(manifests, "Deployment"):
        if pod_labels(workload).items() >= SERVICE.items():
            before_s = main_container(workload).get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
            if pod(workload)["terminationGracePeriodSeconds"] <= before_s["seconds"] + int(requests_s) + STOP_WAIT_S:
                offences.append(f"{title(workload)}: is killed while it stops")
    return offences


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


def references_exist(manifests: list[Manifest]) -> list[str]:
    """Accounts and config maps are ours, in one namespace; secrets are made elsewhere (Strimzi, by hand)."""
    there = {title(manifest) for manifest in manifests}
    offences = [
        f"{title(manifest)}: is in another namespace"
        for manifest in manifests
        if manifest["kind"] != "Namespace" and manifest["metadata"].get("namespace") != "livinglab"
    ]
    for workload in workloads(manifests):
        wanted = [f"ServiceAccount/{pod(workload).get('serviceAccountName', 'default')}"]
        wanted += [f"ConfigMap/{v['configMap']['name']}" for v in pod(workload).get("volumes", []) if "configMap" in v]
        for container in containers(workload):
            wanted += [f"ConfigMap/{source['configMapRef']['name']}" for source in container.get("envFrom", [])]
            sources = [variable.get("valueFrom", {}) for variable in container.get("env", [])]
            wanted += [f"ConfigMap/{s['configMapKeyRef']['name']}" for s in sources if "configMapKeyRef" in s]
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


ALL: tuple[Policy, ...] = (
    pods_are_restricted,
    resources_are_bounded,
    probes_are_set,
    disruptions_are_budgeted,
    stops_are_waited_for,
    images_are_exact,
    selectors_match,
    references_exist,
    secrets_stay_out,
    *edges.ALL,
    *operated.ALL,
)


def compose_offences(compose: dict[str, Any]) -> list[str]:
    """What every container must have, so that one can't take the machine or open it."""
    found: list[str] = []
    for name, service in compose["services"].items():
        asked = {
            "exact tag": bool(EXACT_TAG.match(service.get("image", ""))),
            "memory limit": int(service.get("mem_limit", 0)) > 0,
            "drops all capabilities": service.get("cap_drop") == ["ALL"],
            "adds no capability but what it is for": service.get("cap_add", []) == CAPABILITIES.get(name, []),
            "no new privileges": "no-new-privileges:true" in service.get("security_opt", []),
            "no port unless it is the proxy": "ports" not in service or name == "proxy",
            "ports on loopback": all(port.get("host_ip") == "127.0.0.1" for port in service.get("ports", [])),
            "read-only unless it is a database": bool(service.get("read_only")) or name in {"kafka", "mongodb"},
            "restarts unless it ends by itself": (service.get("restart") == "unless-stopped") == (name not in ONE_SHOT),
            "health check, its own or its image's": bool(service.get("healthcheck") or service.get("build"))
            or name in UNASKED,
            "a profile": bool(service.get("profiles")),
            "bounded logs unless it ends by itself": "max-size" in service.get("logging", {}).get("options", {})
            or name in ONE_SHOT,
        }
        found += [f"{name}: {what}" for what, held in asked.items() if not held]
    return found
