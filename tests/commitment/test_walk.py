"""Over HTTP and Kafka: visits recorded, pledges kept by scores, follow-ups done and shown."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import orjson
import pytest

from chassis.clock import day_of, now
from contracts import topics
from contracts.fact import TYPE_PREFIX, envelope_of
from contracts.topics import Topic
from tests.acting import DEADLINE_S, Headers, Region, Tokens, eventually, key
from tests.chassis.kafka import Kafka

pytestmark = pytest.mark.real

PDF = b"%PDF-1.7\n% made for a test\n"
TODAY = day_of(now())


@pytest.fixture
def sekda(free_regions: Iterator[str], tokens: Tokens) -> tuple[str, Headers]:
    """A region of the test's own, and the token of its regional secretary."""
    code = next(free_regions)
    return code, tokens(code, "koordinator-spbe")


@pytest.fixture
def kemendagri(tokens: Tokens) -> Headers:
    return tokens("kemendagri", "pembina")


async def act(client: httpx.AsyncClient, address: str, what: str, who: Headers, json: object = None) -> httpx.Response:
    """A command on what is at an address, with the ETag that it has now."""
    tag = (await client.get(address, headers=who)).headers["ETag"]
    return await client.post(f"{address}/{what}", json=json, headers=who | key() | {"If-Match": tag})


async def told_of(kafka: Kafka, topic: Topic, aggregate: str, count: int) -> list[tuple[str, dict[str, Any]]]:
    """(type, body) of an aggregate's facts, each once and in their order, as soon as there are so many."""
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            for record in await kafka.read(topic):
                envelope = envelope_of(record.headers)
                if envelope.subject == aggregate:
                    name = envelope.type.removeprefix(TYPE_PREFIX).removesuffix(".v1")
                    found[envelope.revision] = name, orjson.loads(record.value or b"")
    assert sorted(found) == list(range(1, len(found) + 1))
    return [fact for _, fact in sorted(found.items())]


async def test_a_visit_is_recorded_once_corrected_and_withdrawn(
    commitment: httpx.AsyncClient, tokens: Tokens, sekda: tuple[str, Headers], kafka: Kafka
) -> None:
    code, who = sekda
    asked = {
        "organization": code, "host": "32.11", "visited_on": "2022-03-15", "subject": "Penerapan  SPBE",
        "met": ["Kepala Diskominfo"],
    }  # fmt: skip
    made = await commitment.post("/visits", json=asked, headers=who | key())
    assert made.status_code == 201, made.text
    address = f"/visits/{made.json()['visit']}"
    again = await commitment.post("/visits", json=asked | {"subject": "penerapan spbe"}, headers=who | key())
    assert (again.status_code, again.json()["code"]) == (409, "visit_exists")

    assert (await commitment.get(address)).json()["met"] == []
    assert (await commitment.get(address, headers=who)).json()["met"] == ["Kepala Diskominfo"]
    assert (await commitment.get(address, headers=tokens("32.11", "operator"))).json()["met"] != []
    assert (await commitment.get(address, headers=tokens("32.12", "koordinator-spbe"))).json()["met"] == []

    stranger = tokens("32.12", "koordinator-spbe")
    correction = {"visited_on": "2022-03-16", "subject": "Penerapan SPBE"}
    assert (await act(commitment, address, "correction", stranger, correction)).status_code == 403
    corrected = await act(commitment, address, "correction", who, correction)
    assert (corrected.json()["visited_on"], corrected.json()["revision"]) == ("2022-03-16", 2)
    withdrawn = await act(commitment, address, "withdrawal", who)
    assert withdrawn.json()["status"] == "withdrawn"
    assert (await act(commitment, address, "withdrawal", who)).json()["code"] == "visit_withdrawn"
    restored = await act(commitment, address, "correction", who, correction)  # it took place after all
    assert (restored.json()["status"], restored.json()["revision"]) == ("recorded", 4)
    facts = await told_of(kafka, topics.VISIT, made.json()["visit"], 4)
    assert [(name, body["status"]) for name, body in facts] == [
        ("visit.recorded", "recorded"), ("visit.recorded", "recorded"),
        ("visit.recorded", "withdrawn"), ("visit.recorded", "recorded"),
    ]  # fmt: skip
    assert "Kepala" not in str(facts)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"organization": "99.99"}, 422, "unknown_organization"),
        ({"host": "32.99"}, 422, "unknown_organization"),
        ({"host": "Not A Slug"}, 422, "unknown_organization"),
        ({"visited_on": (TODAY + timedelta(days=1)).isoformat()}, 422, "in_the_future"),
        ({"host": None}, 422, "invalid_request"),
    ],
)
async def test_what_is_no_visit_is_refused(
    commitment: httpx.AsyncClient, sekda: tuple[str, Headers], changed: dict[str, Any], status: int, code: str
) -> None:
    own, who = sekda
    asked = {"organization": own, "host": "32.11", "visited_on": "2022-03-15", "subject": "Penerapan SPBE"}
    refused = await commitment.post("/visits", json=asked | changed, headers=who | key())
    assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_a_host_imports_its_visitors(
    commitment: httpx.AsyncClient, tokens: Tokens, free_regions: Iterator[str]
) -> None:
    host, visitors = next(free_regions), [next(free_regions) for _ in range(3)]
    who = tokens(host, "penanggung-jawab")
    rows = [f"{code};{host};2022-05-0{day};Belajar SPBE;Sekda|Kepala Dinas" for day, code in enumerate(visitors, 1)]
    table = (
        "pengunjung;tuan_rumah;tanggal;perihal;ditemui\n" + "\n".join(rows) + f"\nbappenas;{host};2022-06-01;SPBE;\n"
    )

    async def send(content: str, headers: Headers) -> httpx.Response:
        return await commitment.post(
            "/visit-imports", content=content.encode(), headers=headers | {"Content-Type": "text/csv"}
        )

    bad = await send(table.replace("2022-05-02", "2022-02-30") + "99.99;x y;2022-01-01;a\n", who | key())
    faults = [(e["code"], e["line"], e["column"]) for e in bad.json()["errors"]]
    assert faults == [("not_a_day", 3, 3), ("wrong_width", 6, 5)]
    assert (await send(table.replace(host, "32.11"), who | key())).status_code == 403
    named = key()
    accepted = await send(table, who | named)
    assert (accepted.status_code, accepted.json()["rows"]) == (202, 4)
    repeated = await send(table, who | named)
    assert repeated.headers["Idempotent-Replayed"] == "true"

    async def carried() -> httpx.Response:
        answer = await commitment.get(f"/visit-imports/{accepted.json()['id']}", headers=who)
        return answer if answer.json()["status"] == "carried" else httpx.Response(503)

    await eventually(carried)
    found = (await commitment.get("/visits", params={"host": host})).json()["items"]
    assert sorted(one["organization"] for one in found) == sorted([*visitors, "bappenas"])
    assert (
        await commitment.get(f"/visit-imports/{accepted.json()['id']}", headers=tokens("32", "pembina"))
    ).status_code == 404


async def test_a_pledge_is_fulfilled_by_a_verified_score_and_told_in_public_once_published(
    commitment: httpx.AsyncClient, region: Region, tokens: Tokens, kafka: Kafka, kemendagri: Headers
) -> None:
    sekda = tokens(region.code, "koordinator-spbe")
    asked = {
        "region": region.code, "instrument": "spbe-2020", "index": "3.50", "pledged_on": "2022-01-01",
        "due": (TODAY + timedelta(days=400)).isoformat(),
    }  # fmt: skip
    named = key()
    refused = await commitment.post("/pledges", json=asked, headers=kemendagri | key())
    assert refused.status_code == 403
    made = await commitment.post("/pledges", json=asked, headers=sekda | named)
    assert made.status_code == 201, made.text
    repeated = await commitment.post("/pledges", json=asked, headers=sekda | named)
    assert (repeated.json()["pledge"], repeated.headers["Idempotent-Replayed"]) == (made.json()["pledge"], "true")
    address = f"/pledges/{made.json()['pledge']}"

    await region.open()
    await region.fill(4)
    await region.submit()

    async def declared(who: Headers) -> dict[str, Any] | None:
        return (await commitment.get(address, headers=who)).json()["declared"]

    async def said() -> httpx.Response:
        answer = await commitment.get(address, headers=sekda)
        return answer if answer.json()["declared"] else httpx.Response(503)

    shown = (await eventually(said)).json()
    assert (shown["status"], shown["counted"]) == ("open", None)
    assert shown["declared"]["index"]["shown"] == "4.00"
    assert await declared({}) is None
    assert await declared(kemendagri) is not None
    assert await declared(tokens("32.11", "koordinator-spbe")) is None
    facts = await told_of(kafka, topics.PLEDGE, made.json()["pledge"], 2)
    assert [name for name, _ in facts] == ["pledge.progressed", "pledge.progressed"]


async def test_a_follow_up_counts_once_its_evidence_was_accepted(
    commitment: httpx.AsyncClient, sekda: tuple[str, Headers], tokens: Tokens, kafka: Kafka, kemendagri: Headers
) -> None:
    code, who = sekda
    asked = {
        "region": code, "title": "Memasang e-Office", "unit": "Diskominfo", "funds": "apbd",
        "due": (TODAY + timedelta(days=90)).isoformat(),
        "indicator": {"instrument": "spbe-2020", "number": 33},
        "adoption": {"kind": "adoption", "source": "32.11", "programme": "e-Office"},
    }  # fmt: skip
    unknown = asked | {"indicator": {"instrument": "spbe-2020", "number": 48}}
    assert (await commitment.post("/followups", json=unknown, headers=who | key())).json()[
        "code"
    ] == "unknown_indicator"
    made = await commitment.post("/followups", json=asked, headers=who | key())
    assert made.status_code == 201, made.text
    address = f"/followups/{made.json()['followup']}"
    assert (await commitment.get(address)).status_code == 404, "it is under no commitment"

    assert (await act(commitment, address, "steps", who, {"step": "live", "on": "2026-01-01"})).status_code == 409
    steps: list[dict[str, Any]] = [
        {"step": "study_visit", "on": "2025-01-10"},
        {"step": "memorandum", "on": "2025-02-01", "agreement": {"number": "01/NK/2025", "signed_on": "2025-02-01"}},
        {"step": "agreement", "on": "2025-03-01", "agreement": {"number": "07/PKS/2025", "signed_on": "2025-03-01"}},
        {"step": "live", "on": "2025-09-01"},
        {"step": "training", "on": "2025-08-01"},
        {"step": "reported", "on": "2025-12-01"},
    ]
    taken = [await act(commitment, address, "steps", who, step) for step in steps]
    assert [answer.status_code for answer in taken] == [200] * len(steps), [answer.text for answer in taken]
    done = taken[-1]
    assert (done.json()["status"], done.json()["done_on"], done.json()["acted"]) == ("done", "2025-12-01", False)
    assert list(done.json()["adoption"]["steps"]) == [
        "study_visit", "memorandum", "agreement", "training", "live", "reported",
    ]  # fmt: skip

    sent = await commitment.post("/files", content=PDF, headers=who | key() | {"Content-Type": "application/pdf"})
    assert sent.json()["sha256"] == sha256(PDF).hexdigest()
    file = {"title": "Berita acara", "file": sent.json()["file"], "sha256": sent.json()["sha256"]}
    other = file | {"sha256": "0" * 64}
    assert (await act(commitment, address, "evidence", who, other)).json()["code"] == "other_content"
    theirs = await act(commitment, address, "evidence", who, file)
    assert theirs.status_code == 200, theirs.text
    (evidence,) = theirs.json()["evidence"]
    judge = f"evidence/{evidence['evidence']}/judgement"
    assert (await act(commitment, address, judge, who, {"judgement": "accepted"})).status_code == 403
    assert (await act(commitment, address, judge, kemendagri, {"judgement": "returned"})).json()[
        "code"
    ] == "note_needed"
    returned = await act(commitment, address, judge, kemendagri, {"judgement": "returned", "note": "Tanda tangan?"})
    assert (returned.json()["evidence"][0]["note"], returned.json()["acted"]) == ("Tanda tangan?", False)
    accepted = await act(commitment, address, judge, kemendagri, {"judgement": "accepted"})
    assert accepted.json()["acted"] is True

    content = await commitment.get(f"{address}/evidence/{evidence['evidence']}/file", headers=who)
    assert content.content == PDF
    assert content.headers["Content-Disposition"].startswith("attachment")
    facts = await told_of(kafka, topics.FOLLOWUP, made.json()["followup"], 10)
    assert [body["evidence_accepted"] for _, body in facts][-1] == 1
    assert not any(word in str(facts) for word in ("Berita acara", "Tanda tangan"))
    history = (await commitment.get(f"{address}/history", headers=who)).json()["items"]
    assert [entry["what"] for entry in history][-3:] == ["evidence", "returned", "accepted"]


async def test_a_file_is_what_it_says(commitment: httpx.AsyncClient, sekda: tuple[str, Headers]) -> None:
    _, who = sekda
    wrong = await commitment.post("/files", content=PDF, headers=who | key() | {"Content-Type": "image/png"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "not_that_file")
    large = await commitment.post(
        "/files", content=PDF + bytes(10_485_760), headers=who | key() | {"Content-Type": "application/pdf"}
    )
    assert large.status_code == 413


async def test_what_is_not_done_in_time_is_overdue_once(
    commitment: httpx.AsyncClient, sekda: tuple[str, Headers], kafka: Kafka
) -> None:
    code, who = sekda
    asked = {"region": code, "title": "Menyusun arsitektur SPBE", "unit": "Bappeda", "due": "2024-06-30"}
    made = await commitment.post("/followups", json=asked, headers=who | key())
    address = f"/followups/{made.json()['followup']}"

    async def overdue() -> httpx.Response:
        answer = await commitment.get(address, headers=who)
        return answer if answer.json()["overdue_since"] else httpx.Response(503)

    assert (await eventually(overdue)).json()["overdue_since"] == "2024-07-01"
    later = {"title": asked["title"], "unit": "Bappeda", "due": (TODAY + timedelta(days=9)).isoformat()}
    planned = await act(commitment, address, "plan", who, later)
    assert planned.json()["overdue_since"] is None
    facts = await told_of(kafka, topics.FOLLOWUP, made.json()["followup"], 3)
    assert [name for name, _ in facts] == ["followup.recorded", "followup.overdue", "followup.recorded"]
