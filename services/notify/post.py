"""Hands letters to the mail server."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from time import monotonic
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

from chassis.problem import Problem, Unavailable
from chassis.store import Document
from services.notify.domain.reply import is_of_address
from services.notify.domain.subscription import Subscription
from services.notify.letters import Letters
from services.notify.settings import NotifySettings
from services.notify.webhook import Answer

RETRY_AFTER_S = 600
MAIL_SERVER_DOWN = "mail_server"
"""Failure of an attempt that never came to the address: no connection, not signed in."""
DEFAULT_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


SMTP_URI_IS_NOT = "SMTP_URI is not smtp://user:password@host:587, smtps://… or, on this machine, smtp+plain://127.0.0.1"
PLAIN_TO = frozenset({"127.0.0.1", "::1", "localhost", "mail.internal"})
"""This machine. The last is the mail catcher of deploy/compose/demo.yml; `.internal` is nobody's on the Internet."""


class MailServerDown(Unavailable):
    """The mail server took nothing."""

    code, title = "mail_server_down", "No e-mail can be sent right now"
    detail = "Try again in ten minutes."
    detail_id = "Coba lagi dalam sepuluh menit."


class AddressRefused(Problem):
    """For good, by the mail server."""

    status, code, title = 409, "address_refused", "The mail server refused this address"
    detail = "Check the address; close this subscription and make one with the right address."
    detail_id = "Periksa alamatnya; tutup langganan ini dan buat yang baru dengan alamat yang benar."


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
        try:
            parts = urlsplit(uri)
            port = parts.port or DEFAULT_PORTS[parts.scheme]
        except (ValueError, KeyError):  # whose text shows a part of it
            raise ValueError(SMTP_URI_IS_NOT) from None
        if not parts.hostname or (parts.scheme == "smtp+plain" and parts.hostname not in PLAIN_TO):
            raise ValueError(SMTP_URI_IS_NOT)
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
        """Ask whoever reads the address whether our events are wanted. Raises AddressRefused, MailServerDown."""
        answer = await self._hand_over(self._letters.confirmation(subscription))
        said = answer.body.decode(errors="replace")
        if answer.status is not None and answer.status >= 500 and is_of_address(answer.status, said):
            raise AddressRefused
        if answer.status != aiosmtplib.SMTPStatus.completed:
            raise MailServerDown(retry_after_s=RETRY_AFTER_S)

    def _client(self, server: MailServer) -> aiosmtplib.SMTP:
        """Connects, and signs in, when it is entered."""
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.scheme == "smtps",
            start_tls=server.scheme == "smtp",
            timeout=self._timeout_s,
        )

    async def _hand_over(self, letter: EmailMessage) -> Answer:
        server, begun = self._server, monotonic()
        if server is None:  # it was there when the subscription was made
            return Answer(None, MAIL_SERVER_DOWN, {}, b"", 0.0)
        status: int | None = None
        failure: str | None = None
        said = ""
        reached = False
        try:
            async with asyncio.timeout(self._timeout_s), self._client(server) as client:
                reached = True
                _, said = await client.send_message(letter)
                status = aiosmtplib.SMTPStatus.completed  # it is taken, however they then part
        except aiosmtplib.SMTPRecipientsRefused as error:
            status, said = error.recipients[0].code, error.recipients[0].message
        except aiosmtplib.SMTPDataError as error:
            status, said = error.code, error.message
        except aiosmtplib.SMTPSenderRefused as error:
            failure, said = MAIL_SERVER_DOWN, f"{error.code}"
        except TimeoutError:
            failure = "timeout" if reached else MAIL_SERVER_DOWN
        except (aiosmtplib.SMTPException, OSError) as error:
            failure, said = "disconnected" if reached else MAIL_SERVER_DOWN, type(error).__name__
        if said and letter["To"]:
            said = said.replace(letter["To"], "…")  # the log outlives the address
        return Answer(status, failure, {}, said.encode(errors="replace"), monotonic() - begun)
