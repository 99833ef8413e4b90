"""Who may do and see what: a table by hand. An operation without a row fails."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from contracts.roles import Role
from lab import system
from tests.acting import Region, Tokens, key
from tests.conftest import LIMITS

pytestmark = pytest.mark.real

# Somebody → (organization, role); None: without a token. OWN and OTHER are filled in: regencies of one province.
PEOPLE: dict[str, tuple[str, str] | None] = {
    "nobody": None,
    "responsible": ("OWN", "penanggung-jawab"),
    "entry": ("OWN", "pelaksana-entri-data"),
    "operator": ("OWN", "operator"),
    "internal": ("OWN", "asesor-internal"),
    "sekda": ("OWN", "koordinator-spbe"),
    "head": ("OWN", "kepala-daerah"),
    "roleless": ("OWN", "no-such-role"),
    "neighbour": ("OTHER", "penanggung-jawab"),
    "province": ("PROVINCE", "pembina"),
    "provincial": ("PROVINCE", "penanggung-jawab"),
    "kemendagri": ("kemendagri", "pembina"),
    "reviewer": ("kemenpanrb", "peninjau"),
    "assessor": ("universitas-x", "asesor-eksternal"),
    "administrator": ("kemenpanrb", "administrator"),
}
COLUMNS = tuple(PEOPLE)

# Operation → status for each of COLUMNS, on an assessment of OWN: a draft with indicator 1 answered, never scored, and
# for the scoring operations a submitted one of another cycle.
ASSESSMENT: dict[str, str] = {
    #                                     nobo resp entr oper inte sekd head role neig prov pcal keme revi asse admi
    "GET /instruments":                    "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /instruments/{instrument_id}":    "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /cycles":                         "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "POST /assessments":                   "401  409  409  403  403  403  403  403  403  403  403  403  403  403  403",
    "GET /assessments":                    "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /assessments/{assessment_id}":    "404  200  200  200  200  200  200  404  404  200  200  200  200  404  404",
    "GET /assessments/{assessment_id}/progress":
                                           "404  200  200  200  200  200  200  404  404  200  200  200  200  404  404",
    "GET /assessments/{assessment_id}/answers/{number}":
                                           "404  200  200  200  200  200  200  404  404  200  200  200  200  404  404",
    "PUT /assessments/{assessment_id}/answers/{number}":
                                           "401  412  412  412  412  403  403  404  404  403  403  403  403  404  404",
    "PATCH /assessments/{assessment_id}/answers":
                                           "401  412  412  412  412  403  403  404  404  403  403  403  403  404  404",
    "POST /assessments/{assessment_id}/submission":
                                           "401  412  403  403  403  403  403  404  404  403  403  403  403  404  404",
    "POST /assessments/{assessment_id}/reopening":
                                           "401  412  403  403  403  403  403  404  404  403  403  403  403  404  404",
    "POST /assessments/{assessment_id}/minutes":
                                           "401  403  403  403  403  412  403  404  404  403  403  403  403  404  404",
    "POST /assessments/{assessment_id}/consent":
                                           "401  403  403  403  403  412  403  404  404  403  403  403  403  404  404",
    "POST /assessments/{assessment_id}/assignment":
                                           "401  403  403  403  403  403  403  404  404  403  403  403  412  404  404",
    "POST /assessments/{assessment_id}/review":
                                           "401  403  403  403  403  403  403  404  404  403  403  403  403  404  404",
    "GET /assessments/{assessment_id}/stages/{stage}":
                                           "404  404  404  404  404  404  404  404  404  404  404  404  200  404  404",
    "PATCH /assessments/{assessment_id}/stages/{stage}/findings":
                                           "401  403  403  403  403  403  403  404  404  403  403  403  403  404  404",
    "POST /assessments/{assessment_id}/stages/{stage}/closing":
                                           "401  403  403  403  403  403  403  404  404  403  403  403  403  404  404",
    "POST /assessments/{assessment_id}/return":
                                           "401  403  403  403  403  403  403  404  404  403  403  403  412  404  404",
    "POST /assessments/{assessment_id}/verification":
                                           "401  403  403  403  403  403  403  404  404  403  403  403  412  404  404",
    "POST /assessments/{assessment_id}/publication":
                                           "401  403  403  403  403  403  403  404  404  403  403  403  412  404  404",
}  # fmt: skip
SCORING: dict[str, str] = {
    #                                     nobo resp entr oper inte sekd head role neig prov pcal keme revi asse admi
    "GET /scores":                         "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /scores/{assessment_id}":         "404  200  200  200  200  200  200  404  404  200  200  200  200  404  404",
    "GET /scores/{assessment_id}/history": "404  200  200  200  200  200  200  404  404  200  200  200  200  404  404",
    "GET /standings":                      "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /summaries/{cycle}":              "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /summaries/{cycle}/missing":      "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /leaders/{cycle}":                "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /regions/{region}":               "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /comparison":                     "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /exports/{cycle}.csv":            "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /exports/{cycle}.jsonl":          "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /exports/{cycle}.csv-metadata.json":
                                           "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "POST /official/imports":              "401  403  403  403  403  403  403  403  403  403  403  403  200  403  403",
    "GET /official/imports/{import_id}":   "401  404  404  404  404  404  404  404  404  404  404  404  404  404  404",
}  # fmt: skip
NOTIFY: dict[str, str] = {
    # On an active subscription of OWN, and the right of OWN.
    #                                     nobo resp entr oper inte sekd head role neig prov pcal keme revi asse admi
    "POST /subscriptions":                 "401  201  403  403  403  201  403  403  201  201  201  201  201  201  403",
    "GET /subscriptions":                  "401  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "POST /dry-runs":                      "401  200  403  403  403  200  403  403  200  200  200  200  200  200  403",
    "GET /subscriptions/{subscription_id}":
                                           "401  200  404  404  404  200  404  404  404  404  404  404  404  404  200",
    "POST /subscriptions/{subscription_id}/verification":
                                           "401  412  404  404  404  412  404  404  404  404  404  404  404  404  412",
    "POST /subscriptions/{subscription_id}/pause":
                                           "401  412  404  404  404  412  404  404  404  404  404  404  404  404  412",
    "POST /subscriptions/{subscription_id}/resumption":
                                           "401  412  404  404  404  412  404  404  404  404  404  404  404  404  412",
    "POST /subscriptions/{subscription_id}/closing":
                                           "401  412  404  404  404  412  404  404  404  404  404  404  404  404  412",
    "POST /subscriptions/{subscription_id}/secret":
                                           "401  412  404  404  404  412  404  404  404  404  404  404  404  404  403",
    "POST /subscriptions/{subscription_id}/networks":
                                           "401  403  403  403  403  403  403  403  403  403  403  403  403  403  412",
    "POST /subscriptions/{subscription_id}/replays":
                                           "401  409  404  404  404  409  404  404  404  404  404  404  404  404  403",
    "GET /subscriptions/{subscription_id}/replays/{replay_id}":
                                           "401  404  404  404  404  404  404  404  404  404  404  404  404  404  404",
    "POST /subscriptions/{subscription_id}/test":
                                           "401  409  404  404  404  409  404  404  404  404  404  404  404  404  403",
    "GET /subscriptions/{subscription_id}/statistics":
                                           "401  200  404  404  404  200  404  404  404  404  404  404  404  404  200",
    "GET /deliveries":                     "401  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "GET /deliveries/{delivery_id}":       "401  404  404  404  404  404  404  404  404  404  404  404  404  404  404",
    "GET /stream":                         "401  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "PUT /rights/{organization}":          "401  403  403  403  403  403  403  403  403  403  403  403  403  403  200",
    "GET /rights/{organization}":          "401  200  200  200  200  200  200  200  404  404  404  404  404  404  200",
    "GET /inbox":                          "401  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    "POST /inbox/marks":                   "401  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
    # Whoever has the link; without one it is the same for all.
    "GET /confirmations":                  "404  404  404  404  404  404  404  404  404  404  404  404  404  404  404",
    "POST /confirmations":                 "404  404  404  404  404  404  404  404  404  404  404  404  404  404  404",
    "GET /unsubscriptions":                "404  404  404  404  404  404  404  404  404  404  404  404  404  404  404",
    "POST /unsubscriptions":               "404  404  404  404  404  404  404  404  404  404  404  404  404  404  404",
    "GET /webhook-keys":                   "200  200  200  200  200  200  200  200  200  200  200  200  200  200  200",
}  # fmt: skip
# Lists answer everybody, each with what they may see: who finds the assessment among it?
LISTED = {
    "responsible", "entry", "operator", "internal", "sekda", "head", "province", "provincial", "kemendagri", "reviewer",
}  # fmt: skip
SEES_ANSWERS = {"responsible", "entry", "operator", "internal", "sekda", "head", "reviewer"}

BODIES: dict[str, Any] = {
    "PUT /assessments/{assessment_id}/answers/{number}": {"level": 3},
    "PATCH /assessments/{assessment_id}/answers": {"answers": [{"number": 1, "level": 3, "etag": '"x"'}]},
    "POST /assessments/{assessment_id}/assignment": {"assessors": [{"assessor": "a", "organization": "universitas-x"}]},
    "PATCH /assessments/{assessment_id}/stages/{stage}/findings": {
        "findings": [{"number": 1, "level": 3, "etag": '"x"'}]
    },
    "POST /assessments/{assessment_id}/return": {"reasons": [{"text": "Lengkapi."}]},
    "POST /assessments/{assessment_id}/verification": {"aspects": []},
    "POST /subscriptions": {"name": "Uji", "url": "http://127.0.0.1:1/", "types": ["*"]},
    "POST /dry-runs": {"name": "Uji", "url": "http://127.0.0.1:1/", "types": ["*"]},
    "POST /subscriptions/{subscription_id}/secret": {},
    "POST /subscriptions/{subscription_id}/networks": {"networks": ["10.20.0.0/16"]},
    "POST /subscriptions/{subscription_id}/replays": {"aggregate": "spbe-2023:32.11"},
    "POST /inbox/marks": {"items": ["none"]},
    "PUT /rights/{organization}": {"reach": "public"},
    "POST /official/imports": [{"kode": "32.11", "tahun": 2020, "nilai": {"indeks": 3.5}}],
}


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
    operation: str, client: httpx.AsyncClient, headers: dict[str, str], of: str, own: str = ""
) -> httpx.Response:
    method, template = operation.split()
    path = template.format(
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


@pytest.mark.parametrize("operation", [*ASSESSMENT, *SCORING, *NOTIFY])
async def test_each_operation_answers_everybody_as_the_table_says(
    operation: str, subject: Region, tokens: Tokens, notify: httpx.AsyncClient, subscription: str
) -> None:
    row = (ASSESSMENT | SCORING | NOTIFY)[operation].split()
    client, of = {
        operation in ASSESSMENT: (subject.assessment, subject.id),
        operation in SCORING: (subject.scoring, f"spbe-2020:{subject.code}"),
        operation in NOTIFY: (notify, subscription),
    }[True]
    answers = {
        person: (await ask(operation, client, headers_of(person, subject, tokens), of, subject.code)).status_code
        for person in COLUMNS
    }
    assert answers == dict(zip(COLUMNS, map(int, row), strict=True))


@pytest.mark.parametrize(("service", "table"), [("assessment", ASSESSMENT), ("scoring", SCORING), ("notify", NOTIFY)])
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
