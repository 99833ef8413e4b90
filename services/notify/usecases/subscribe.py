"""What organizations do with their subscriptions."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from chassis.clock import now
from chassis.conditional import Expected, etag
from chassis.outbox import Done, Request
from chassis.problem import Forbidden, Problem
from chassis.references import UnknownRegion
from chassis.viewer import Viewer
from contracts.regions import Directory, UnknownGroup
from services.notify.domain.address import check_url
from services.notify.domain.matching import asked_tokens, event_tokens, known_patterns
from services.notify.domain.right import may_be_told, right_of
from services.notify.domain.signature import new_secret
from services.notify.domain.subscription import (
    OVERLAP_MAX,
    Secret,
    Subscription,
    closed,
    paused,
    proved,
    resumed,
    rotated,
)
from services.notify.keys import Keys
from services.notify.sender import Sender
from services.notify.settings import NotifySettings
from services.notify.store.endpoints import Endpoints
from services.notify.store.events import Events, about
from services.notify.store.lanes import Lanes
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions, may_manage

SUBSCRIPTIONS = UUID("f3a5a9f0-7d0b-5d53-8e58-4b1a3f1f6a21")
DRY_RUN = timedelta(days=7)
DRY_RUN_SHOWN = 20
DRY_RUN_LOOKED_AT_MAX = 20_000


class UnknownType(Problem):
    """A type or pattern that nothing can match."""

    status, code, title = 422, "unknown_type", "There is no such type of event"


class NoSuchGroup(Problem):
    """No group has this name."""

    status, code, title = 422, "unknown_group", "There is no such group"
    detail = "Use the name of a group, such as jabar-2023, or region codes."
    detail_id = "Gunakan nama grup, misalnya jabar-2023, atau kode daerah."


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
    url: str
    types: Sequence[str]
    regions: Sequence[str]
    groups: Sequence[str]
    ordered: bool
    rate_per_minute: int | None


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


def check_asked(asked: Asked, *, directory: Directory, settings: NotifySettings) -> str:
    """The address as it will be called. Raises UnsafeAddress, and what `check_wanted` does."""
    check_wanted(asked.types, asked.regions, asked.groups, directory=directory)
    ports = frozenset(int(port) for port in settings.webhook_ports.split(","))
    return check_url(asked.url, ports=ports, lab=settings.webhook_lab)


async def subscribe(
    asked: Asked,
    *,
    viewer: Viewer,
    key: str,
    subscriptions: Subscriptions,
    keys: Keys,
    directory: Directory,
    settings: NotifySettings,
) -> tuple[Done, str]:
    """Make a subscription, to be proved next, and its secret: shown once, at this moment.

    Raises Forbidden, KeyReused, and what `check_asked` does.
    """
    if not may_manage(viewer) or viewer.organization is None:
        raise Forbidden
    url = check_asked(asked, directory=directory, settings=settings)
    secret = new_secret()
    made = Subscription(
        id=str(uuid5(SUBSCRIPTIONS, f"{viewer.actor}\n{key}")),
        organization=viewer.organization,
        by=viewer.actor,
        right=right_of(viewer),
        name=asked.name,
        url=url,
        types=tuple(asked.types),
        regions=tuple(asked.regions),
        groups=tuple(asked.groups),
        ordered=asked.ordered,
        rate_per_minute=asked.rate_per_minute,
        secrets=(Secret(keys.seal(secret), made_at=now()),),
    )
    said = [asked.name, url, *asked.types, "", *asked.regions, "", *asked.groups]
    request = Request.of(actor=viewer.actor, key=key, asked=[*said, str(asked.ordered), str(asked.rate_per_minute)])
    return await subscriptions.create(made, outcome={"subscription": made.id}, request=request), secret


async def verify(command: Command, sender: Sender, lanes: Lanes, endpoints: Endpoints) -> Done:
    """Ask the endpoint whether it wants our events; from then on they match. Raises NotProved, NotInThisState."""
    before = await command.subscriptions.get(command.subscription, viewer=command.viewer)
    command.expected.check(tag(before))
    proved(before, now=now(), allowed_rate=None)  # refused before anybody is asked
    proof = await sender.prove(before)
    if proof.failure is not None:
        raise NotProved(proof.failure, proof.status)
    await endpoints.recovered(command.subscription)  # else its next failure would count from before it was disabled
    done = await command.do("proved", lambda it: proved(it, now=now(), allowed_rate=proof.allowed_rate))
    await lanes.wake(command.subscription)
    return done


async def pause(command: Command) -> Done:
    """Nothing is sent until it is resumed; what comes meanwhile waits."""
    return await command.do("paused", paused)


async def resume(command: Command, lanes: Lanes) -> Done:
    """What waited is sent."""
    done = await command.do("resumed", resumed)
    await lanes.wake(command.subscription)
    return done


async def close(command: Command) -> Done:
    """For good."""
    return await command.do("closed", closed)


async def rotate(command: Command, keys: Keys, *, overlap: timedelta) -> tuple[Done, str]:
    """A new secret, shown once; the one before signs beside it for `overlap`, OVERLAP_MAX at most."""
    check_owns(await command.subscriptions.get(command.subscription, viewer=command.viewer), command.viewer)
    secret = new_secret()
    sealed = keys.seal(secret)
    done = await command.do("rotated", lambda it: rotated(it, sealed, now=now(), overlap=min(overlap, OVERLAP_MAX)))
    return done, secret


async def set_networks(command: Command, networks: Sequence[str]) -> Done:
    """Open private networks for this endpoint; for administrators, and recorded."""
    return await command.do("networks", lambda it: replace(it, networks=tuple(networks)))


@dataclass(slots=True)
class WouldMatch:
    """What a dry run found."""

    since: datetime
    matched: int = 0
    looked_at: int = 0
    whole: bool = True
    """False where there was more than one answer looks at."""
    latest: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=DRY_RUN_SHOWN))


async def dry_run(
    asked: Asked,
    *,
    viewer: Viewer,
    events: Events,
    rights: Rights,
    directory: Directory,
    settings: NotifySettings,
) -> WouldMatch:
    """What would have matched in the last 7 days. Raises Forbidden, and what `check_asked` does."""
    if not may_manage(viewer) or viewer.organization is None:
        raise Forbidden
    check_asked(asked, directory=directory, settings=settings)
    organization = viewer.organization
    tokens = frozenset(asked_tokens(asked.types, asked.regions, asked.groups))
    given = (await rights.many([organization]))[organization]
    until = now()
    found = WouldMatch(since=until - DRY_RUN)
    async for page in events.between(found.since, until):
        for event in page:
            if not tokens.isdisjoint(event_tokens(event["type"], event["region"], directory)) and may_be_told(
                about(event), organization=organization, rights=(given, right_of(viewer)), subscription=""
            ):
                found.matched += 1
                found.latest.append(event)
        found.looked_at += len(page)
        if found.looked_at >= DRY_RUN_LOOKED_AT_MAX:
            found.whole = False
            break
    return found
