"""Dates and routes of a cycle, over HTTP: the made one, for no cycle of the past has any that a source gives."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.acting import Region, Tokens

pytestmark = pytest.mark.real

CYCLE = "simulasi-2026"
ASSESSOR = {"assessor": "asesor-tanggal", "organization": "universitas-x"}


async def taken_up(region: Region, tokens: Tokens, *, route: str) -> Region:
    """Submitted, assigned on a route, and taken up: the region as its assessor sees it."""
    await region.open()
    await region.fill(3)
    assert (await region.submit()).status_code == 200
    ministry = replace(region, headers=tokens("kemenpanrb", "peninjau"))
    unknown = await ministry.post("assignment", {"assessors": [ASSESSOR]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_route")
    assigned = await ministry.post("assignment", {"assessors": [ASSESSOR], "route": route})
    assert assigned.status_code == 200, assigned.text
    assessor = replace(region, headers=tokens("universitas-x", "asesor-eksternal", subject=ASSESSOR["assessor"]))
    assert (await assessor.post("review")).status_code == 200
    return assessor


async def find(assessor: Region, stage: str) -> httpx.Response:
    """A level in a stage."""
    address = f"{assessor.address}/stages/{stage}"
    seen: dict[str, Any] = (await assessor.assessment.get(address, headers=assessor.headers)).json()
    etag = next(one["etag"] for one in seen["findings"] if one["number"] == 1)
    body = {"findings": [{"number": 1, "etag": etag, "level": 3}]}
    return await assessor.assessment.patch(f"{address}/findings", json=body, headers=assessor.headers)


async def test_a_stage_whose_dates_are_over_is_refused_with_its_dates(
    region_in: Callable[[str], Region], tokens: Tokens
) -> None:
    assessor = await taken_up(region_in(CYCLE), tokens, route="evaluasi")
    assert (await find(assessor, "document")).status_code == 200
    assert (await assessor.post("stages/document/closing")).status_code == 200
    late = await find(assessor, "interview")
    assert (late.status_code, late.json()["code"]) == (409, "stage_out_of_time")
    assert "2026-01-05" in late.json()["detail"]
    assert "2026-01-30" in late.json()["detail_id"]


async def test_the_route_of_monitoring_ends_with_the_documents(
    region_in: Callable[[str], Region], tokens: Tokens
) -> None:
    assessor = await taken_up(region_in(CYCLE), tokens, route="pemantauan")
    assert (await find(assessor, "document")).status_code == 200
    assert (await assessor.post("stages/document/closing")).status_code == 200
    refused = await find(assessor, "interview")
    assert (refused.status_code, refused.json()["code"]) == (409, "stage_not_of_route")
    assert (await assessor.post("stages/interview/closing")).json()["code"] == "stage_not_of_route"
