"""A tool that can't be had fails the run and says what to do; it never skips a check."""

from pathlib import Path

import pytest

from tests.ops import tools

pytestmark = pytest.mark.ops


def test_missing_python_tool_is_named() -> None:
    with pytest.raises(tools.ToolMissing, match="absent-tool is missing: install the extra `ops`"):
        tools.python_tool("absent-tool")


def test_missing_go_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tools.ToolMissing, match="Install Go"):
        tools.go_tool("example.com/absent@v0.0.1")


def test_program_that_does_not_build_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tools.ToolMissing, match="no such module"):
        tools.go_tool("example.com/absent@v0.0.1")
