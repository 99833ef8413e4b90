"""Made subscriptions."""

from datetime import UTC, datetime
from typing import Any

from services.notify.domain.right import Kind, Right
from services.notify.domain.subscription import Channel, Secret, Status, Subscription

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def subscription(**changes: Any) -> Subscription:
    """A ministry's, to everything, that listens."""
    fields: dict[str, Any] = {
        "id": "s1",
        "organization": "kemendagri",
        "by": "someone",
        "right": Right(Kind.NATIONAL),
        "name": "Made",
        "channel": Channel.WEBHOOK,
        "url": "https://example.go.id/kabar",
        "types": ("*",),
        "regions": (),
        "groups": (),
        "ordered": False,
        "rate_per_minute": None,
        "secrets": (Secret("sealed", LONG_AGO),),
        "status": Status.ACTIVE,
        "active_from": LONG_AGO,
    }
    return Subscription(**(fields | changes))
