"""One region walked to publication, each step over HTTP by whoever takes it. The levels of reviewers are made."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from contracts.assessment import Stage
from contracts.roles import Role
from lab.errors import LabError
from lab.region import Access, Visitor, fresh_key

ASSESSOR = "asesor-simulasi"
"""The opaque id of a made assessor."""
STRANGER = "73.71"
"""A region that may see nothing of another one before its publication: Kota Makassar."""
JUSTIFIKASI = "Simulasi: dibuat untuk peragaan, bukan hasil reviu."
ASPECTS = range(1, 9)
"""Of spbe-2020."""
PUBLIC_WITHIN_S = 30.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Walked:
    """The steps (who, what, the status afterwards), and the score that a stranger read in the end."""

    steps: list[tuple[str, str, str]]
    score: Mapping[str, Any]


async def walk(access: Access, assessment_id: str, *, region: str, found: Mapping[int, int]) -> Walked:
    """From submitted to published; `found` are the assessor's levels in the stage `document`. Raises LabError."""
    address = access.url("assessment", f"assessments/{assessment_id}")
    ministry = await access.sign_in("kemenpanrb", Role.REVIEWER)
    assessor = await access.sign_in("universitas-x", Role.EXTERNAL_ASSESSOR, subject=ASSESSOR)
    coordinator = await access.sign_in(region, Role.COORDINATOR)
    stranger = await access.sign_in(STRANGER, Role.RESPONSIBLE)
    score = access.url("scoring", f"scores/{assessment_id}")
    steps: list[tuple[str, str, str]] = []

    async def step(who: str, by: Visitor, what: str, path: str, asked: object = None) -> None:
        seen = await by.send("GET", f"{address}/progress")
        headers = {**fresh_key(), "If-Match": seen.headers["etag"]}
        done = await by.send("POST", f"{address}/{path}", json=asked, headers=headers)
        steps.append((who, what, done.json()["status"]))

    chosen = {"assessors": [{"assessor": ASSESSOR, "organization": "universitas-x"}]}
    await step(
        "KemenPANRB, tim reviu", ministry, "menugaskan asesor eksternal · assigns an assessor", "assignment", chosen
    )
    await step("asesor eksternal", assessor, "mulai menilai · takes it up", "review")
    stage = f"{address}/stages/{Stage.DOCUMENT}"
    etags = {one["number"]: one["etag"] for one in (await assessor.send("GET", stage)).json()["findings"]}
    findings = [
        {"number": n, "etag": etags[n], "level": level, "justifikasi": JUSTIFIKASI} for n, level in found.items()
    ]
    await assessor.send("PATCH", f"{stage}/findings", json={"findings": findings})
    await step(
        "asesor eksternal",
        assessor,
        "menutup penilaian dokumen · closes the document stage",
        f"stages/{Stage.DOCUMENT}/closing",
    )
    said: list[dict[str, Any]] = [{"aspect": aspect} for aspect in ASPECTS]
    said[0]["recommendations"] = ["Reviu kebijakan internal setiap tahun (simulasi)."]
    report = {"aspects": said}
    await step("KemenPANRB, tim reviu", ministry, "memverifikasi, satu rekomendasi · verifies", "verification", report)
    await step("Sekda", coordinator, "menyetujui publikasi · consents to publication", "consent")
    if await _seen(stranger, score):
        raise LabError(f"{score} was seen by {STRANGER} before it was published")
    await step("KemenPANRB, tim reviu", ministry, "menerbitkan · publishes", "publication")
    return Walked(steps, await _public(stranger, score))


async def _seen(stranger: Visitor, score: str) -> bool:
    answer = await stranger.http.get(score, headers={"Authorization": stranger.authorization or ""})
    return answer.status_code != 404


async def _public(stranger: Visitor, score: str) -> Mapping[str, Any]:
    deadline = monotonic() + PUBLIC_WITHIN_S
    while not await _seen(stranger, score):
        if monotonic() > deadline:
            raise LabError(f"{score} is not public {PUBLIC_WITHIN_S:.0f} s after its publication")
        await asyncio.sleep(POLL_S)
    return (await stranger.send("GET", score)).json()
