"""Variables of compose, both ways: .env.example names what the files ask for, services read what they are given."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chassis.settings import Settings
from tests.ops import tools
from tests.ops.test_kubernetes_settings import READ_BY_UVICORN, SASL, required

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

Load = Callable[[Path, dict[str, str]], dict[str, Any]]
FILES = ("docker-compose.yml", "deploy/compose/observability.yml", "deploy/compose/demo.yml")
OF_COMPOSE = {"COMPOSE_PROFILES"}
"""Read by docker compose itself."""


def asked(root: Path) -> set[str]:
    """What the files take from where compose is called: `${NAME}` in a value, or `NAME:` alone among environment."""
    found: set[str] = set()
    for file in FILES:
        text = "\n".join(line for line in (root / file).read_text().splitlines() if not line.lstrip().startswith("#"))
        found |= set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))
        found |= set(re.findall(r"^ +([A-Z_]+):(?: +#.*)?$", text, flags=re.MULTILINE))
    return found


def named(text: str) -> set[str]:
    """What .env.example has, set or commented out."""
    return set(re.findall(r"^#?([A-Z_]+)=", text, flags=re.MULTILINE))


def test_env_example_names_what_is_asked_for_and_nothing_else(root: Path) -> None:
    assert named((root / ".env.example").read_text()) == asked(root) | OF_COMPOSE


def test_env_example_leaves_exactly_what_must_be_set_empty(root: Path, compose_variables: dict[str, str]) -> None:
    """A secret is not in it, also not as an example."""
    empty = set(re.findall(r"^([A-Z_]+)=$", (root / ".env.example").read_text(), flags=re.MULTILINE))
    assert empty == compose_variables.keys()


@pytest.fixture
def made(root: Path, tmp_path: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Runs deploy/env.sh in a folder of its own, where it makes .env."""
    (tmp_path / "deploy").mkdir()
    for file in ("deploy/env.sh", ".env.example"):
        shutil.copy(root / file, tmp_path / file)
    return lambda: tools.run([tmp_path / "deploy" / "env.sh"])


def test_env_is_made_with_secrets_that_services_take(
    made: Callable[[], subprocess.CompletedProcess[str]],
    tmp_path: Path,
    root: Path,
    load_compose: Load,
    compose_variables: dict[str, str],
    settings: dict[str, type[Settings]],
) -> None:
    assert made().returncode == 0
    env = tmp_path / ".env"
    assert env.stat().st_mode & 0o777 == 0o600
    told = dict(re.findall(r"^([A-Z_]+)=(.+)$", env.read_text(), flags=re.MULTILINE))
    secrets = {told[name] for name in compose_variables}
    assert len(secrets) == len(compose_variables)
    containers = load_compose(root / "docker-compose.yml", told)["services"]
    for service, own in settings.items():
        given = {k.lower(): v for k, v in containers[f"{service}-worker"]["environment"].items() if v is not None}
        own.model_validate_strings({name: value for name, value in given.items() if name in own.model_fields})


def test_secrets_that_are_in_use_are_not_made_again(
    made: Callable[[], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("MONGODB_KEY=known\n")
    assert "there is a .env already" in made().stderr
    assert (tmp_path / ".env").read_text() == "MONGODB_KEY=known\n"


def test_a_secret_that_could_not_be_made_leaves_no_env(
    made: Callable[[], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    example = tmp_path / ".env.example"
    example.write_text(example.read_text().replace("# openssl rand -base64 32\n", "# openssl random\n"))
    assert made().returncode != 0
    assert {path.name for path in tmp_path.glob(".env*")} == {".env.example"}


@pytest.fixture
def composed(load_compose: Load, root: Path, compose_variables: dict[str, str]) -> dict[str, Any]:
    """With .env.example filled in."""
    text = (root / ".env.example").read_text()
    told = dict(re.findall(r"^([A-Z_]+)=(.+)$", text, flags=re.MULTILINE))
    return load_compose(root / "docker-compose.yml", told | compose_variables)["services"]


def offences(composed: dict[str, Any], settings: dict[str, type[Settings]], image: set[str]) -> list[str]:
    """What is given in vain, and what is missing."""
    found: list[str] = []
    for service, own in settings.items():
        for role in ("api", "worker"):
            name = f"{service}-{role}"
            told = composed[name]["environment"]
            read = {field.upper() for field in own.model_fields} | READ_BY_UVICORN
            needed = required(own) - image | {"ROLE"} | (SASL - {"KAFKA_SASL_MECHANISM"})
            found += [f"{name}: nobody reads {variable}" for variable in sorted(told.keys() - read)]
            found += [f"{name}: {variable} is missing" for variable in sorted(needed - told.keys())]
    return found


def test_variables_are_read_and_those_that_are_needed_are_given(
    composed: dict[str, Any], settings: dict[str, type[Settings]], image: set[str]
) -> None:
    assert offences(composed, settings, image) == []


@pytest.mark.parametrize(
    ("name", "change", "offence"),
    [
        ("scoring-api", {"ROLES": "api"}, "nobody reads ROLES"),
        ("scoring-worker", {"MONGODB_URI": None}, "MONGODB_URI is missing"),
        ("scoring-worker", {"KAFKA_SASL_PASSWORD": None}, "KAFKA_SASL_PASSWORD is missing"),
        ("notify-api", {"WEBHOOK_SIGNING_KEY": None}, "WEBHOOK_SIGNING_KEY is missing"),
        ("commitment-worker", {"PUBLIC_ADDRESS": None}, "PUBLIC_ADDRESS is missing"),
    ],
)
def test_what_is_given_in_vain_or_missing_is_named(
    composed: dict[str, Any],
    settings: dict[str, type[Settings]],
    image: set[str],
    name: str,
    change: dict[str, str | None],
    offence: str,
) -> None:
    told = composed[name]["environment"] | change
    composed[name]["environment"] = {variable: value for variable, value in told.items() if value is not None}
    assert offences(composed, settings, image) == [f"{name}: {offence}"]


def test_every_value_is_one_that_the_service_takes(
    composed: dict[str, Any], settings: dict[str, type[Settings]]
) -> None:
    for service, own in settings.items():
        for role in ("api", "worker"):
            told = {k.lower(): v for k, v in composed[f"{service}-{role}"]["environment"].items() if v is not None}
            told |= dict.fromkeys(["webhook_signing_key", "audit_signing_key"] & told.keys(), "A" * 43 + "=")
            told |= dict.fromkeys(["webhook_sealing_keys"] & told.keys(), "A" * 43 + "=")
            own.model_validate_strings({name: value for name, value in told.items() if name in own.model_fields})


def test_all_traces_are_sent_whole_where_the_collector_decides(composed: dict[str, Any]) -> None:
    told = composed["scoring-worker"]["environment"]
    assert (told["OTEL_EXPORTER_OTLP_ENDPOINT"], told["TRACES_SAMPLE_RATIO"]) == ("http://collector:4318", "1")
    assert composed["collector"]["networks"].keys() & composed["scoring-worker"]["networks"].keys() == {"watch"}
