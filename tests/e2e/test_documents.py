"""Commands in documents are run here, or they are not there."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from contracts import events

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"^```python\n(# (\S+\.py)\n.*?)^```$", re.MULTILINE | re.DOTALL)
"""A script, whose first line names its file."""
GUIDE_WITHIN_S = 300
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


def a_clone(directory: Path) -> Path:
    """A folder that looks like the repository to commands, so that a guide's files do not land in ours."""
    clone = directory / "clone"
    clone.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {".livinglab", "coba"}:
            (clone / entry.name).symlink_to(entry)
    return clone


def told_by(guide: str, directory: Path) -> str:
    """What the commands of a guide print, each script saved where the guide says; they must all succeed."""
    document = ROOT / "docs" / guide
    environment = os.environ | {"LIVINGLAB_DIRECTORY": str(directory / "home")}
    clone = a_clone(directory)
    (clone / "coba").mkdir()
    for script, name in SAVED.findall(document.read_text()):
        (clone / name).write_text(script)
    try:
        told = subprocess.run(
            ["bash", "-c", script_of(document)],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            timeout=GUIDE_WITHIN_S,
            check=False,
        )
    finally:
        subprocess.run([ROOT / ".venv/bin/livinglab", "down"], env=environment, capture_output=True, check=False)
    assert told.returncode == 0, told.stderr + told.stdout
    return told.stdout


@pytest.mark.real
@pytest.mark.timeout(GUIDE_WITHIN_S + 30)
def test_the_portals_guide_does_what_it_says(tmp_path: Path) -> None:
    told = told_by("start-portal.md", tmp_path)
    assert "/scoring/v1/standings" in told
    assert '"dry_run":true,"rows":3' in told
    assert '"status":"carried"' in told
    assert '"decree": "Simulasi tanpa keputusan"' in told, "official standings, with their decree"
    assert '"against_first":{"index":"-0.55"' in told
    assert '"aims":[' in told
    assert '"rank":2,"region":"32.08"' in told, "the second page"
    assert "\n304\n" in told
    assert "region,name,kind,province,cycle" in told
    assert '"@context": "http://www.w3.org/ns/csvw"' in told
    assert '"jwks_uri"' in told
    assert "201 replayed: true" in told
    assert '"code": "stale"' in told
    assert '"missing":[]' in told
    assert '"code": "minutes_missing"' in told
    assert '"status":"submitted"' in told
    assert '"self":{"index":{"value":"3","shown":"3.00"}' in told, "the score"
    assert "'basis': 'self'" in told, "the portrait on two bases"
    assert '"code": "invalid_request"' in told
    assert "http://localhost:5173 200 http://localhost:5173" in told
    assert "https://asing.example 400" in told


@pytest.mark.real
@pytest.mark.timeout(GUIDE_WITHIN_S + 30)
def test_the_ministries_guide_does_what_it_says(tmp_path: Path) -> None:
    told = told_by("start-ministry.md", tmp_path)
    assert '"field": "index", "line": 3, "column": 4, "code": "not_a_figure"' in told
    assert '"dry_run":true,"rows":2,"new":2' in told
    assert '"dry_run":true,"rows":1,"new":0,"changed":1' in told
    kuningan = "id.livinglab.score.recalculated.v1 spbe-2025:32.08:official revisi"
    for revision in (1, 2):
        assert f"baru · new: {kuningan} {revision}" in told
        assert f"sudah ada · known: {kuningan} {revision}" in told, "another group reads it again"
    for noun in ("instrument.published", "cycle.opened"):
        assert f"baru · new: id.livinglab.{noun}.v1 pemdi-2026 revisi 1" in told, "they share an id"
    by_sdk = told[told.rindex("sudah ada · known:") :]
    assert f"\n{kuningan} 2" in by_sdk
    assert f"\n{kuningan} 1" not in by_sdk, "only the newest"
    assert "resmi · official: 2.98 Baik · Simulasi tanpa keputusan" in by_sdk
    assert '"audience": "supervised"' in told
    assert '"whole":true' in told, "the dry run"
    assert '"status":"active"' in told, "its endpoint was proved"
    assert "id.livinglab.subscription.test.v1" in told
    assert "id.livinglab.score.recalculated.v1 spbe-2025:32.08:official revision 3" in told, "by a webhook"
    assert '"status":"delivered"' in told
    assert '"status":"accepted"' in told, "the replay"
    assert '"keys":["whpk_' in told
    assert "\nevent: id.livinglab.score.recalculated.v1\n" in told, "live"
    assert "Kabupaten Kuningan: Nilai indeks dihitung: 2,99 (hasil resmi)" in told, "in the inbox"
    assert re.search(r'"changed":[1-9][0-9]*,"unread":0', told)
    assert '"email":"pembina@kemendagri.example.go.id"' in told


def test_the_ministries_guide_names_every_fact() -> None:
    text = (ROOT / "docs/start-ministry.md").read_text()
    rows = re.findall(r"^\| `([a-z._]+)` \| `(livinglab\.[a-z]+)` \| ([a-z -]+) \| `([a-z/]+)` \|", text, re.MULTILINE)
    assert rows == [(fact.name, fact.topic.name, fact.topic.key, fact.source) for fact in events.ALL]


def test_the_capacity_table_is_what_was_measured() -> None:
    measured = [json.loads(line) for line in (ROOT / "tests/bench/results.jsonl").read_text().splitlines()]
    medians = {figure["name"]: (f"{figure['median']:g}", figure["unit"]) for figure in measured}
    text = (ROOT / "docs/operations.md").read_text()
    rows = re.findall(r"^\| .+ \| ([0-9.]+) \| (.+) \| `([a-z0-9_]+)` \|$", text, re.MULTILINE)
    assert len(rows) > 8
    assert [(number, name) for number, _, name in rows] == [(medians[name][0], name) for _, _, name in rows]


def test_every_link_inside_the_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []
