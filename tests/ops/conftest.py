import importlib
import importlib.util
import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.settings import Settings
from tests.ops import tools

ROOT = Path(__file__).resolve().parents[2]
# What the compose file asks for; the values are made up.
COMPOSE_VARIABLES = {
    "MONGODB_KEY": "bW9uZ29kYg",
    "ASSESSMENT_MONGODB_PASSWORD": "a11ce",
    "SCORING_MONGODB_PASSWORD": "5c0re",
    "COMMITMENT_MONGODB_PASSWORD": "c0mm1t",
    "NOTIFY_MONGODB_PASSWORD": "7e11",
    "WEBHOOK_SIGNING_KEY": "c2lnbg==",
    "AUDIT_SIGNING_KEY": "YXVkaXQ=",
    "WEBHOOK_SEALING_KEYS": "c2VhbA==",
    "KEYCLOAK_ADMIN_PASSWORD": "adm1n",
    "KEYCLOAK_DATABASE_PASSWORD": "d47a",
}


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="session")
def services() -> list[str]:
    """The folders of services/: the one list of what must be deployed."""
    names = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir() and path.name.isidentifier())
    found = [name for name in names if not name.startswith("__")]
    assert found
    return found


@pytest.fixture(scope="session")
def variables(services: list[str]) -> dict[str, set[str]]:
    """Service → the environment variables that it reads: the chassis', and those of its own settings, if it has any."""
    return {service: {name.upper() for name in _settings_of(service).model_fields} for service in services}


def _settings_of(service: str) -> type[Settings]:
    name = f"services.{service}.settings"
    if importlib.util.find_spec(name) is None:
        return Settings
    (own,) = [
        each
        for each in vars(importlib.import_module(name)).values()
        if isinstance(each, type) and issubclass(each, Settings) and each is not Settings
    ]
    return own


@pytest.fixture(scope="session")
def kustomize() -> Callable[[Path], str]:
    tool = tools.go_tool(tools.KUSTOMIZE)

    def build(folder: Path) -> str:
        """The manifests as YAML, or the reason why there are none as RuntimeError."""
        done = tools.run([tool, "build", folder])
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    return build


@pytest.fixture(scope="session")
def rendered(kustomize: Callable[[Path], str]) -> str:
    return kustomize(ROOT / "deploy" / "k8s" / "base")


@pytest.fixture
def manifests(rendered: str) -> list[dict[str, Any]]:
    """Fresh for each test: a test may break them."""
    return list(yaml.safe_load_all(rendered))


@pytest.fixture(scope="session")
def judged() -> Callable[[str], list[dict[str, str]]]:
    """kubeconform's verdict on each manifest."""
    own, strimzi = tools.kubernetes_schemas(), tools.strimzi_schemas()
    command = [
        *(tools.go_tool(tools.KUBECONFORM), "-strict", "-verbose", "-output", "json"),
        *("-schema-location", f"{own}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"),
        *("-schema-location", f"{strimzi}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json"),
    ]

    def judge(text: str) -> list[dict[str, str]]:
        return json.loads(tools.run(command, stdin=text).stdout)["resources"]

    return judge


@pytest.fixture(scope="session")
def compose_variables() -> dict[str, str]:
    return COMPOSE_VARIABLES


@pytest.fixture(scope="session")
def load_compose() -> Callable[[Path, dict[str, str]], dict[str, Any]]:
    tool = tools.compose_loader()

    def load(file: Path, given: dict[str, str]) -> dict[str, Any]:
        """The model as docker compose sees it, or its complaint as RuntimeError; of the environment only `given`."""
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | given
        done = tools.run([tool, file], environment=environment)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    return load


@pytest.fixture
def compose(load_compose: Callable[[Path, dict[str, str]], dict[str, Any]]) -> dict[str, Any]:
    return load_compose(ROOT / "docker-compose.yml", COMPOSE_VARIABLES)
