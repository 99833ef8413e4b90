"""A subscription: who wants which events, where they go, and what may be done with it when."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chassis.problem import Problem
from contracts.notify import Why
from contracts.roles import Role
from services.notify.domain.right import Right

OVERLAP_MAX = timedelta(days=7)
"""An old secret signs beside the new one for so long at most."""
ASKED_AGAIN_AFTER = timedelta(minutes=10)
"""Whoever owns an address is asked to confirm it no more often: it may not be theirs who named it."""


class Channel(StrEnum):
    """How events go to a subscriber."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    INBOX = "inbox"


class Language(StrEnum):
    """Of e-mails (ISO 639-1)."""

    INDONESIAN = "id"
    ENGLISH = "en"


class Status(StrEnum):
    """Whether anything is sent."""

    UNPROVED = "unproved"
    """Its endpoint, or whoever reads its address, has not said yet that our events are wanted."""
    ACTIVE = "active"
    PAUSED = "paused"
    """By its owner: what comes meanwhile waits."""
    DISABLED = "disabled"
    """By us: where it goes is gone, or failed for days. What comes meanwhile is not kept for it; it can be replayed."""
    CLOSED = "closed"


LISTENING = frozenset({Status.ACTIVE, Status.PAUSED})
"""What matches events."""


class NotInThisState(Problem):
    """The command does not apply to what the subscription is now."""

    status, code, title = 409, "not_in_this_state", "The subscription's status does not allow this"

    def __init__(self, status: Status) -> None:
        self.is_now = status
        super().__init__(
            f"It is {status.value}. An unproved or disabled one becomes active by `verification`; a paused one by "
            "`resumption`; a closed one stays closed: make a new one.",
            f"Statusnya {status.value}. Yang belum terbukti atau dinonaktifkan menjadi aktif lewat `verification`; "
            "yang dijeda lewat `resumption`; yang ditutup tetap tertutup: buat yang baru.",
            subscription_status=status.value,
        )


class NotForThisChannel(Problem):
    """The command has a meaning for webhooks alone."""

    status, code, title = 409, "not_for_this_channel", "Only webhooks have this"
    detail = "Subscriptions by e-mail and to an inbox have neither secrets nor networks."
    detail_id = "Langganan lewat surel dan ke kotak masuk tidak memiliki rahasia maupun jaringan."


class AskedTooOften(Problem):
    """Whoever reads the address was asked a moment ago."""

    status, code, title = 429, "asked_too_often", "A confirmation was asked for a moment ago"
    detail = "Look for the e-mail, also among unwanted ones; ask for another after `Retry-After` seconds."
    detail_id = "Cari surelnya, juga di folder spam; minta lagi setelah `Retry-After` detik."


@dataclass(frozen=True, slots=True)
class Secret:
    """One HMAC secret, sealed; `until` when a newer one has replaced it."""

    sealed: str
    made_at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """`revision` counts its facts, `version` every change."""

    id: str
    organization: str
    by: str
    """Who made it: an opaque id."""
    right: Right
    """What its maker might see. The organization's right of each moment narrows it further."""
    name: str
    channel: Channel
    types: tuple[str, ...]
    regions: tuple[str, ...]
    groups: tuple[str, ...]
    ordered: bool
    rate_per_minute: int | None
    url: str | None = None
    """Of a webhook; as are its secrets, `allowed_rate` and `networks`."""
    secrets: tuple[Secret, ...] = ()
    email: str | None = None
    """Of an e-mail, until it is closed: then the address is forgotten."""
    language: Language = Language.INDONESIAN
    digest: bool = False
    """By e-mail once a day, instead of at once."""
    asked_at: datetime | None = None
    """When whoever reads the address was last asked to confirm it."""
    role: Role | None = None
    """Of an inbox: whose, within the organization."""
    about: str | None = None
    """Only events about this subscription are for it: it is the owner's contact."""
    status: Status = Status.UNPROVED
    active_from: datetime | None = None
    """Events of an earlier time are not for it."""
    allowed_rate: int | None = None
    """Requests a minute that its endpoint allowed when it was proved; None: as many as come."""
    networks: tuple[str, ...] = ()
    """Private networks that an administrator opened for this endpoint."""
    disabled_for: Why | None = None
    revision: int = 0
    version: int = 0


def asked(subscription: Subscription, *, now: datetime) -> Subscription:
    """Whoever reads the address is asked to confirm it. Raises NotInThisState, AskedTooOften."""
    if subscription.status not in (Status.UNPROVED, Status.DISABLED):
        raise NotInThisState(subscription.status)
    if subscription.asked_at and (left := subscription.asked_at + ASKED_AGAIN_AFTER - now) > timedelta(0):
        raise AskedTooOften(headers={"Retry-After": str(round(left.total_seconds()) + 1)})
    return replace(subscription, asked_at=now)


def proved(subscription: Subscription, *, now: datetime, allowed_rate: int | None = None) -> Subscription:
    """Its endpoint, or whoever reads the address, agreed. From now on events match. Raises NotInThisState."""
    if subscription.status not in (Status.UNPROVED, Status.DISABLED):
        raise NotInThisState(subscription.status)
    return replace(subscription, status=Status.ACTIVE, active_from=now, allowed_rate=allowed_rate, disabled_for=None)


def paused(subscription: Subscription) -> Subscription:
    """Nothing is sent until it is resumed. Raises NotInThisState."""
    if subscription.status is not Status.ACTIVE:
        raise NotInThisState(subscription.status)
    return replace(subscription, status=Status.PAUSED)


def resumed(subscription: Subscription) -> Subscription:
    """What waited is sent. Raises NotInThisState."""
    if subscription.status is not Status.PAUSED:
        raise NotInThisState(subscription.status)
    return replace(subscription, status=Status.ACTIVE)


def closed(subscription: Subscription) -> Subscription:
    """For good; its secrets and its address are forgotten. Raises NotInThisState."""
    if subscription.status is Status.CLOSED:
        raise NotInThisState(subscription.status)
    return replace(subscription, status=Status.CLOSED, secrets=(), email=None)


def disabled(subscription: Subscription, why: Why) -> Subscription:
    """By us. One that is not listening stays as it is: then there is nothing to tell."""
    if subscription.status not in LISTENING:
        return subscription
    return replace(subscription, status=Status.DISABLED, disabled_for=why, revision=subscription.revision + 1)


def rotated(subscription: Subscription, sealed: str, *, now: datetime, overlap: timedelta) -> Subscription:
    """A new secret signs at once; the one before signs beside it for `overlap`.

    Raises NotInThisState, NotForThisChannel.
    """
    check_webhook(subscription)
    if subscription.status is Status.CLOSED:
        raise NotInThisState(subscription.status)
    latest = replace(subscription.secrets[-1], until=now + overlap)
    return replace(subscription, secrets=(latest, Secret(sealed, made_at=now)))


def check_webhook(subscription: Subscription) -> None:
    """Raises NotForThisChannel."""
    if subscription.channel is not Channel.WEBHOOK:
        raise NotForThisChannel


def good_secrets(subscription: Subscription, *, now: datetime) -> list[str]:
    """The sealed secrets that sign now, the newest first."""
    return [secret.sealed for secret in reversed(subscription.secrets) if secret.until is None or now < secret.until]
