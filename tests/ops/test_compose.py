"""docker-compose.yml: loaded as docker compose loads it, then held to our rules for one machine."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ops import policies

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Load = Callable[[Path, dict[str, str]], dict[str, Any]]
BEFORE = ("mongodb-initiate", "rights", "topics")
"""What has ended when a service starts."""
BROKEN = {
    "unknown key": "services: {a: {image: 'a:1.0.0', memory: 1g}}",
    "undefined dependency": "services: {a: {image: 'a:1.0.0', depends_on: [b]}}",
    "dependency cycle": "services: {a: {image: 'a:1.0.0', depends_on: [b]}, b: {image: 'b:1.0.0', depends_on: [a]}}",
    "undefined network": "services: {a: {image: 'a:1.0.0', networks: [data]}}",
    "undefined config": "services: {a: {image: 'a:1.0.0', configs: [script]}}",
    "dependency of another profile": "services: {a: {image: 'a:1.0.0', profiles: [a], depends_on: [b]}, "
    "b: {image: 'b:1.0.0', profiles: [b]}}",
    "variable not set": "services: {a: {image: 'a:1.0.0', environment: {P: '${P:?set P}'}}}",
}


def test_containers_keep_the_rules(compose: dict[str, Any]) -> None:
    assert policies.compose_offences(compose) == []


@pytest.mark.parametrize(
    ("name", "change", "offence"),
    [
        ("kafka", {"image": "apache/kafka:latest"}, "exact tag"),
        ("kafka", {"healthcheck": None}, "health check"),
        ("mongodb", {"mem_limit": "0"}, "memory limit"),
        ("topics", {"cap_drop": []}, "capabilities"),
        ("scoring-api", {"security_opt": []}, "privileges"),
        ("scoring-api", {"cap_add": ["NET_RAW"]}, "adds no capability"),
        ("scoring-api", {"ports": [{"target": 8000, "host_ip": "127.0.0.1"}]}, "no port"),
        ("proxy", {"ports": [{"target": 8080, "published": "8080"}]}, "loopback"),
        ("keycloak-database", {"image": "postgres:17"}, "exact tag"),
        ("scoring-worker", {"read_only": False}, "read-only"),
        ("scoring-worker", {"restart": "no"}, "restarts"),
        ("notify-api", {"cap_drop": ["NET_RAW"]}, "capabilities"),
        ("notify-worker", {"image": "livinglab/notify"}, "exact tag"),
        ("grafana", {"profiles": []}, "a profile"),
        ("loki", {"image": "grafana/loki:3.7"}, "exact tag"),
        ("prometheus", {"healthcheck": None}, "health check"),
        ("loki", {"healthcheck": None}, "health check"),
        ("volumes", {"cap_add": ["CHOWN", "SYS_ADMIN"]}, "adds no capability"),
    ],
)
def test_rules_refuse(compose: dict[str, Any], name: str, change: dict[str, Any], offence: str) -> None:
    compose["services"][name] |= change
    assert any(found.startswith(f"{name}: ") and offence in found for found in policies.compose_offences(compose))


OBSERVABILITY = {"alertmanager", "collector", "grafana", "jaeger", "logs", "loki", "prometheus", "volumes"}


@pytest.mark.parametrize("profiles", ["core", "observability", "demo", "core,observability", "demo,observability"])
def test_each_profile_loads_with_what_is_its_own(
    load_compose: Load, root: Path, compose_variables: dict[str, str], profiles: str, services: list[str]
) -> None:
    told = compose_variables | {"COMPOSE_PROFILES": profiles}
    found = load_compose(root / "docker-compose.yml", told)["services"].keys()
    ours = {f"{service}-{role}" for service in services for role in ("api", "worker")}
    assert found & OBSERVABILITY == (OBSERVABILITY if "observability" in profiles else set())
    assert found & ours == (set() if profiles == "observability" else ours)
    assert ("mail" in found) == ("demo" in profiles)


@pytest.mark.parametrize("mistake", BROKEN)
def test_loader_refuses(load_compose: Load, tmp_path: Path, mistake: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(BROKEN[mistake])
    with pytest.raises(RuntimeError):
        load_compose(file, {"COMPOSE_PROFILES": "a"})


def test_each_missing_variable_is_named_with_what_to_do(
    load_compose: Load, root: Path, compose_variables: dict[str, str]
) -> None:
    for name in compose_variables:
        others = {key: value for key, value in compose_variables.items() if key != name}
        with pytest.raises(RuntimeError, match=rf"{name} is missing a value: set {name}"):
            load_compose(root / "docker-compose.yml", others)


def test_file_holds_no_default_for_a_secret(root: Path) -> None:
    text = (root / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(\w*(?:PASSWORD|KEY|SECRET|TOKEN)\w*)(\S)(\S)", text)
    assert used
    assert {name for name, first, second in used if first + second != ":?"} == set()


def test_every_service_has_api_and_worker_with_its_own_user_and_database(
    compose: dict[str, Any], services: list[str], project: dict[str, Any]
) -> None:
    for service in services:
        for role in ("api", "worker"):
            container = compose["services"][f"{service}-{role}"]
            environment = container["environment"]
            assert container["image"] == f"livinglab/{service}:{project['version']}"
            assert container["build"]["args"] == {"SERVICE": service}
            assert environment["ROLE"] == role
            assert re.fullmatch(
                rf"mongodb://{service}:\w+@mongodb:27017/{service}\?replicaSet=rs0", environment["MONGODB_URI"]
            )
            initiated = compose["services"]["mongodb-initiate"]["environment"][f"MONGODB_URI_{service.upper()}"]
            assert initiated == environment["MONGODB_URI"]


def test_services_are_given_only_variables_they_read(
    compose: dict[str, Any], services: list[str], variables: dict[str, set[str]]
) -> None:
    for service in services:
        for role in ("api", "worker"):
            given = compose["services"][f"{service}-{role}"]["environment"].keys()
            assert given - variables[service] == {"FORWARDED_ALLOW_IPS"}  # read by uvicorn


def test_notify_has_the_same_keys_in_both_roles_and_nobody_else_has_them(
    compose: dict[str, Any], compose_variables: dict[str, str]
) -> None:
    keys = ("WEBHOOK_SIGNING_KEY", "WEBHOOK_SEALING_KEYS")
    for name, container in compose["services"].items():
        found = {key: container.get("environment", {}).get(key) for key in keys}
        holds = name in ("notify-api", "notify-worker")
        assert found == {key: compose_variables[key] if holds else None for key in keys}, name


def test_the_key_of_the_audit_is_held_by_the_worker_alone(compose: dict[str, Any]) -> None:
    holders = [name for name, one in compose["services"].items() if "AUDIT_SIGNING_KEY" in one.get("environment", {})]
    assert holders == ["commitment-worker"]


def test_services_reach_the_world_by_one_network_alone(compose: dict[str, Any], services: list[str]) -> None:
    for service in services:
        for role in ("api", "worker"):
            assert sorted(compose["services"][f"{service}-{role}"]["networks"]) == ["data", "edge", "watch"]
    assert [name for name, network in compose["networks"].items() if not network.get("internal")] == ["edge"]


def test_optional_addresses_are_passed_on_only_when_set(
    load_compose: Load, root: Path, compose_variables: dict[str, str]
) -> None:
    file = root / "docker-compose.yml"
    told = {"WEBHOOK_ORIGIN": "lab.example", "SMTP_URI": "smtp://mail.example", "PUBLIC_ADDRESS": "https://lab.example"}
    ours = load_compose(file, compose_variables | told)["services"]
    for name in ("notify-api", "notify-worker"):
        assert told.items() <= ours[name]["environment"].items()
    endpoint = "http://collector:4318"
    without = load_compose(file, compose_variables)["services"]["scoring-api"]["environment"]
    given = load_compose(file, compose_variables | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert without.get("OTEL_EXPORTER_OTLP_ENDPOINT") is None
    assert load_compose(file, compose_variables)["services"]["notify-api"]["environment"].get("WEBHOOK_ORIGIN") is None
    assert given["services"]["scoring-api"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint


LOCAL = "http://localhost:8080/auth/realms/livinglab"
INSIDE = "http://keycloak:8080/auth/realms/livinglab"


@pytest.mark.parametrize(
    ("given", "issuer", "address"),
    [
        ({}, LOCAL, INSIDE),
        ({"PROXY_PORT": "9090"}, LOCAL.replace("8080", "9090"), INSIDE),
        ({"PUBLIC_ADDRESS": "https://lab.example"}, "https://lab.example/auth/realms/livinglab", INSIDE),
        ({"OIDC_ISSUER": "https://other.example/r"}, "https://other.example/r", "https://other.example/r"),
    ],
)
def test_tokens_are_those_of_keycloak_behind_the_proxy_unless_another_issuer_is_named(
    load_compose: Load, root: Path, compose_variables: dict[str, str], given: dict[str, str], issuer: str, address: str
) -> None:
    services = load_compose(root / "docker-compose.yml", compose_variables | given)["services"]
    environment = services["scoring-api"]["environment"]
    assert (environment["OIDC_ISSUER"], environment["OIDC_ADDRESS"]) == (issuer, address)
    if "OIDC_ISSUER" not in given:
        assert issuer == services["keycloak"]["environment"]["KC_HOSTNAME"] + "/realms/livinglab"
        ports = {port["target"]: port["published"] for port in services["proxy"]["ports"]}
        assert "PUBLIC_ADDRESS" in given or f":{ports[8080]}/" in issuer


def test_databases_are_reached_only_through_the_network_without_a_way_out(compose: dict[str, Any]) -> None:
    assert compose["networks"]["data"]["internal"] is True
    assert compose["networks"]["accounts"]["internal"] is True
    for name in ("kafka", "mongodb", *BEFORE):
        assert list(compose["services"][name]["networks"]) == ["data"]
    reaching = [name for name, service in compose["services"].items() if "accounts" in service.get("networks", ())]
    assert sorted(reaching) == ["keycloak", "keycloak-database"]
    assert list(compose["services"]["keycloak-database"]["networks"]) == ["accounts"]


def test_services_start_after_topics_and_users_exist(compose: dict[str, Any], services: list[str]) -> None:
    for service in services:
        for role in ("api", "worker"):
            needed = compose["services"][f"{service}-{role}"]["depends_on"]
            assert {name: need["condition"] for name, need in needed.items()} == dict.fromkeys(
                BEFORE, "service_completed_successfully"
            )
