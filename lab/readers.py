"""People who read during the demo: Kemendagri's supervisors at a live screen, at their inbox, and by e-mail."""

import asyncio
import mailbox
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from contracts.roles import Role
from lab import system
from lab.errors import LabError
from lab.parts.mail import LETTERS
from lab.region import Access, Visitor, fresh_key

ORGANIZATION, ROLE, PROVINCE = "kemendagri", Role.SUPERVISOR, "32"
ADDRESS = "pembina@kemendagri.example.go.id"
"""Made: nobody's."""
EVENT = "event: id.livinglab.score.recalculated.v1"
WITHIN_S = 60.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Read:
    """What they got to see."""

    on_screen: int
    """Scores told on the live stream."""
    unread: int
    latest: Sequence[str]
    """The latest in the inbox, in Indonesian."""
    letter: str
    """Subject of the e-mail."""


class Readers:
    """Of one organization, of one province's scores; and of the submissions of one region, by e-mail."""

    def __init__(self, running: system.System, access: Access, visitor: Visitor, region: str) -> None:
        self._running = running
        self._access = access
        self._visitor = visitor
        self._region = region
        self._on_screen = 0

    async def subscribe(self) -> None:
        """To the inbox; by e-mail, once its reader followed the link that asks them. Raises LabError."""
        await self._post(channel="inbox", role=ROLE.value, types=["score.recalculated"], regions=[PROVINCE])
        made = await self._post(channel="email", email=ADDRESS, types=["assessment.submitted"], regions=[self._region])
        verification = self._access.url("notify", f"subscriptions/{made.json()['subscription']}/verification")
        headers = {**fresh_key(), "If-Match": made.headers["etag"]}
        await self._visitor.send("POST", verification, headers=headers)
        (question,) = await self._letters(count=1)
        link = urlsplit(next(word for word in text_of(question).split() if "/confirmations?" in word))
        address = f"{self._access.services['notify']}{link.path}?{link.query}"
        await Visitor(self._visitor.http).send("POST", address)

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """The screen is on: what comes into the inbox is on it at once."""
        opened = asyncio.Event()
        screen = asyncio.create_task(self._watch(opened))
        try:
            async with asyncio.timeout(WITHIN_S):
                await opened.wait()
            yield
        finally:
            screen.cancel()
            await asyncio.gather(screen, return_exceptions=True)

    async def read(self, *, scores: int) -> Read:
        """What they see once so many scores are on screen and in the inbox, and the e-mail came. Raises LabError."""
        deadline = monotonic() + WITHIN_S
        while True:
            asked = {"unread": "true", "limit": "3"}
            inbox = (await self._visitor.send("GET", self._access.url("notify", "inbox"), params=asked)).json()
            if inbox["unread"] >= scores and self._on_screen >= scores:
                break
            if monotonic() > deadline:
                raise LabError(f"{self._on_screen} scores on the stream, {inbox['unread']} in the inbox, not {scores}")
            await asyncio.sleep(POLL_S)
        latest = [one["text_id"] for one in inbox["items"]]
        subjects = [str(make_header(decode_header(str(letter["Subject"])))) for letter in await self._letters(count=2)]
        (told,) = [subject for subject in subjects if ": " in subject]
        return Read(self._on_screen, inbox["unread"], latest, told)

    async def _post(self, **asked: Any) -> Any:
        url = self._access.url("notify", "subscriptions")
        return await self._visitor.send("POST", url, json={"name": "Peragaan", **asked}, headers=fresh_key())

    async def _watch(self, opened: asyncio.Event) -> None:
        url, signed = self._access.url("notify", "stream"), {"Authorization": self._visitor.authorization or ""}
        stream = self._visitor.http.stream("GET", url, params={"inbox": ROLE.value}, headers=signed, timeout=None)
        async with stream as answer:
            opened.set()
            async for line in answer.aiter_lines():
                self._on_screen += line == EVENT

    async def _letters(self, *, count: int) -> "Sequence[Message[str, str]]":
        directory, deadline = self._running.directory / "smtp" / LETTERS, monotonic() + WITHIN_S
        while len(found := letters_to(ADDRESS, directory)) < count:
            if monotonic() > deadline:
                raise LabError(f"{len(found)} e-mails to {ADDRESS} after {WITHIN_S:.0f} s")
            await asyncio.sleep(POLL_S)
        return found


@asynccontextmanager
async def gathered(running: system.System, access: Access, *, region: str) -> AsyncGenerator[Readers]:
    """They have subscribed, and watch."""
    readers = Readers(running, access, await access.sign_in(ORGANIZATION, ROLE), region)
    await readers.subscribe()
    async with readers.watching():
        yield readers


def letters_to(address: str, directory: Path) -> "Sequence[Message[str, str]]":
    """Of those that the lab's mail server took."""
    if not directory.exists():
        return []
    return [letter for letter in mailbox.Maildir(directory, create=False) if letter["To"] == address]


def text_of(letter: "Message[str, str]") -> str:
    """As people without HTML read it."""
    (text,) = [part for part in letter.walk() if part.get_content_type() == "text/plain"]
    payload = text.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()
