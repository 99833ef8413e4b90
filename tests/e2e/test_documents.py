"""Commands in documents are run here, or they are not there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN_ELSEWHERE = {"make demo\nmake test\n"}
"""The two promises themselves; `.ci/run` keeps them."""


def script_of(document: Path) -> str:
    blocks = BLOCK.findall(document.read_text())
    return "\n".join(["set -euo pipefail", *(block for block in blocks if block not in RUN_ELSEWHERE)])


@pytest.mark.real
def test_the_readmes_commands_do_what_it_says(tmp_path: Path) -> None:
    environment = os.environ | {"LIVINGLAB_DIRECTORY": str(tmp_path / "home")}
    try:
        told = subprocess.run(
            ["bash", "-c", script_of(ROOT / "README.md")],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    finally:
        subprocess.run([ROOT / ".venv/bin/livinglab", "down"], env=environment, capture_output=True, check=False)
    assert told.returncode == 0, told.stderr + told.stdout
    assert '"status":"draft"' in told.stdout
    assert '"level":"4"' in told.stdout
    assert '"code": "incomplete"' in told.stdout
    assert '"index":{"value":"3","shown":"3.00"}' in told.stdout


def test_every_link_inside_the_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []
