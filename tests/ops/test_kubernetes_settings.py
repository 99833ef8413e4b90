"""Settings on Kubernetes, both ways: each variable that is given is read, each that must be given is."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from chassis.settings import Settings
from tests.ops import k8s

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Manifests = list[dict[str, Any]]
Find = Callable[[str], dict[str, Any]]
READ_BY_UVICORN = {"FORWARDED_ALLOW_IPS"}
SASL = {"KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}


def required(settings: type[Settings]) -> set[str]:
    """What must be given: what has no default, what says so, and each default that leads to this very machine."""

    def must_be_given(field: FieldInfo) -> bool:
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else str(field.default)
        says_so = "Must be set" in " ".join((field.description or "").split())
        return field.is_required() or says_so or bool(re.search(r"127\.0\.0\.1|localhost", default))

    return {name.upper() for name, field in settings.model_fields.items() if must_be_given(field)}


def given(manifests: Manifests, workload: dict[str, Any]) -> dict[str, str | None]:
    """Variable → value, None where it is a reference to a secret or a config map."""
    container = k8s.main_container(workload)
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        found |= k8s.config(manifests, source["configMapRef"]["name"].rpartition("-")[0])
    return found | {variable["name"]: variable.get("value") for variable in container.get("env", [])}


def offences(manifests: Manifests, settings: dict[str, type[Settings]], image: set[str]) -> list[str]:
    """What is given in vain, and what is missing. `image`: variables that are set in the image already."""
    found: list[str] = []
    for workload in k8s.of_kind(manifests, "Deployment"):
        if not k8s.pod_labels(workload).items() >= k8s.SERVICE.items():
            continue
        own = settings[k8s.pod_labels(workload)["app.kubernetes.io/name"]]
        told = given(manifests, workload)
        read = {name.upper() for name in own.model_fields} | READ_BY_UVICORN
        secured = SASL if (told["KAFKA_SECURITY_PROTOCOL"] or "").startswith("SASL") else set[str]()
        needed = required(own) - image | {"ROLE"} | secured
        found += [f"{k8s.title(workload)}: nobody reads {name}" for name in sorted(told.keys() - read)]
        found += [f"{k8s.title(workload)}: {name} is missing" for name in sorted(needed - told.keys())]
    return found


@pytest.mark.parametrize("variant", k8s.VARIANTS)
def test_variables_are_read_and_those_that_are_needed_are_given(
    manifests: Manifests, settings: dict[str, type[Settings]], image: set[str]
) -> None:
    assert offences(manifests, settings, image) == []


def drop(name: str) -> Callable[[dict[str, Any]], object]:
    def change(workload: dict[str, Any]) -> None:
        env = k8s.main_container(workload)["env"]
        env.remove(next(one for one in env if one["name"] == name))

    return change


@pytest.mark.parametrize(
    ("title", "change", "offence"),
    [
        ("Deployment/scoring-api", lambda m: k8s.main_container(m)["env"].append({"name": "ROLES"}), "reads ROLES"),
        ("Deployment/scoring-api", lambda m: k8s.main_container(m)["env"].append({"name": "TSA_URL"}), "reads TSA_URL"),
        ("Deployment/scoring-worker", drop("MONGODB_URI"), "MONGODB_URI is missing"),
        ("Deployment/scoring-worker", drop("KAFKA_SASL_PASSWORD"), "KAFKA_SASL_PASSWORD is missing"),
        ("Deployment/scoring-worker", drop("ROLE"), "ROLE is missing"),
        ("Deployment/notify-api", drop("WEBHOOK_SIGNING_KEY"), "WEBHOOK_SIGNING_KEY is missing"),
        ("Deployment/notify-worker", drop("WEBHOOK_SEALING_KEYS"), "WEBHOOK_SEALING_KEYS is missing"),
        ("Deployment/commitment-api", drop("PUBLIC_ADDRESS"), "PUBLIC_ADDRESS is missing"),
    ],
)
def test_what_is_given_in_vain_or_missing_is_named(
    manifests: Manifests,
    find: Find,
    settings: dict[str, type[Settings]],
    image: set[str],
    title: str,
    change: Callable[[dict[str, Any]], object],
    offence: str,
) -> None:
    change(find(title))
    (found,) = offences(manifests, settings, image)
    assert found.startswith(title)
    assert offence in found


@pytest.mark.parametrize("name", ["KAFKA_BOOTSTRAP_SERVERS", "OIDC_ISSUER"])
def test_an_address_that_is_missing_is_named_for_everybody(
    manifests: Manifests, settings: dict[str, type[Settings]], image: set[str], name: str
) -> None:
    del k8s.config(manifests, "addresses")[name]
    assert len([found for found in offences(manifests, settings, image) if f"{name} is missing" in found]) == 8


def test_a_port_that_is_not_opened_by_the_image_must_be_given(
    manifests: Manifests, settings: dict[str, type[Settings]], image: set[str]
) -> None:
    assert "METRICS_HOST" in image
    assert len(offences(manifests, settings, image - {"METRICS_HOST"})) == 8


@pytest.mark.parametrize("variant", k8s.VARIANTS)
def test_every_value_is_one_that_the_service_takes(manifests: Manifests, settings: dict[str, type[Settings]]) -> None:
    for workload in k8s.of_kind(manifests, "Deployment"):
        if k8s.pod_labels(workload).items() >= k8s.SERVICE.items():
            told = {name.lower(): value for name, value in given(manifests, workload).items() if value is not None}
            own = settings[k8s.pod_labels(workload)["app.kubernetes.io/name"]]
            own.model_validate_strings({name: value for name, value in told.items() if name in own.model_fields})


def test_all_traces_are_sent_whole_where_a_collector_decides_and_none_elsewhere(render: Any) -> None:
    told = {variant: k8s.config(render(variant)[1], "addresses") for variant in k8s.VARIANTS}
    decides = {variant for variant in k8s.VARIANTS if "OTEL_EXPORTER_OTLP_ENDPOINT" in told[variant]}
    assert decides == {"base+collector", "national"}
    assert {variant for variant in k8s.VARIANTS if told[variant].get("TRACES_SAMPLE_RATIO") == "1"} == decides
    for variant in decides:
        services = {one["metadata"]["name"]: one for one in k8s.of_kind(render(variant)[1], "Service")}
        assert services["collector"]["spec"]["ports"][0]["port"] == 4318
        assert told[variant]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"


def test_every_service_has_api_and_worker_with_its_own_name_image_and_credentials(
    find: Find, services: list[str], project: dict[str, Any]
) -> None:
    for service in services:
        for role in ("api", "worker"):
            container = k8s.main_container(find(f"Deployment/{service}-{role}"))
            env = {variable["name"]: variable for variable in container["env"]}
            assert container["image"] == f"livinglab/{service}:{project['version']}"
            assert env["ROLE"]["value"] == role
            assert env["KAFKA_SASL_USERNAME"]["value"] == find(f"KafkaUser/{service}")["metadata"]["name"]
            assert env["KAFKA_SASL_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == f"kafka-{service}"
            assert env["MONGODB_URI"]["valueFrom"]["secretKeyRef"]["name"] == f"mongodb-{service}"
    initiated = {variable["name"] for variable in k8s.main_container(find("Job/mongodb-initiate"))["env"]}
    assert initiated == {"MONGODB_KEY"} | {f"MONGODB_URI_{service.upper()}" for service in services}


def test_notify_has_the_same_keys_in_both_roles_and_nobody_else_has_them(manifests: Manifests) -> None:
    keys = {"WEBHOOK_SIGNING_KEY": "signing", "WEBHOOK_SEALING_KEYS": "sealing"}
    wanted = {name: {"secretKeyRef": {"name": "notify-keys", "key": key}} for name, key in keys.items()}
    holders: list[str] = []
    for workload in k8s.workloads(manifests):
        env = k8s.main_container(workload).get("env", [])
        if found := {variable["name"]: variable.get("valueFrom") for variable in env if variable["name"] in keys}:
            assert found == wanted
            holders.append(k8s.title(workload))
    assert sorted(holders) == ["Deployment/notify-api", "Deployment/notify-worker"]


def test_the_key_of_the_audit_is_held_by_the_worker_alone(manifests: Manifests) -> None:
    holders = [
        k8s.title(workload)
        for workload in k8s.workloads(manifests)
        if any(one["name"] == "AUDIT_SIGNING_KEY" for one in k8s.main_container(workload).get("env", []))
    ]
    assert holders == ["Deployment/commitment-worker"]
