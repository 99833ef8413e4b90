"""Somebody who acts over HTTP in a test, as a portal does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from lab.oidc import kept_key, mint

DEADLINE_S = 30.0
Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs tokens as the running issuer would."""

    issuer: str
    key_path: Path

    def __call__(self, organization: str, *roles: str, subject: str | None = None, logged_in_s_ago: int = 0) -> Headers:
        """The Authorization header of somebody."""
        token = mint(
            kept_key(self.key_path),
            issuer=self.issuer,
            organization=organization,
            roles=list(roles),
            subject=subject,
            logged_in_s_ago=logged_in_s_ago,
        )
        return {"Authorization": f"Bearer {token}"}


SignIn = Callable[..., Headers]
"""As Tokens does, whoever issues them."""


def key() -> Headers:
    """A new Idempotency-Key."""
    return {"Idempotency-Key": str(uuid4())}


async def eventually(ask: Callable[[], Awaitable[httpx.Response]], status: int = 200) -> httpx.Response:
    """Ask until the answer has this status; says the last answer when it never has."""
    answer: httpx.Response | None = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while (answer := await ask()).status_code != status:
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise AssertionError(f"no {status} within {DEADLINE_S} s, last: {answer and answer.text}") from error
    return answer


@dataclass(frozen=True, slots=True)
class Region:
    """Somebody of a region who opens, fills, signs and submits one assessment: both roles that this takes."""

    code: str
    cycle: str
    headers: Headers
    assessment: httpx.AsyncClient
    scoring: httpx.AsyncClient

    @property
    def id(self) -> str:
        """The id of the assessment."""
        return f"{self.cycle}:{self.code}"

    @property
    def address(self) -> str:
        """The path of the assessment."""
        return f"/assessments/{self.id}"

    async def open(self) -> httpx.Response:
        """POST /assessments."""
        asked = {"region": self.code, "cycle": self.cycle}
        return await self.assessment.post("/assessments", json=asked, headers=self.headers | key())

    async def read(self) -> dict[str, Any]:
        """The assessment, whole."""
        return (await self.assessment.get(self.address, headers=self.headers)).json()

    async def fill(self, levels: Mapping[int, object] | int) -> httpx.Response:
        """PATCH these levels, or the same one for all indicators, each with the ETag it has now."""
        answers = (await self.read())["answers"]
        wanted = {a["number"]: levels for a in answers} if isinstance(levels, int) else levels
        filled = [
            {"number": a["number"], "etag": a["etag"], "level": wanted[a["number"]]}
            for a in answers
            if a["number"] in wanted
        ]
        said = await self.assessment.patch(f"{self.address}/answers", json={"answers": filled}, headers=self.headers)
        if isinstance(levels, int):
            await self.sign()
        return said

    async def sign(self) -> httpx.Response:
        """POST the minutes, as the coordinator."""
        return await self.post("minutes")

    async def tag(self) -> Headers:
        """If-Match with the ETag that the whole has now."""
        answer = await self.assessment.get(f"{self.address}/progress", headers=self.headers)
        return {"If-Match": answer.headers["ETag"]}

    async def submit(self, **headers: str) -> httpx.Response:
        """POST the submission, whatever became of the minutes."""
        await self.sign()
        return await self.post("submission", **headers)

    async def reopen(self) -> httpx.Response:
        """POST the reopening."""
        return await self.post("reopening")

    async def post(self, what: str, json: object = None, **headers: str) -> httpx.Response:
        """A command with a fresh key and the present ETag."""
        sent = self.headers | key() | await self.tag() | headers
        return await self.assessment.post(f"{self.address}/{what}", json=json, headers=sent)

    async def score(self, *, revision: int = 1) -> dict[str, Any]:
        """The score, once it is that of this revision or a later one."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                answer = await self.scoring.get(f"/scores/{self.id}", headers=self.headers)
                if answer.status_code == 200 and answer.json()["revision"] >= revision:
                    return answer.json()
                await asyncio.sleep(0.02)
