"""A mail server in a test: takes letters, or answers as it is told."""

import asyncio
import mailbox
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass
class MailServer:
    """`says` are its answers to DATA, one after the other, `to` its answer to RCPT; otherwise it takes what comes."""

    uri: str = ""
    says: list[str] = field(default_factory=list[str])
    to: str | None = None
    hangs_for: str = ""
    """An address that it never answers about."""
    letters: list[EmailMessage] = field(default_factory=list[EmailMessage])

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address == self.hangs_for:
            await asyncio.Event().wait()
        if self.to is not None:
            return self.to
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.says:
            return self.says.pop(0)
        self.letters.append(read(envelope.content))
        return "250 Taken"


@asynccontextmanager
async def taking_letters(server: MailServer) -> AsyncGenerator[MailServer]:
    """On a port of its own."""
    listening = await asyncio.get_running_loop().create_server(lambda: SMTP(server), "127.0.0.1", 0)
    server.uri = f"smtp+plain://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


def letters_in(directory: Path) -> list[EmailMessage]:
    """What the lab's own mail server took."""
    return [read(letter.as_bytes()) for letter in mailbox.Maildir(directory, create=False)]


def read(letter: bytes) -> EmailMessage:
    found = message_from_bytes(letter, policy=default)
    assert isinstance(found, EmailMessage)
    return found


def link_in(letter: EmailMessage) -> str:
    """The one in its text."""
    text = letter.get_body(("plain",))
    assert text is not None
    [link] = [word for word in text.get_content().split() if word.startswith("http")]
    return link
