"""All services keep what their OpenAPI documents say, whatever they are asked: schemathesis, with all its checks.

Its settings, and what each of them is for, are in `schemathesis.toml` beside this file. More of it by hand:
`SCHEMA_RUN="--seed 7 --max-examples 300" .venv/bin/python -m pytest -s tests/e2e/test_schema.py`
"""

import asyncio
import json
import os
import sys
from base64 import urlsafe_b64decode
from pathlib import Path

import httpx
import pytest

from lab import system
from tests.acting import Headers, Region, Tokens

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
CODE = "32.15"
"""The region of the examples in the documents; `free_regions` leaves it out."""
ASSESSOR = ("universitas-x", "asesor-eksternal")
MINISTRY = ("kemenpanrb", "peninjau")
REGION = (CODE, "penanggung-jawab", "koordinator-spbe", "pelaksana-entri-data")
WHOEVER_MAY = {
    "*": REGION,
    **dict.fromkeys(("assign", "verify", "publish", "import_official", "import_status"), MINISTRY),
    **dict.fromkeys(("take_up", "one_stage", "patch_findings", "close", "give_back"), ASSESSOR),
}
WHO_IS_TOLD = {
    "*": ("kemendagri", "pembina"),
    **dict.fromkeys(("set_right", "set_networks"), ("kemenpanrb", "administrator")),
}
WHO_COMMITS = {
    "*": (CODE, "koordinator-spbe"),
    **dict.fromkeys(("judge_evidence", "settle_signature", "import_visits"), ("kemendagri", "pembina")),
}
ALONE = ("--phases=examples,coverage", "--mode=positive")
"""Malformed requests, chance and chains are for whoever may: anybody else is refused alike whatever they ask."""
RUNS = {
    "assessment by whoever may": ("assessment", WHOEVER_MAY, ()),
    "assessment by the region": ("assessment", {"*": REGION}, ALONE),
    "assessment by the ministry": ("assessment", {"*": MINISTRY}, ALONE),
    "assessment by nobody": ("assessment", {}, ALONE),
    "scoring by whoever may": ("scoring", WHOEVER_MAY, ()),
    "scoring by nobody": ("scoring", {}, ALONE),
    "commitment by whoever may": ("commitment", WHO_COMMITS, ()),
    "commitment by nobody": ("commitment", {}, ALONE),
    "notify by whoever may": ("notify", WHO_IS_TOLD, ()),
    "notify by nobody": ("notify", {}, ALONE),
}


@pytest.fixture(scope="module")
async def prepared(tokens: Tokens, assessment: httpx.AsyncClient, scoring: httpx.AsyncClient) -> None:
    """What `schemathesis.toml` names: a draft, an assessment under review, a published one."""
    ministry, assessor = tokens(*MINISTRY), tokens(*ASSESSOR)
    draft, reviewed, published = (
        Region(CODE, cycle, tokens(*REGION), assessment, scoring) for cycle in ("spbe-2022", "spbe-2024", "spbe-2023")
    )
    await draft.open()
    await draft.fill({1: 3})
    for region in (reviewed, published):
        await region.open()
        await region.fill(3)
        await region.submit()
        chosen = {"assessors": [{"assessor": subject_of(assessor), "organization": ASSESSOR[0]}]}
        await region.post("assignment", chosen, **ministry)
        await region.post("review", **assessor)
        await region.post("stages/document/closing", **assessor)
    await published.post("verification", {"aspects": [{"aspect": n} for n in range(1, 9)]}, **ministry)
    await published.post("consent")
    assert (await published.post("publication", **ministry)).json()["status"] == "published"
    await published.score(revision=(await published.read())["revision"])


def subject_of(who: Headers) -> str:
    claims = who["Authorization"].split(".")[1]
    return json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.usefixtures("prepared")
async def test_whatever_is_asked_is_answered_as_documented(
    run: str, living_lab: system.System, tokens: Tokens, tmp_path: Path
) -> None:
    service, people, options = RUNS[run]
    by = {operation: tokens(*who)["Authorization"] for operation, who in people.items()}
    running = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "--no-color",
        f"--config-file={ROOT / 'tests/e2e/schemathesis.toml'}",
        "run",
        f"{living_lab.services[service]}/{service}/v1/openapi.json",
        *options,
        *os.environ.get("SCHEMA_RUN", "").split(),
        cwd=ROOT,
        env=os.environ | {"SCHEMA_TOKENS": json.dumps(by)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await running.communicate()
    finally:
        if running.returncode is None:  # the test ran out of time
            running.kill()
    print(f"{run}: {said.decode()}")
    assert running.returncode == 0
