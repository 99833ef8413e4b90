"""What organizations do with their subscriptions."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from chassis.clock import now
from chassis.conditional import Expected, Stale, etag
from chassis.outbox import Done, Request
from chassis.problem import Forbidden, NotFound, Problem
from chassis.references import UnknownRegion
from chassis.viewer import Viewer
from contracts.regions import Directory, UnknownGroup
from contracts.roles import Role
from services.notify.domain.address import check_url
from services.notify.domain.matching import known_patterns
from services.notify.domain.right import right_of
from services.notify.domain.signature import new_secret
from services.notify.domain.subscription import (
    ASKED_AGAIN_AFTER,
    OVERLAP_MAX,
    AskedTooOften,
    Channel,
    Language,
    NotInThisState,
    Secret,
    Status,
    Subscription,
    asked,
    check_webhook,
    closed,
    paused,
    proved,
    resumed,
    rotated,
)
from services.notify.keys import Keys
from services.notify.post import Post
from services.notify.sender import Sender
from services.notify.settings import NotifySettings
from services.notify.store.endpoints import Endpoints
from services.notify.store.lanes import Lanes
from services.notify.store.subscriptions import Subscriptions, may_manage
from services.notify.usecases.confirm import unsubscribe

SUBSCRIPTIONS = UUID("f3a5a9f0-7d0b-5d53-8e58-4b1a3f1f6a21")
NAME_MAX_CHARS = 80
CONTACT_NAME = "Kontak · {name}"


class UnknownType(Problem):
    """A type or pattern that nothing can match."""

    status, code, title = 422, "unknown_type", "There is no such type of event"


class NoSuchGroup(Problem):
    """No group has this name."""

    status, code, title = 422, "unknown_group", "There is no such group"
    detail = "Use the name of a group, such as jabar-2023, or region codes."
    detail_id = "Gunakan nama grup, misalnya jabar-2023, atau kode daerah."


class EmailNotOffered(Problem):
    """There is no mail server."""

    status, code, title = 422, "email_not_offered", "No e-mail is sent from here"
    detail = "Subscribe by webhook or to an inbox, or ask whoever runs this Living Lab to set SMTP_URI."
    detail_id = "Berlangganan lewat webhook atau kotak masuk, atau minta pengelola Living Lab ini mengatur SMTP_URI."


class NotProved(Problem):
    """The endpoint did not agree to get our events."""

    status, code, title = 409, "endpoint_not_proved", "The endpoint did not agree to receive events"

    def __init__(self, failure: str, answered: int | None) -> None:
        super().__init__(
            f"It was asked by OPTIONS and must answer 2xx with `WebHook-Allowed-Origin` naming us or `*`; what came: "
            f"{failure}. Mend it there, then ask for `verification` again.",
            f"Endpoint ditanya dengan OPTIONS dan harus menjawab 2xx dengan `WebHook-Allowed-Origin` berisi nama kami "
            f"atau `*`; hasilnya: {failure}. Perbaiki di sana, lalu minta `verification` lagi.",
            failure=failure,
            answered=answered,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody subscribes to."""

    name: str
    channel: Channel
    types: Sequence[str]
    regions: Sequence[str]
    groups: Sequence[str]
    ordered: bool = False
    rate_per_minute: int | None = None
    url: str | None = None
    email: str | None = None
    language: Language = Language.INDONESIAN
    digest: bool = False
    role: Role | None = None
    contact: str | None = None
    """An e-mail address that is told when the webhook is disabled."""


@dataclass(frozen=True, slots=True)
class Command:
    """A change of one subscription: who asks, which state they saw, under which key."""

    subscription: str
    viewer: Viewer
    expected: Expected
    request: Request
    subscriptions: Subscriptions

    async def do(
        self, what: str, decide: Callable[[Subscription], Subscription], outcome: Mapping[str, Any] | None = None
    ) -> Done:
        """Decide on what is there, if it is what they saw. Raises NotFound, Stale, KeyReused, what `decide` does."""

        def change(before: Subscription) -> Subscription:
            self.expected.check(tag(before))
            return decide(before)

        return await self.subscriptions.change(
            self.subscription,
            viewer=self.viewer,
            what=what,
            decide=change,
            outcome=dict(outcome or {}),
            request=self.request,
        )


def tag(subscription: Subscription) -> str:
    """Its ETag."""
    return etag(subscription.id, subscription.version)


def check_owns(subscription: Subscription, viewer: Viewer) -> None:
    """Raises Forbidden for administrators, who see every subscription, and may not act as its organization."""
    if not may_manage(viewer) or viewer.organization != subscription.organization:
        raise Forbidden


def check_wanted(
    types: Sequence[str],
    regions: Sequence[str],
    groups: Sequence[str],
    *,
    directory: Directory,
    fields: tuple[str, str, str] = ("types", "regions", "groups"),
) -> None:
    """Whether anything can ever match. Raises UnknownType, UnknownRegion, NoSuchGroup, each naming its field."""
    known = known_patterns()
    for wanted in types:
        if wanted not in known:
            raise UnknownType(
                f"Those there are: {', '.join(sorted(known))}.",
                f"Yang ada: {', '.join(sorted(known))}.",
                field=fields[0],
            )
    for code in regions:
        if directory.find(code) is None:
            raise UnknownRegion(field=fields[1])
    for name in groups:
        try:
            directory.group(name)
        except UnknownGroup as error:
            raise NoSuchGroup(field=fields[2]) from error


def check_asked(asked: Asked, *, directory: Directory, settings: NotifySettings) -> str | None:
    """The URL as it will be called. Raises UnsafeAddress, EmailNotOffered, and what `check_wanted` does."""
    check_wanted(asked.types, asked.regions, asked.groups, directory=directory)
    if (asked.email or asked.contact) and settings.smtp_uri is None:
        raise EmailNotOffered(field="email" if asked.email else "contact")
    if asked.url is None:
        return None
    ports = frozenset(int(port) for port in settings.webhook_ports.split(","))
    return check_url(asked.url, ports=ports, lab=settings.webhook_lab)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What was made. `secret` is shown once, at this moment."""

    done: Done
    secret: str | None
    contact: str | None
    """The subscription that tells the owner by e-mail when this one is disabled; to be proved like any other."""


async def subscribe(
    asked: Asked,
    *,
    viewer: Viewer,
    key: str,
    subscriptions: Subscriptions,
    keys: Keys,
    directory: Directory,
    settings: NotifySettings,
) -> Subscribed:
    """Make a subscription, to be proved next; one to an inbox is there at once.

    Raises Forbidden, KeyReused, and what `check_asked` does.
    """
    if not may_manage(viewer) or viewer.organization is None:
        raise Forbidden
    at, inbox = now(), asked.channel is Channel.INBOX
    secret = new_secret() if asked.channel is Channel.WEBHOOK else None
    made = Subscription(
        id=str(uuid5(SUBSCRIPTIONS, f"{viewer.actor}\n{key}")),
        organization=viewer.organization,
        by=viewer.actor,
        right=right_of(viewer),
        name=asked.name,
        channel=asked.channel,
        types=tuple(asked.types),
        regions=tuple(asked.regions),
        groups=tuple(asked.groups),
        ordered=asked.ordered,
        rate_per_minute=asked.rate_per_minute,
        url=check_asked(asked, directory=directory, settings=settings),
        secrets=(Secret(keys.seal(secret), made_at=at),) if secret else (),
        email=asked.email,
        language=asked.language,
        digest=asked.digest,
        role=asked.role,
        status=Status.ACTIVE if inbox else Status.UNPROVED,
        active_from=at if inbox else None,
    )
    said = repr(asked)
    request = Request.of(actor=viewer.actor, key=key, asked=[said])
    done = await subscriptions.create(made, outcome={"subscription": made.id}, request=request)
    if asked.contact is None:
        return Subscribed(done, secret, contact=None)
    contact = replace(
        made,
        id=_contact_of(made.id),
        name=CONTACT_NAME.format(name=asked.name)[:NAME_MAX_CHARS],
        channel=Channel.EMAIL,
        types=("subscription.disabled",),
        regions=(),
        groups=(),
        ordered=False,
        rate_per_minute=None,
        url=None,
        secrets=(),
        email=asked.contact,
        about=made.id,
    )
    request = Request.of(actor=viewer.actor, key=f"{key}/contact", asked=[said])
    await subscriptions.create(contact, outcome={"subscription": contact.id}, request=request)
    return Subscribed(done, secret, contact=contact.id)


def _contact_of(subscription_id: str) -> str:
    return str(uuid5(SUBSCRIPTIONS, f"{subscription_id}\ncontact"))


async def verify(command: Command, sender: Sender, post: Post, lanes: Lanes, endpoints: Endpoints) -> Done:
    """Ask the endpoint whether it wants our events: from then on they match. Of an e-mail, ask whoever reads it.

    Raises NotProved, NotInThisState, AskedTooOften, AddressRefused, MailServerDown.
    """
    before = await command.subscriptions.get(command.subscription, viewer=command.viewer)
    if before.channel is Channel.EMAIL:
        return await _ask(before, command, post)
    rate: int | None = None
    try:
        command.expected.check(tag(before))
        proved(before, now=now())
    except (Stale, NotInThisState):  # refused before anybody is asked; a repeat gets the first answer
        return await command.do("proved", lambda it: proved(it, now=now()))
    if before.channel is Channel.WEBHOOK:
        proof = await sender.prove(before)
        if proof.failure is not None:
            raise NotProved(proof.failure, proof.status)
        rate = proof.allowed_rate
    await endpoints.recovered(command.subscription)  # else its next failure would count from before it was disabled
    done = await command.do("proved", lambda it: proved(it, now=now(), allowed_rate=rate))
    await lanes.wake(command.subscription)
    return done


async def _ask(before: Subscription, command: Command, post: Post) -> Done:
    check_owns(before, command.viewer)
    # Whoever else named the address: its reader is asked no more often.
    if await command.subscriptions.others_asked(before, since=now() - ASKED_AGAIN_AFTER):
        raise AskedTooOften(headers={"Retry-After": str(round(ASKED_AGAIN_AFTER.total_seconds()))})
    # Written down before it is done: of many at once one asks.
    done = await command.do("asked", lambda it: asked(it, now=now()))
    if not done.replayed:
        await post.ask(before)
    return done


async def pause(command: Command) -> Done:
    """Nothing is sent until it is resumed; what comes meanwhile waits."""
    return await command.do("paused", paused)


async def resume(command: Command, lanes: Lanes) -> Done:
    """What waited is sent."""
    done = await command.do("resumed", resumed)
    await lanes.wake(command.subscription)
    return done


async def close(command: Command, lanes: Lanes) -> Done:
    """For good; what waits is sent no more. The subscription of its contact ends with it."""
    try:
        done = await command.do("closed", closed)
    except NotInThisState:  # it is closed already: whoever closed it may have died before the rest
        await _after_closing(command, lanes)
        raise
    await _after_closing(command, lanes)
    return done


async def _after_closing(command: Command, lanes: Lanes) -> None:
    await lanes.wake(command.subscription)
    with suppress(NotFound):  # it has no contact
        await unsubscribe(_contact_of(command.subscription), subscriptions=command.subscriptions, lanes=lanes)


async def rotate(command: Command, keys: Keys, *, overlap: timedelta) -> tuple[Done, str]:
    """A new secret, shown once; the one before signs beside it for `overlap`, OVERLAP_MAX at most."""
    check_owns(await command.subscriptions.get(command.subscription, viewer=command.viewer), command.viewer)
    secret = new_secret()
    sealed = keys.seal(secret)
    done = await command.do("rotated", lambda it: rotated(it, sealed, now=now(), overlap=min(overlap, OVERLAP_MAX)))
    return done, secret


async def set_networks(command: Command, networks: Sequence[str]) -> Done:
    """Open private networks for this endpoint; for administrators, and recorded. Raises NotForThisChannel."""

    def opened(before: Subscription) -> Subscription:
        check_webhook(before)
        return replace(before, networks=tuple(networks))

    return await command.do("networks", opened)
