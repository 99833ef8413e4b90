"""Hands letters to the mail server."""

import asyncio
from collections.abc import Sequence
from email.message import EmailMessage
from time import monotonic

import aiosmtplib

from chassis.problem import Unavailable
from chassis.store import Document
from services.notify.domain.subscription import Subscription
from services.notify.letters import Letters
from services.notify.settings import NotifySettings
from services.notify.webhook import Answer

RETRY_AFTER_S = 60


class MailServerDown(Unavailable):
    """The mail server took nothing."""

    code, title = "mail_server_down", "No e-mail can be sent right now"
    detail = "Nothing was changed. Try again after `Retry-After` seconds."
    detail_id = "Tidak ada yang berubah. Coba lagi setelah `Retry-After` detik."


class Post:
    """The way to the mail server."""

    def __init__(self, letters: Letters, settings: NotifySettings) -> None:
        self._letters = letters
        self._settings = settings

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
        settings, begun = self._settings, monotonic()
        status: int | None = None
        failure: str | None = None
        said = ""
        try:
            async with asyncio.timeout(settings.smtp_timeout_s):
                _, said = await aiosmtplib.send(
                    letter,
                    hostname=settings.smtp_host,
                    port=settings.smtp_port,
                    username=settings.smtp_username,
                    password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
                    use_tls=settings.smtp_tls == "tls",
                    start_tls=settings.smtp_tls == "starttls",
                    timeout=settings.smtp_timeout_s,
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
