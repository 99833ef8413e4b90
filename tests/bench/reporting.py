"""Regions that submit again and again, each when its time has come: open loop, no coordination."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import httpx

from contracts.regions import Directory
from tests.bench.load import CYCLE, INDICATORS
from tests.bench.stage import Stage

DEADLINE_S = 30.0


async def open_loop(jobs: Sequence[Callable[[], Awaitable[object]]], *, per_s: float) -> list[float]:
    """Start one every 1/per_s seconds whatever became of the others; seconds from its time until it was done."""
    begin = time.perf_counter()

    async def timed(scheduled: float, job: Callable[[], Awaitable[object]]) -> float:
        await asyncio.sleep(scheduled - time.perf_counter())
        async with asyncio.timeout(DEADLINE_S):
            await job()
        return time.perf_counter() - scheduled

    return await asyncio.gather(*(timed(begin + 1 + n / per_s, job) for n, job in enumerate(jobs)))


class Reporter:
    """Somebody who fills, submits and reopens one assessment."""

    def __init__(self, code: str, token: dict[str, str], writing: httpx.AsyncClient) -> None:
        self.id = f"{CYCLE}:{code}"
        self.token = token
        self._writing = writing
        self._code = code
        self._tag = ""

    async def fill(self) -> None:
        """Open, and answer everything."""
        await self._asked("POST", "/assessments", json={"region": self._code, "cycle": CYCLE}, key=True)
        whole = (await self._asked("GET", f"/assessments/{self.id}")).json()
        answers = [{"number": a["number"], "etag": a["etag"], "level": 3} for a in whole["answers"]]
        assert len(answers) == INDICATORS
        await self._asked("PATCH", f"/assessments/{self.id}/answers", json={"answers": answers})
        self._tag = (await self._asked("GET", f"/assessments/{self.id}/progress")).headers["ETag"]
        self._tag = (await self._asked("POST", f"/assessments/{self.id}/minutes", key=True)).headers["ETag"]

    async def reopen(self) -> None:
        """Take it back, so that it can be submitted again."""
        answer = await self._asked("POST", f"/assessments/{self.id}/reopening", key=True)
        self._tag = answer.headers["ETag"]

    async def submit(self) -> int:
        """The revision that was submitted."""
        answer = await self._asked("POST", f"/assessments/{self.id}/submission", key=True)
        self._tag = answer.headers["ETag"]
        return answer.json()["revision"]

    async def _asked(self, method: str, path: str, *, json: object = None, key: bool = False) -> httpx.Response:
        headers = self.token | {"If-Match": self._tag} if self._tag else dict(self.token)
        if key:
            headers["Idempotency-Key"] = uuid4().hex
        answer = await self._writing.request(method, path, json=json, headers=headers)
        answer.raise_for_status()
        return answer


def reporters(stage: Stage, writing: httpx.AsyncClient, count: int) -> list[Reporter]:
    """Of so many regions; nothing is filled yet."""
    regions = [region for region in Directory.load() if region.kind != "province" and region.self_governing]
    roles = ("penanggung-jawab", "koordinator-spbe")
    return [Reporter(region.code, stage.token(region.code, *roles), writing) for region in regions[:count]]
