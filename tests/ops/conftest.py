import functools
import importlib
import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.settings import Settings
from tests.ops import k8s, tools

ROOT = Path(__file__).resolve().parents[2]
# What the compose file asks for; the values are made up.
COMPOSE_VARIABLES = {
    "KAFKA_ADMIN_PASSWORD": "k4fka",
    "ASSESSMENT_KAFKA_PASSWORD": "4kafka",
    "SCORING_KAFKA_PASSWORD": "5kafka",
    "COMMITMENT_KAFKA_PASSWORD": "6kafka",
    "NOTIFY_KAFKA_PASSWORD": "7kafka",
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
def settings(services: list[str]) -> dict[str, type[Settings]]:
    """Service → what it reads: the chassis' settings, or its own beyond them."""
    return {service: _settings_of(service) for service in services}


@pytest.fixture(scope="session")
def variables(settings: dict[str, type[Settings]]) -> dict[str, set[str]]:
    """Service → the environment variables that it reads."""
    return {service: {name.upper() for name in own.model_fields} for service, own in settings.items()}


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
def image(root: Path) -> set[str]:
    """Variables that the image sets itself."""
    text = (root / "deploy" / "Dockerfile").read_text()
    return set(re.findall(r"^(?:ENV | {4})([A-Z_]+)=", text, re.MULTILINE))


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
def render(
    kustomize: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[str, list[dict[str, Any]]]]:
    """One of k8s.VARIANTS as YAML and as manifests, made once: not to be changed."""

    @functools.cache
    def build(variant: str) -> tuple[str, list[dict[str, Any]]]:
        folder = k8s.K8S / ("base" if variant == "base" else f"overlays/{variant}")
        if (component := variant.removeprefix("base+")) != variant:
            folder = tmp_path_factory.mktemp("alone")
            there = os.path.relpath(k8s.K8S, folder.resolve())
            told = {"resources": [f"{there}/base"], "components": [f"{there}/components/{component}"]}
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(told))
        text = kustomize(folder)
        return text, list(yaml.load_all(text, Loader=yaml.CSafeLoader))

    return build


@pytest.fixture
def variant() -> str:
    """The one with every component, unless a test is parametrised by others."""
    return "national"


@pytest.fixture
def rendered(render: Callable[[str], tuple[str, list[dict[str, Any]]]], variant: str) -> str:
    return render(variant)[0]


@pytest.fixture
def manifests(render: Callable[[str], tuple[str, list[dict[str, Any]]]], variant: str) -> list[dict[str, Any]]:
    """Fresh for each test: a test may break them."""
    return deepcopy(render(variant)[1])


@pytest.fixture(scope="session")
def judged() -> Callable[[str], list[dict[str, str]]]:
    """kubeconform's verdict on each manifest."""
    own = tools.kubernetes_schemas()
    named = "{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json"
    command = [
        *(tools.go_tool(tools.KUBECONFORM), "-strict", "-verbose", "-output", "json"),
        *("-schema-location", f"{own}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"),
        *("-schema-location", f"{tools.strimzi_schemas()}/{named}"),
        *("-schema-location", f"{tools.crd_schemas()}/{named}"),
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


@pytest.fixture
def find(manifests: list[dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    """A manifest by its title, e.g. `Deployment/scoring-api`."""
    by_title = {k8s.title(manifest): manifest for manifest in manifests}
    return by_title.__getitem__
