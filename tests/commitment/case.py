"""A commitment whose first party signs by BSrE, at a service of its own beside the lab's worker."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from chassis.store import Database
from contracts.regions import Directory
from lab import system
from lab.parts import Part, service
from tests.acting import DEADLINE_S, Headers, key
from tests.commitment.bsre import PASSWORD, USER, nik_of
from tests.committing import SEKDA, Committing

Entry = dict[str, Any]
READY_WITHIN_S = 60
"""One more beside a whole lab: 20 s were seen where others work on the same two cores."""


@contextmanager
def the_service(directory: Path, living_lab: system.System, fake: Part, **changes: str) -> Generator[Part]:
    """Commitment, as an agency would set it up that has an eSign Client: on the lab's database, beside its worker."""
    env = {
        **living_lab.environment,
        "ROLE": "api",
        "LOCAL_PKI": str(living_lab.directory / "pki"),
        "BSRE_ADDRESS": fake.address,
        "BSRE_USER": USER,
        "BSRE_PASSWORD": PASSWORD,
        "TRACES_SAMPLE_RATIO": "1",
        "LOG_LEVEL": "DEBUG",
        **changes,
    }
    part = service(directory, "commitment", env)
    part.launch()
    try:
        part.wait_ready(READY_WITHIN_S)
        yield part
    finally:
        part.stop()


@dataclass(frozen=True, slots=True)
class Case:
    """A commitment of three, opened, the first of whom signs by BSrE."""

    one: Committing
    parties: list[str]
    text_sha256: str
    kept: Database

    async def by_bsre(self, party: int = 0, idempotency: Headers | None = None, **asked: Any) -> httpx.Response:
        organization = self.parties[party]
        body = {"provider": "bsre", "nik": nik_of(organization), **asked}
        return await self.one.sign(organization, text_sha256=self.text_sha256, idempotency=idempotency, **body)

    async def settle(self, found: dict[str, str] | None = None, *, who: Headers | None = None) -> httpx.Response:
        headers = (who or self.one.facilitator) | key()
        body = {"block": "p01", "reason": "Ditanyakan ke pengelola layanan.", **(found or {})}
        return await self.one.client.post(f"{self.one.address}/settlement", json=body, headers=headers)

    async def hand_in(self, pdf: bytes) -> dict[str, str]:
        """A document, as the facilitator; as `settle` takes it."""
        headers = self.one.facilitator | key() | {"Content-Type": "application/pdf"}
        answer = await self.one.client.post("/files", content=pdf, headers=headers)
        assert answer.status_code == 201, answer.text
        return {name: answer.json()[name] for name in ("file", "sha256")}

    async def turns(self) -> list[tuple[str, str]]:
        """(block, state)"""
        room = (await self.one.client.get(f"{self.one.address}/room", headers=self.one.manager)).json()
        return [(turn["block"], turn["state"]) for turn in room["turns"]]

    async def trail(self) -> list[Entry]:
        """Since it was opened."""
        last = (await self.one.get())["trail"]["entries"]
        async with asyncio.timeout(DEADLINE_S):
            while len(found := await self.kept["audit"].find({"commitment": self.one.id}).to_list(None)) < last:
                await asyncio.sleep(0.02)
        found.sort(key=lambda entry: entry["seq"])
        opened = next(place for place, entry in enumerate(found) if entry["act"] == "opened")
        return found[opened + 1 :]

    async def acts(self) -> list[str]:
        return [entry["act"] for entry in await self.trail()]


def certified_name(organization: str) -> str:
    """As the authority wrote it."""
    return f"{SEKDA}, {Directory.load().get(organization).name}"
