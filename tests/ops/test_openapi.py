"""The OpenAPI documents as integrators' tools read them."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab import openapi
from lab.system import SERVICES
from tests.ops import tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(480)]


def verdict(file: Path) -> dict[str, int]:
    """How many errors and warnings redocly finds."""
    redocly = tools.node_tool(tools.REDOCLY, "redocly")
    done = tools.run([redocly, "lint", "--format=json", file])
    found: dict[str, Any] = json.JSONDecoder().raw_decode(done.stdout.strip())[0]
    return found["totals"]


@pytest.mark.parametrize("service", SERVICES)
def test_redocly_finds_nothing(service: str) -> None:
    assert verdict(openapi.FOLDER / f"{service}.json") == {"errors": 0, "warnings": 0, "ignored": 0}


def test_redocly_refuses(tmp_path: Path) -> None:
    document = json.loads((openapi.FOLDER / "scoring.json").read_bytes())
    del document["components"]["schemas"]["ProblemBody"]
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(document))
    assert verdict(broken)["errors"] > 0
