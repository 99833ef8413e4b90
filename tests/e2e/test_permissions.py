"""Who may do and see what, as the tables say. An operation without a row fails."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx
import pytest

from contracts.roles import Role
from lab import system
from tests.acting import Region, Tokens, eventually, key
from tests.committing import drafted
from tests.conftest import LIMITS
from tests.e2e.permissions import (
    ASSESSMENT,
    BODIES,
    COLUMNS,
    COMMITMENT,
    LISTED,
    NOTIFY,
    PEOPLE,
    RAW,
    SCORING,
    SEES_ANSWERS,
)

pytestmark = pytest.mark.real


@pytest.fixture(scope="session")
async def subject(tokens: Tokens, assessment: httpx.AsyncClient, scoring: httpx.AsyncClient) -> Region:
    code = "14.01"
    headers = tokens(code, "penanggung-jawab", "koordinator-spbe")
    submitted = Region(code, "spbe-2020", headers, assessment, scoring)
    await submitted.open()
    await submitted.fill(2)
    await submitted.submit()
    await submitted.score()
    draft = Region(code, "spbe-2021", headers, assessment, scoring)
    await draft.open()
    await draft.fill({1: 3})
    return draft


def headers_of(person: str, subject: Region, tokens: Tokens) -> dict[str, str]:
    if (who := PEOPLE[person]) is None:
        return {}
    province = subject.code[:2]
    organization = {"OWN": subject.code, "OTHER": "32.11", "PROVINCE": province}.get(who[0], who[0])
    return tokens(organization, who[1])


async def ask(
    operation: str,
    client: httpx.AsyncClient,
    headers: dict[str, str],
    of: str,
    own: str = "",
    committed: Mapping[str, str] | None = None,
) -> httpx.Response:
    method, template = operation.split()
    path = template.format(
        **(committed or {}),
        instrument_id="spbe-2020",
        assessment_id=of,
        number=1,
        cycle="spbe-2020",
        stage="document",
        region="32.11",
        import_id="none",
        subscription_id=of,
        replay_id="none",
        delivery_id="none",
        organization=own,
    )
    body = BODIES.get(operation)
    if isinstance(body, dict):
        body = {name: own if value == "OWN" else value for name, value in body.items()}
    if operation == "POST /assessments":
        cycle, _, region = of.partition(":")
        body = {"region": region, "cycle": cycle}
    params = {
        "GET /scores": {"region": of.partition(":")[2]},
        "GET /standings": {"cycle": "spbe-2020", "kind": "regency"},
        "GET /summaries/{cycle}/missing": {"kind": "regency"},
        "GET /leaders/{cycle}": {"kind": "regency"},
        "GET /comparison": {"cycle": "spbe-2020", "region": "32.11"},
        "POST /official/imports": {
            "cycle": "spbe-2020",
            "decree": "Keputusan simulasi",
            "decree_date": "2021-01-04",
            "dry_run": True,
        },
    }
    if path in ("/confirmations", "/unsubscriptions"):
        params[operation] = {"token": "none"}
    sent = headers | ({} if method == "GET" else key() | {"If-Match": '"x"'})
    if operation == "GET /stream":  # its status; the rest would never end
        async with client.stream(method, path, headers=sent) as answer:
            return answer
    if operation in RAW:
        content, media_type = RAW[operation]
        return await client.request(method, path, content=content, headers=sent | {"Content-Type": media_type})
    return await client.request(method, path, params=params.get(operation), json=body, headers=sent)


def test_every_role_has_a_column() -> None:
    assert {who[1] for who in PEOPLE.values() if who} == {*Role, "no-such-role"}


@pytest.fixture(scope="session")
async def notify(living_lab: system.System) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"{living_lab.services['notify']}/notify/v1", timeout=20, limits=LIMITS
    ) as client:
        yield client


@pytest.fixture(scope="session")
async def subscription(subject: Region, notify: httpx.AsyncClient) -> str:
    asked = BODIES["POST /subscriptions"]
    made = await notify.post("/subscriptions", json=asked, headers=subject.headers | key())
    return made.json()["subscription"]


@pytest.fixture(scope="session")
async def committed(
    subject: Region, tokens: Tokens, commitment: httpx.AsyncClient, living_lab: system.System
) -> dict[str, str]:
    """What the table of commitment is about, as parameters of its paths."""
    own, province = subject.code, subject.code[:2]
    one = await drafted(commitment, tokens, living_lab.directory / "pki", province, [province, own, "32.11"])
    await one.open()
    who = tokens(own, "koordinator-spbe")

    async def make(path: str, **body: Any) -> dict[str, Any]:
        answer = await eventually(lambda: commitment.post(path, json=body, headers=who | key()), 201)
        return answer.json()

    visit = await make(
        "/visits", organization=own, host="32.11", visited_on="2022-03-15", subject="Tabel peran", met=["Sekda"]
    )
    target = {"instrument": "spbe-2020", "index": "5.0", "pledged_on": "2023-07-12", "due": "2028-07-12"}
    pledge = await make("/pledges", region=own, commitment=one.id, **target)
    followup = await make(
        "/followups", region=own, commitment=one.id, title="Tabel peran", unit="Bappeda", due="2030-01-01"
    )
    content = b"%PDF-1.7\n% made for a test\n"
    media = {"Content-Type": "application/pdf"}
    file = (await commitment.post("/files", content=content, headers=who | key() | media)).json()
    address = f"/followups/{followup['followup']}"
    tag = (await commitment.get(address, headers=who)).headers["ETag"]
    shown = await commitment.post(
        f"{address}/evidence",
        json={"title": "Bukti", "file": file["file"], "sha256": file["sha256"]},
        headers=who | key() | {"If-Match": tag},
    )
    await eventually(lambda: commitment.get("/audit/checkpoint"))
    return {
        "commitment_id": one.id,
        "block": "p02",
        "visit_id": visit["visit"],
        "pledge_id": pledge["pledge"],
        "followup_id": followup["followup"],
        "evidence_id": shown.json()["evidence"][0]["evidence"],
    }


TABLES = ASSESSMENT | SCORING | COMMITMENT | NOTIFY


@pytest.mark.parametrize("operation", TABLES)
async def test_each_operation_answers_everybody_as_the_table_says(
    operation: str,
    subject: Region,
    tokens: Tokens,
    commitment: httpx.AsyncClient,
    committed: dict[str, str],
    notify: httpx.AsyncClient,
    subscription: str,
) -> None:
    row = TABLES[operation].split()
    client, of = {
        operation in ASSESSMENT: (subject.assessment, subject.id),
        operation in SCORING: (subject.scoring, f"spbe-2020:{subject.code}"),
        operation in COMMITMENT: (commitment, ""),
        operation in NOTIFY: (notify, subscription),
    }[True]

    async def status(person: str) -> int:
        headers = headers_of(person, subject, tokens)
        return (await ask(operation, client, headers, of, subject.code, committed)).status_code

    answers = {person: await status(person) for person in COLUMNS}
    assert answers == dict(zip(COLUMNS, map(int, row), strict=True))


@pytest.mark.parametrize(
    ("service", "table"),
    [("assessment", ASSESSMENT), ("scoring", SCORING), ("commitment", COMMITMENT), ("notify", NOTIFY)],
)
async def test_every_operation_has_a_row(service: str, table: dict[str, str], living_lab: system.System) -> None:
    async with httpx.AsyncClient(base_url=living_lab.services[service]) as client:
        paths: dict[str, dict[str, Any]] = (await client.get(f"/{service}/v1/openapi.json")).json()["paths"]
    operations = {
        f"{method.upper()} {path.removeprefix(f'/{service}/v1')}" for path, of in paths.items() for method in of
    }
    assert operations == table.keys()


@pytest.mark.parametrize("person", COLUMNS)
async def test_lists_and_standings_show_only_what_may_be_seen(person: str, subject: Region, tokens: Tokens) -> None:
    headers = headers_of(person, subject, tokens)
    listed = await subject.assessment.get("/assessments", params={"region": subject.code}, headers=headers)
    assert bool(listed.json()["items"]) == (person in LISTED)
    scores = await subject.scoring.get("/scores", params={"region": subject.code}, headers=headers)
    assert bool(scores.json()["items"]) == (person in LISTED)
    standings = await ask("GET /standings", subject.scoring, headers, subject.id)
    regions = {item["region"] for item in standings.json()["items"]}
    assert (subject.code in regions) == (person in LISTED)


@pytest.mark.parametrize("person", sorted(LISTED))
async def test_what_was_written_in_support_is_for_few(person: str, subject: Region, tokens: Tokens) -> None:
    headers = headers_of(person, subject, tokens)
    answer = (await subject.assessment.get(f"{subject.address}/answers/1", headers=headers)).json()
    assert answer["level"] == "3"
    assert (answer["fakta"] is not None, answer["by"] is not None) == ((person in SEES_ANSWERS,) * 2)


async def test_a_hidden_assessment_answers_as_a_missing_one(subject: Region, tokens: Tokens) -> None:
    stranger = tokens("32.11", "penanggung-jawab")
    hidden = await subject.assessment.get(subject.address, headers=stranger)
    missing = await subject.assessment.get("/assessments/spbe-2021:98.99", headers=stranger)
    told = ("type", "title", "status", "code", "detail", "detail_id")
    assert [hidden.json()[t] for t in told] == [missing.json()[t] for t in told]
    assert hidden.headers.keys() == missing.headers.keys()
    assert "etag" not in hidden.headers
