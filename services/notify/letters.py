"""E-mails: what they say and how they look, in the subscriber's language, as text and as HTML."""

from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import urlencode
from uuid import UUID, uuid5

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from chassis.clock import JAKARTA, now
from chassis.store import Document
from contracts.regions import Directory
from services.notify.domain.subscription import Language, Subscription
from services.notify.domain.wording import line
from services.notify.keys import Keys, Purpose
from services.notify.settings import NotifySettings

DIGESTS = UUID("7c1c6a0e-5f1e-5b0f-8a57-2b9d3f0e6c11")
CONFIRMATIONS, UNSUBSCRIPTIONS = "/notify/v1/confirmations", "/notify/v1/unsubscriptions"

_SUBJECTS: Mapping[str, tuple[str, str]] = {
    "confirmation": ("Konfirmasi langganan kabar Living Lab", "Confirm your Living Lab subscription"),
    "several": ("{count} kabar dari Living Lab", "{count} events from the Living Lab"),
}


# Compiled once, not at each request for a page.
_TEMPLATES = Environment(
    loader=PackageLoader("services.notify"),
    autoescape=select_autoescape(),  # by the name's end: .html, not .txt
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Letters:
    """Writes them."""

    def __init__(self, settings: NotifySettings, keys: Keys, directory: Directory) -> None:
        self._settings = settings
        self._keys = keys
        self._directory = directory
        self._origin = parseaddr(settings.email_from)[1].rpartition("@")[2]

    def of_events(
        self, subscription: Subscription, deliveries: Sequence[Document], events: Sequence[Document]
    ) -> EmailMessage:
        """One letter that tells of these; the same Message-ID each time, so that a repeat can be known."""
        language = subscription.language
        told = [orjson.loads(event["body"]) for event in events]
        lines = [
            {
                "text": line(event, self._directory)[language],
                "time": kept["time"].astimezone(JAKARTA).strftime("%Y-%m-%d %H:%M WIB"),
                "type": event["type"],
                "id": event["id"],
            }
            for event, kept in zip(told, events, strict=True)
        ]
        several = _SUBJECTS["several"][language is Language.ENGLISH].format(count=len(lines))
        names = sorted(one["_id"] for one in deliveries)
        letter = self._letter(
            "events",
            subscription,
            subject=lines[0]["text"] if len(lines) == 1 else several,
            name=names[0] if len(names) == 1 else str(uuid5(DIGESTS, "\n".join(names))),
            lines=lines,
            stop=(stop := self._link(UNSUBSCRIPTIONS, Purpose.UNSUBSCRIBE, subscription)),
        )
        letter["Date"] = format_datetime(max(one["created_at"] for one in deliveries))
        # RFC 8058: mail programs offer a button that asks nothing more.
        letter["List-Unsubscribe"] = f"<{stop}>"
        letter["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return letter

    def confirmation(self, subscription: Subscription) -> EmailMessage:
        """Asks whoever reads the address whether our events are wanted there."""
        at = now()
        letter = self._letter(
            "confirmation",
            subscription,
            subject=_SUBJECTS["confirmation"][subscription.language is Language.ENGLISH],
            name=str(uuid5(DIGESTS, f"{subscription.id}\n{at}")),
            organization=subscription.organization,
            types=subscription.types,
            link=self._link(CONFIRMATIONS, Purpose.CONFIRM, subscription),
        )
        letter["Date"] = format_datetime(at)
        return letter

    def page(self, *, title: tuple[str, str], text: tuple[str, str], button: tuple[str, str] | None = None) -> str:
        """What whoever follows a link gets to see, in both languages; the button sends the same address by POST."""
        return _TEMPLATES.get_template("page.html").render(title=title, text=text, button=button)

    def _letter(
        self, template: str, subscription: Subscription, *, subject: str, name: str, **told: object
    ) -> EmailMessage:
        letter = EmailMessage(policy=SMTP)
        letter["From"], letter["To"], letter["Subject"] = self._settings.email_from, subscription.email or "", subject
        letter["Message-ID"] = f"<{name}@{self._origin}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notices in answer
        told |= {"language": subscription.language.value, "name": subscription.name, "subject": subject}
        letter.set_content(_TEMPLATES.get_template(f"{template}.txt").render(**told))
        letter.add_alternative(_TEMPLATES.get_template(f"{template}.html").render(**told), subtype="html")
        letter.set_boundary(f"={name}=")
        letter["Content-Language"] = subscription.language.value  # before, it would become the first part's
        return letter

    def _link(self, path: str, purpose: Purpose, subscription: Subscription) -> str:
        token = self._keys.seal_for(purpose, subscription.id.encode())
        return f"{self._settings.public_address}{path}?{urlencode({'token': token})}"
