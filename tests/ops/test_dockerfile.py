"""deploy/Dockerfile: judged by hadolint, and by what our code needs of it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ops import tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

LAST_STAGE = "service"


@pytest.fixture(scope="session")
def dockerfile(root: Path) -> str:
    return (root / "deploy" / "Dockerfile").read_text()


@pytest.fixture(scope="session")
def stages(dockerfile: str) -> dict[str, str]:
    """The text of each stage by its name."""
    parts = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].split(" AS ")[1]: part for part in parts}


@pytest.fixture
def unpack(root: Path, stages: dict[str, str], tmp_path: Path) -> Callable[..., Path]:
    """What an image holds of the repository, as a folder: follows the COPY lines of its stages."""

    def follow(*names: str, service: str) -> Path:
        app = tmp_path / service
        lines = "\n".join(stages[name] for name in names).replace("${SERVICE}", service)
        for source, target in re.findall(r"^COPY (?!--)(\S+) (\S+)$", lines, flags=re.MULTILINE):
            (app / target).parent.mkdir(parents=True, exist_ok=True)
            if (root / source).is_dir():
                shutil.copytree(root / source, app / target, dirs_exist_ok=True)
            else:
                shutil.copy(root / source, app / target)
        return app

    return follow


@pytest.fixture
def python_in() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a line of Python that sees our code only in the folder given."""

    def run(app: Path, line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # This environment has the project installed as editable, by a finder: without it, only the folder is seen.
        alone = "sys.meta_path = [f for f in sys.meta_path if 'editable' not in getattr(f, '__module__', '')]"
        return tools.run(
            [sys.executable, "-I", "-c", f"import sys; {alone}; sys.path.insert(0, {str(app)!r}); {line}", *arguments]
        )

    return run


@pytest.mark.parametrize("file", ["Dockerfile", "keycloak/Dockerfile"])
def test_hadolint_has_no_complaint(root: Path, file: str) -> None:
    done = tools.run([tools.python_tool("hadolint"), root / "deploy" / file])
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("FROM python:latest", "DL3007"),
        ("FROM python:3.11.14-slim-bookworm\nRUN pip install uv", "DL3013"),
        ("FROM python:3.11.14-slim-bookworm\nRUN apt-get update && apt-get install curl", "DL3008"),
        ("FROM python:3.11.14-slim-bookworm\nCMD python -m uvicorn", "DL3025"),
    ],
)
def test_hadolint_refuses(line: str, rule: str) -> None:
    done = tools.run([tools.python_tool("hadolint"), "-"], stdin=line + "\n")
    assert done.returncode != 0
    assert rule in done.stdout


def test_no_rule_is_silenced_without_a_reason(dockerfile: str, root: Path) -> None:
    assert "hadolint ignore" not in dockerfile
    assert not list(root.glob(".hadolint*"))


def test_stages_share_one_exact_base_that_the_project_allows(stages: dict[str, str], project: dict[str, Any]) -> None:
    bases = {stage.split()[0] for stage in stages.values()} - stages.keys()
    assert len(bases) == 1
    found = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-\w+", bases.pop())
    assert found
    least = re.fullmatch(r">=(\d+)\.(\d+)", project["requires-python"])
    assert least
    assert [int(part) for part in found.groups()] >= [int(part) for part in least.groups()]


def test_service_is_what_is_built_when_no_target_is_named(stages: dict[str, str]) -> None:
    assert list(stages)[-1] == LAST_STAGE


def test_image_runs_as_a_number_that_is_not_root(stages: dict[str, str]) -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", stages["runtime"], flags=re.MULTILINE)
    assert int(user) > 0
    assert all("USER root" not in stage for stage in stages.values())


def test_every_service_has_the_extra_its_image_installs(services: list[str], project: dict[str, Any]) -> None:
    assert {*services, "lab"} <= project["optional-dependencies"].keys()


def test_lock_can_be_installed_from_wheels_alone(root: Path, services: list[str], tmp_path: Path) -> None:
    extras = [argument for extra in (*services, "lab") for argument in ("--extra", extra)]
    done = tools.run(
        [
            *(tools.python_tool("uv"), "pip", "install", "--dry-run", "--target", tmp_path, "--python", sys.executable),
            *("--only-binary", ":all:", "--require-hashes", "-c", root / "requirements.lock"),
            *("-r", root / "pyproject.toml", *extras),
        ]
    )
    assert done.returncode == 0, done.stderr


def test_context_lets_through_all_that_is_copied(root: Path, stages: dict[str, str]) -> None:
    lines = (root / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", "\n".join(stages.values()), flags=re.MULTILINE)
    assert {source.split("/")[0] for line in copied for source in line.split()} == allowed


def test_image_of_each_service_holds_what_its_app_imports(
    stages: dict[str, str],
    services: list[str],
    unpack: Callable[..., Path],
    python_in: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for service in services:
        (application,) = re.findall(r"UVICORN_APP=(\S+):create_app", stages[LAST_STAGE])
        module = application.replace("${SERVICE}", service)
        app = unpack("runtime", LAST_STAGE, service=service)
        done = python_in(app, f"import {module} as module; module.create_app")
        assert done.returncode == 0, done.stderr


def test_image_of_the_lab_holds_its_command(
    stages: dict[str, str],
    unpack: Callable[..., Path],
    python_in: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    (entry,) = re.findall(r'ENTRYPOINT \["python", "-c", "(.+)"\]', stages["lab"])
    done = python_in(unpack("runtime", "lab", service="lab"), entry, "topics", "create", "--help")
    assert done.returncode == 0, done.stderr


def test_image_without_the_contracts_would_be_noticed(
    services: list[str], unpack: Callable[..., Path], python_in: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    app = unpack("runtime", LAST_STAGE, service=services[0])
    shutil.rmtree(app / "contracts")
    done = python_in(app, f"import services.{services[0]}.app")
    assert "No module named 'contracts'" in done.stderr
