"""A whole cycle of one assessment, each step by who takes it, over HTTP and Kafka; nothing is public before the end."""

import asyncio
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import orjson
import pytest

from contracts import topics
from tests.acting import DEADLINE_S, Headers, Region, Tokens, key
from tests.chassis.kafka import Kafka

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Cast:
    """Who acts on one assessment, each with a token of one role."""

    region: Region
    entry: Headers
    responsible: Headers
    coordinator: Headers
    ministry: Headers
    assessor: Headers
    disguised: Headers
    supervisor: Headers
    stranger: Headers

    async def post(self, who: Headers, what: str, json: object = None) -> httpx.Response:
        """A command of somebody; anybody who sees it knows its ETag."""
        return await replace(self.region, headers=who).post(what, json)

    async def find(self, stage: str, levels: Mapping[int, int]) -> httpx.Response:
        """The assessor's findings in a stage."""
        address = f"{self.region.address}/stages/{stage}"
        seen = (await self.region.assessment.get(address, headers=self.assessor)).json()
        etags = {found["number"]: found["etag"] for found in seen["findings"]}
        findings = [
            {"number": n, "etag": etags[n], "level": level, "fakta": "RAHASIA", "justifikasi": "RAHASIA"}
            for n, level in levels.items()
        ]
        return await self.region.assessment.patch(
            f"{address}/findings", json={"findings": findings}, headers=self.assessor
        )


@pytest.fixture
def cast(region: Region, tokens: Tokens) -> Cast:
    return cast_of(region, tokens)


def cast_of(region: Region, tokens: Tokens) -> Cast:
    """Everybody whom it takes."""
    assessor = tokens("universitas-x", "asesor-eksternal")
    return Cast(
        region,
        entry=tokens(region.code, "pelaksana-entri-data"),
        responsible=tokens(region.code, "penanggung-jawab"),
        coordinator=tokens(region.code, "koordinator-spbe"),
        ministry=tokens("kemenpanrb", "peninjau"),
        assessor=assessor,
        disguised=tokens(region.code, "operator", "asesor-eksternal", subject=subject_of(assessor)),
        supervisor=tokens("kemendagri", "pembina"),
        stranger=tokens("32.11", "penanggung-jawab"),
    )


def told(answer: httpx.Response) -> tuple[int, str]:
    """Status, and the problem's code or the assessment's status."""
    body = answer.json()
    return answer.status_code, body.get("code") or body["status"]


async def public_about(kafka: Kafka, region: Region) -> list[tuple[str, str]]:
    """(type, revision) of what outsiders with plain Kafka were told of the assessment."""
    found: list[tuple[str, str]] = []
    for record in await kafka.read(topics.PUBLIC):
        headers = {name: value.decode() for name, value in record.headers}
        if headers["ce_subject"] == region.id:
            found.append((headers["ce_type"].removeprefix("id.livinglab."), headers["ce_revision"]))
            assert record.value is not None
            assert b"RAHASIA" not in record.value
    return sorted(found)


async def seen_by(region: Region, who: Headers) -> tuple[int, int, int]:
    """Status of the assessment and of its score, and how many scores of the region are listed, for somebody."""
    assessed = await region.assessment.get(region.address, headers=who)
    scored = await region.scoring.get(f"/scores/{region.id}", headers=who)
    listed = await region.scoring.get("/scores", params={"region": region.code}, headers=who)
    return assessed.status_code, scored.status_code, len(listed.json()["items"])


async def scores_of(region: Region, *, revision: int) -> dict[str, Any]:
    return (await region.score(revision=revision))["scores"]


async def test_from_a_draft_to_publication(cast: Cast, kafka: Kafka) -> None:
    region = cast.region
    entry = replace(region, headers=cast.entry)
    assert (await entry.open()).status_code == 201
    answers = [{"number": a["number"], "etag": a["etag"], "level": 3} for a in (await entry.read())["answers"]]
    await region.assessment.patch(f"{region.address}/answers", json={"answers": answers}, headers=cast.entry)

    assert told(await cast.post(cast.responsible, "submission")) == (409, "minutes_missing")
    assert told(await cast.post(cast.responsible, "minutes")) == (403, "forbidden")
    assert told(await cast.post(cast.coordinator, "minutes")) == (200, "draft")
    assert told(await cast.post(cast.responsible, "submission")) == (200, "submitted")

    # Assigned: never somebody of the region itself; whoever is, sees it from now on.
    assert (await seen_by(region, cast.assessor))[0] == 404
    subject = subject_of(cast.assessor)
    for organization in (region.code, region.code[:2], "73.71"):
        own = {"assessors": [{"assessor": subject, "organization": organization}]}
        assert told(await cast.post(cast.ministry, "assignment", own)) == (422, "conflict_of_interest")
    twice = {"assessors": [{"assessor": subject, "organization": "universitas-x"}] * 2}
    assert told(await cast.post(cast.ministry, "assignment", twice)) == (422, "assigned_twice")
    one = {"assessors": [{"assessor": subject, "organization": "universitas-x"}]}
    assert told(await cast.post(cast.ministry, "assignment", one)) == (422, "unknown_route")
    chosen = one | {"route": "evaluasi"}
    assert told(await cast.post(cast.ministry, "assignment", chosen)) == (200, "submitted")
    # The same id with another organization, as the region's own officer might have both roles, is somebody else.
    assert told(await cast.post(cast.disguised, "review")) == (403, "forbidden")
    assert told(await cast.post(cast.assessor, "review")) == (200, "under_review")
    assert told(await cast.post(cast.responsible, "reopening")) == (409, "wrong_status")

    # An assessor reads what was written in support; somebody who only supervises does not.
    written = (await region.assessment.get(f"{region.address}/answers/1", headers=cast.assessor)).json()
    assert (written["level"], written["fakta"]) == ("3", "")
    supervisor = (await region.assessment.get(f"{region.address}/answers/1", headers=cast.supervisor)).json()
    assert (supervisor["level"], supervisor["fakta"]) == ("3", None)

    # Returned once, with reasons that the region reads; corrected, signed, submitted, taken up again.
    reasons = {"reasons": [{"indicator": 7, "text": "Data dukung belum lengkap."}]}
    assert told(await cast.post(cast.assessor, "return", reasons)) == (200, "returned")
    assert (await entry.read())["reasons"] == [{"indicator": 7, "text": "Data dukung belum lengkap."}]
    corrected = [{"number": 7, "etag": (await entry.read())["answers"][6]["etag"], "level": 2}]
    await region.assessment.patch(f"{region.address}/answers", json={"answers": corrected}, headers=cast.entry)
    assert told(await cast.post(cast.responsible, "submission")) == (409, "minutes_missing")
    await cast.post(cast.coordinator, "minutes")
    assert told(await cast.post(cast.responsible, "submission")) == (200, "submitted")
    assert told(await cast.post(cast.assessor, "review")) == (200, "under_review")

    # Stage by stage; what the assessor works on is nobody else's business until the stage is closed.
    assert (await cast.find("interview", {1: 4})).json()["code"] == "stage_not_reached"
    assert (await cast.find("document", {1: 4, 2: 5})).status_code == 200
    open_stage = f"{region.address}/stages/document"
    assert (await region.assessment.get(open_stage, headers=cast.responsible)).status_code == 404
    assert told(await cast.post(cast.assessor, "stages/document/closing")) == (200, "under_review")
    shown = (await region.assessment.get(open_stage, headers=cast.responsible)).json()["findings"]
    assert [(f["level"], f["inherited"]) for f in shown[:3]] == [("4", False), ("5", False), ("3", True)]
    assert (await cast.find("interview", {2: 1})).status_code == 200
    assert told(await cast.post(cast.assessor, "stages/interview/closing")) == (200, "under_review")

    # Verified, with numbered recommendations; the two acts are two.
    first = {"aspect": 1, "strengths": "Arsitektur ada.", "recommendations": ["Reviu.", "Tindak lanjuti."]}
    assert told(await cast.post(cast.ministry, "verification", {"aspects": [first]})) == (422, "aspects_incomplete")
    found = {"aspects": [first, *({"aspect": aspect} for aspect in range(2, 9))]}
    assert told(await cast.post(cast.assessor, "verification", found)) == (403, "forbidden")
    assert told(await cast.post(cast.ministry, "verification", found)) == (200, "verified")
    assert told(await cast.post(cast.ministry, "publication")) == (409, "consent_missing")
    assert told(await cast.post(cast.ministry, "consent")) == (403, "forbidden")
    assert told(await cast.post(cast.coordinator, "consent")) == (200, "verified")

    # Nothing was public so far: not by reads, counts, tags or events.
    await region.score(revision=7)
    assert await seen_by(region, cast.stranger) == await seen_by(region, {}) == (404, 404, 0)
    assert await seen_by(region, cast.assessor) == (200, 200, 1)
    assert await public_about(kafka, region) == []

    published = await cast.post(cast.ministry, "publication")
    assert told(published) == (200, "published")
    revision = published.json()["revision"]
    scores = await scores_of(region, revision=revision)
    assert {stage: score["aspects"]["1"]["value"] for stage, score in scores.items()} == {
        "self": "2.9",  # nine at 3, one at 2
        "document": "3.2",  # 4 and 5 for the first two
        "interview": "2.8",  # 1 for the second
    }
    assert await seen_by(region, cast.stranger) == await seen_by(region, {}) == (200, 200, 1)
    history = await region.scoring.get(f"/scores/{region.id}/history")
    assert [one["revision"] for one in history.json()["items"]] == [revision], "what went before stays theirs"
    whole_history = await region.scoring.get(f"/scores/{region.id}/history", headers=cast.assessor)
    assert [one["revision"] for one in whole_history.json()["items"]] == list(range(revision, 0, -1))
    asked = {"cycle": region.cycle, "kind": "regency"}
    ranked = (await region.scoring.get("/standings", params=asked)).json()["items"]
    assert region.code in {row["region"] for row in ranked}
    answer = await region.assessment.get(f"{region.address}/answers/7", headers=cast.stranger)
    assert (answer.json()["level"], answer.json()["fakta"]) == ("2", None)
    whole = (await region.assessment.get(region.address, headers=cast.stranger)).json()
    assert (whole["reports"], whole["reasons"]) == ([], [])
    own_whole = await entry.read()
    assert own_whole["reports"][0]["recommendations"] == [
        {"number": 1, "text": "Reviu."},
        {"number": 2, "text": "Tindak lanjuti."},
    ]
    expected = [("assessment.published.v1", str(revision)), ("score.recalculated.v1", str(revision))]
    async with asyncio.timeout(DEADLINE_S):
        while await public_about(kafka, region) != expected:
            await asyncio.sleep(0.05)


def subject_of(who: Headers) -> str:
    """An opaque id, which the ministry knows from its own register."""
    claims = who["Authorization"].split(".")[1]
    return orjson.loads(urlsafe_b64decode(claims + "=="))["sub"]


async def under_review(cast: Cast) -> None:
    """Assigned and taken up."""
    chosen = {
        "assessors": [{"assessor": subject_of(cast.assessor), "organization": "universitas-x"}],
        "route": "evaluasi",
    }
    assert told(await cast.post(cast.ministry, "assignment", chosen)) == (200, "submitted")
    assert told(await cast.post(cast.assessor, "review")) == (200, "under_review")


async def test_a_finding_that_somebody_changed_meanwhile_is_stale(cast: Cast) -> None:
    region = cast.region
    await region.open()
    await region.fill(3)
    await region.submit()
    await under_review(cast)
    address = f"{region.address}/stages/document"
    seen = (await region.assessment.get(address, headers=cast.assessor)).json()["findings"][0]
    finding = {"findings": [{"number": 1, "etag": seen["etag"], "level": 4, "justifikasi": "Reviu."}]}
    first = await region.assessment.patch(f"{address}/findings", json=finding, headers=cast.assessor)
    again = await region.assessment.patch(f"{address}/findings", json=finding, headers=cast.assessor)
    assert (first.status_code, told(again)) == (200, (412, "stale"))
    unnamed = {"findings": [{"number": 1, "level": 4}]}
    refused = await region.assessment.patch(f"{address}/findings", json=unnamed, headers=cast.assessor)
    assert told(refused) == (428, "precondition_required")


async def test_twenty_equal_closings_with_one_key_close_once(cast: Cast) -> None:
    region = cast.region
    await region.open()
    await region.fill(3)
    await region.submit()
    await under_review(cast)
    sent = cast.assessor | key() | await replace(region, headers=cast.assessor).tag()
    address = f"{region.address}/stages/document/closing"
    answers = await asyncio.gather(*(region.assessment.post(address, headers=sent) for _ in range(20)))
    assert {(a.status_code, a.json()["revision"]) for a in answers} == {(200, 3)}
