"""deploy/Dockerfile: judged by hadolint, and by what our code needs of it."""

import re
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


def test_context_lets_through_all_that_is_copied(root: Path, stages: dict[str, str]) -> None:
    lines = (root / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", "\n".join(stages.values()), flags=re.MULTILINE)
    assert {source for line in copied for source in line.split()} == allowed
