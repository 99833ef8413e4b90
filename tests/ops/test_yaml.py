"""Every YAML file that is deployed, as text."""

from pathlib import Path

import pytest

from tests.ops import tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(60)]


@pytest.fixture
def yamllint() -> list[str | Path]:
    return [tools.python_tool("yamllint"), "--strict", "-c", Path(__file__).with_name("yamllint.yaml")]


def test_yaml_is_clean(root: Path, yamllint: list[str | Path]) -> None:
    done = tools.run([*yamllint, root / "docker-compose.yml", root / "deploy"])
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: yes\n", "a:\n   - b\n  - c\n", "a: 1  \n"])
def test_yamllint_refuses(tmp_path: Path, yamllint: list[str | Path], text: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    assert tools.run([*yamllint, file]).returncode != 0
