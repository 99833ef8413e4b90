"""Hands letters to the mail server."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from time import monotonic
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

from chassis.problem import Unavailable
from chassis.store import Document
from services.notify.domain.subscription import Subscription
from services.notify.letters import Letters
from services.notify.settings import NotifySettings
from services.notify.webhook import Answer

RETRY_AFTER_S = 60
DEFAULT_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


class MailServerDown(Unavailable):
    """The mail server took nothing."""

    code, title = "mail_server_down", "No e-mail can be sent right now"
    detail = "Nothing was changed. Try again after `Retry-After` seconds."
    detail_id = "Tidak ada yang berubah. Coba lagi setelah `Retry-After` detik."


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where it is, and how it is spoken to."""

    host: str
    port: int
    scheme: str
    username: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, uri: str) -> Self:
        """From a setting. Raises ValueError, which does not show what may hold a password."""
        parts = urlsplit(uri)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("SMTP_URI is not smtp://user:password@host:587, smtps://… or smtp+plain://…")
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        username, password = (unquote(text) if text else None for text in (parts.username, parts.password))
        return cls(parts.hostname, port, parts.scheme, username, password)


class Post:
    """The way to the mail server."""

    def __init__(self, letters: Letters, settings: NotifySettings) -> None:
        """Raises ValueError for a setting that names no mail server."""
        self._letters = letters
        self._server = MailServer.parse(settings.smtp_uri.get_secret_value()) if settings.smtp_uri else None
        self._timeout_s = settings.smtp_timeout_s

    async def send(
        self, subscription: Subscription, deliveries: Sequence[Document], events: Sequence[Document]
    ) -> Answer:
        """One letter that tells of these. The answer's `status` is what the server said of it, or of its address.

        None where it never came to that: no connection, not signed in, no answer.
        """
        return await self._hand_over(self._letters.of_events(subscription, deliveries, events))

    async def ask(self, subscription: Subscription) -> None:
        """Ask whoever reads the address whether our events are wanted. Raises MailServerDown."""
        answer = await self._hand_over(self._letters.confirmation(subscription))
        if answer.status != aiosmtplib.SMTPStatus.completed:
            raise MailServerDown(retry_after_s=RETRY_AFTER_S)

    async def _hand_over(self, letter: EmailMessage) -> Answer:
        server, begun = self._server, monotonic()
        if server is None:  # it was there when the subscription was made
            return Answer(None, "no_mail_server", {}, b"", 0.0)
        status: int | None = None
        failure: str | None = None
        said = ""
        try:
            async with asyncio.timeout(self._timeout_s):
                _, said = await aiosmtplib.send(
                    letter,
                    hostname=server.host,
                    port=server.port,
                    username=server.username,
                    password=server.password,
                    use_tls=server.scheme == "smtps",
                    start_tls=server.scheme == "smtp",
                    timeout=self._timeout_s,
                )
            status = aiosmtplib.SMTPStatus.completed
        except aiosmtplib.SMTPRecipientsRefused as error:
            status, said = error.recipients[0].code, error.recipients[0].message
        except aiosmtplib.SMTPDataError as error:
            status, said = error.code, error.message
        except TimeoutError:
            failure = "timeout"
        except (aiosmtplib.SMTPException, OSError) as error:
            failure, said = "mail_server", type(error).__name__
        return Answer(status, failure, {}, said.encode(errors="replace"), monotonic() - begun)
