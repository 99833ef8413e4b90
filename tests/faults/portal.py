"""A region's portal that does not give up: every command is repeated, as it is, until its answer is definite."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any

import httpx

from tests.acting import Headers, key

GIVES_UP_AFTER_S = 150.0
PAUSE_S = 0.1
Levels = Mapping[int, str]


@dataclass(slots=True)
class Ledger:
    """What the service has acknowledged to anybody. Whatever stands here may never be lost."""

    facts: dict[str, dict[int, tuple[str, Levels]]] = field(default_factory=dict[str, dict[int, tuple[str, Levels]]])
    """Assessment → revision → (status, levels); an opened one without a submission has none."""
    answers: Counter[str] = field(default_factory=Counter[str])
    """How often which answer came: `200`, `503 unavailable`, `none` where the connection broke."""
    wrong: list[str] = field(default_factory=list[str])
    """Answers that nobody may get, whatever happens behind the service."""

    @property
    def commands(self) -> int:
        """Acknowledged ones that published something."""
        return sum(map(len, self.facts.values()))

    def unanswered(self) -> int:
        """How often a client was left without a definite answer."""
        return sum(n for said, n in self.answers.items() if said == "none" or said.startswith("503"))


@dataclass(slots=True)
class Portal:
    """One region's penanggung jawab with one assessment; talks to any of the service's processes."""

    code: str
    cycle: str
    headers: Headers
    addresses: Sequence[str]
    http: httpx.AsyncClient
    ledger: Ledger
    rng: Random
    levels: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def id(self) -> str:
        """The assessment."""
        return f"{self.cycle}:{self.code}"

    async def ask(self, method: str, path: str, *, json: object = None, **headers: str) -> httpx.Response:
        """The first definite answer. No answer, and "not now" (503), are repeated with the very same request."""
        deadline = monotonic() + GIVES_UP_AFTER_S
        said = ""
        while monotonic() < deadline:
            address = f"{self.rng.choice(self.addresses)}/assessment/v1{path}"
            try:
                answer = await self.http.request(method, address, json=json, headers=self.headers | headers)
            except httpx.TransportError as failure:
                said = repr(failure)
                self.ledger.answers["none"] += 1
            else:
                said = f"{answer.status_code} {answer.text[:300]}"
                if answer.status_code != 503:
                    self._note(method, path, answer)
                    return answer
                self._note_refusal(method, path, answer)
            await asyncio.sleep(PAUSE_S)
        raise AssertionError(f"{method} {path} had no definite answer within {GIVES_UP_AFTER_S} s, last: {said}")

    async def open(self) -> None:
        """POST the assessment."""
        await self._acknowledged("/assessments", 201, {"region": self.code, "cycle": self.cycle}, key())
        self.ledger.facts.setdefault(self.id, {})

    async def fill(self, levels: Levels | None = None) -> None:
        """Answer all indicators, at random unless told, and read until they are there."""
        while True:
            answers: list[dict[str, Any]] = (await self.ask("GET", f"/assessments/{self.id}")).json()["answers"]
            if levels is None:
                levels = {a["number"]: str(self.rng.randint(1, 5)) for a in answers}
            given = [
                {"number": a["number"], "etag": a["etag"], "level": levels[a["number"]]}
                for a in answers
                if levels.get(a["number"], a["level"]) != a["level"]
            ]
            if not given:
                break
            # Stale: an earlier try of ours was taken although its answer was lost. Reading again shows it.
            said = await self.ask("PATCH", f"/assessments/{self.id}/answers", json={"answers": given})
            if said.status_code not in (200, 412):
                self.ledger.wrong.append(f"filling {self.id}: {said.status_code} {said.text[:300]}")
                break
        self.levels |= levels
        await self.sign()

    async def sign(self) -> None:
        """POST the minutes, as the coordinator: no fact."""
        await self._acknowledged(f"/assessments/{self.id}/minutes", 200, None, key() | await self.tag())

    async def submit(self) -> int:
        """POST the submission; the revision it came to."""
        return await self._hand_over("submission", "submitted")

    async def reopen(self) -> int:
        """POST the reopening likewise."""
        return await self._hand_over("reopening", "reopened")

    async def tag(self) -> Headers:
        """If-Match with the ETag that the whole has now."""
        answer = await self.ask("GET", f"/assessments/{self.id}/progress")
        return {"If-Match": answer.headers["ETag"]}

    async def portray(self) -> None:
        """Open, fill, submit."""
        await self.open()
        await self.fill()
        await self.submit()

    async def correct(self) -> None:
        """Reopen, fill anew, submit again."""
        await self.reopen()
        await self.fill()
        await self.submit()

    def acknowledge(self, answer: httpx.Response) -> int:
        """Remember what the service says that it did."""
        receipt = answer.json()
        self.ledger.facts[self.id][receipt["revision"]] = (receipt["status"], dict(self.levels))
        return int(receipt["revision"])

    async def _hand_over(self, what: str, status: str) -> int:
        answer = await self._acknowledged(f"/assessments/{self.id}/{what}", 200, None, key() | await self.tag())
        if answer.json()["status"] != status:
            self.ledger.wrong.append(f"{what} of {self.id} came to {answer.text}")
        return self.acknowledge(answer)

    async def _acknowledged(self, path: str, status: int, json: object, headers: Headers) -> httpx.Response:
        answer = await self.ask("POST", path, json=json, **headers)
        if answer.status_code != status:
            self.ledger.wrong.append(f"POST {path}: {answer.status_code} {answer.text[:300]}")
            raise AssertionError(self.ledger.wrong[-1])
        return answer

    def _note(self, method: str, path: str, answer: httpx.Response) -> None:
        self.ledger.answers[str(answer.status_code)] += 1
        if answer.status_code >= 500:
            self.ledger.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")

    def _note_refusal(self, method: str, path: str, answer: httpx.Response) -> None:
        problem = answer.headers.get("Content-Type", "").startswith("application/problem+json")
        code = answer.json().get("code") if problem else None
        self.ledger.answers[f"503 {code}"] += 1
        if code is None:
            self.ledger.wrong.append(f"{method} {path}: a 503 that is no problem document: {answer.text[:300]}")
