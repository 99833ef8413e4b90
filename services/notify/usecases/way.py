"""The ways out: by webhook and by e-mail, each with places of its own, so that a slow mail server delays no webhook."""

from collections.abc import Sequence
from typing import Protocol

from chassis.store import Document
from services.notify.domain.reply import is_of_address, mail_verdict
from services.notify.domain.schedule import Verdict, verdict
from services.notify.domain.subscription import Subscription
from services.notify.post import MAIL_SERVER_DOWN, Post
from services.notify.sender import Sender
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import LOAD_MAX
from services.notify.webhook import Answer

WEBHOOK_LANES_MAX = 1_024
"""Served by one process. A lane whose endpoint hangs takes a place for 15 s, and is then spared by the breaker."""
LANES_A_LETTER = 4
"""Lanes of e-mails that are served for each letter that may be handed over at once: others wait in the database."""
MAIL_SERVER = "mail-server"
"""The endpoint of all e-mails. One that is down is spared like any other; no subscription is given up for it."""


class Way(Protocol):
    """What handing over by one of them is like."""

    mail: bool
    at_once: int
    """Attempts in flight to one endpoint."""
    of_a_lane: int
    """Attempts that one lane begins at once: others' wait behind them."""
    lanes_max: int
    """Lanes served at once by one process."""
    timeout_s: float

    def endpoint(self, subscription_id: str, /) -> str:
        """What its attempts go to; beside it the subscription itself may be spared."""
        ...

    async def hand_over(
        self, subscription: Subscription, deliveries: Sequence[Document], events: Sequence[Document], /
    ) -> Answer:
        """One attempt."""
        ...

    def verdict(self, answer: Answer, /) -> Verdict:
        """What the answer means for what was handed over."""
        ...

    def failed(self, answer: Answer, subscription: Subscription, /) -> str | None:
        """What a failure counts against, by its name among endpoints; None: nothing that could be spared."""
        ...

    def gives_up(self, answer: Answer, /) -> bool:
        """Whether days of such failures disable the subscription."""
        ...


class ByWebhook:
    """To the endpoint of each subscription. What comes into an inbox goes this way too, and leaves before the door."""

    mail = False
    of_a_lane = LOAD_MAX
    lanes_max = WEBHOOK_LANES_MAX

    def __init__(self, sender: Sender, settings: NotifySettings) -> None:
        self._sender = sender
        self.at_once = settings.webhook_concurrency
        self.timeout_s = settings.webhook_timeout_s

    def endpoint(self, subscription_id: str) -> str:
        """Its own."""
        return subscription_id

    async def hand_over(
        self, subscription: Subscription, deliveries: Sequence[Document], events: Sequence[Document]
    ) -> Answer:
        """Its one event."""
        ((delivery, event),) = zip(deliveries, events, strict=True)
        return await self._sender.send(event, subscription, replay=delivery.get("replay"))

    def verdict(self, answer: Answer) -> Verdict:
        """By the status."""
        return verdict(answer.status)

    def failed(self, _answer: Answer, subscription: Subscription) -> str | None:
        """Whatever happens is the endpoint's."""
        return subscription.id

    def gives_up(self, _answer: Answer) -> bool:
        """Any."""
        return True


class ByMail:
    """All to one mail server, which may refuse one address, or everything."""

    mail = True
    of_a_lane = 1

    def __init__(self, post: Post, settings: NotifySettings) -> None:
        self._post = post
        self.at_once = settings.smtp_concurrency
        self.lanes_max = settings.smtp_concurrency * LANES_A_LETTER
        self.timeout_s = settings.smtp_timeout_s

    def endpoint(self, _subscription_id: str) -> str:
        """The mail server."""
        return MAIL_SERVER

    async def hand_over(
        self, subscription: Subscription, deliveries: Sequence[Document], events: Sequence[Document]
    ) -> Answer:
        """Several in one letter."""
        return await self._post.send(subscription, deliveries, events)

    def verdict(self, answer: Answer) -> Verdict:
        """By its codes."""
        return mail_verdict(answer.status, _said(answer))

    def failed(self, answer: Answer, subscription: Subscription) -> str | None:
        """An address that hangs or is refused spares itself alone; what the server refuses to anybody spares nobody."""
        if answer.failure == MAIL_SERVER_DOWN:
            return MAIL_SERVER
        if answer.status is None or is_of_address(answer.status, _said(answer)):
            return subscription.id
        return None

    def gives_up(self, answer: Answer) -> bool:
        """What was said of the address. Without a reply it may be the server that hangs, for everybody."""
        return answer.status is not None


def _said(answer: Answer) -> str:
    return answer.body.decode(errors="replace")
