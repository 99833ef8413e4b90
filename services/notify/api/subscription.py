"""Subscriptions: made, proved, paused, closed; what would match."""

from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Annotated, Self

from email_validator import validate_email
from fastapi import Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from chassis.auth import CurrentViewer
from chassis.conditional import NOT_MODIFIED, IdempotencyKey, tagged
from chassis.openapi import links, routes
from chassis.outbox import Done
from chassis.problem import Forbidden
from chassis.problems import problems
from chassis.service import provided
from chassis.telemetry import Telemetry
from contracts.notify import Why
from contracts.roles import Role
from services.notify.api.parameters import (
    TAGGED,
    Command,
    EndpointStore,
    EventStore,
    LaneStore,
    OwnKeys,
    OwnPost,
    OwnSettings,
    Regions,
    RightStore,
    SubscriptionId,
    SubscriptionStore,
)
from services.notify.domain.matching import PLACES_MAX, TYPES_MAX
from services.notify.domain.subscription import OVERLAP_MAX, Channel, Language, Status, Subscription
from services.notify.sender import Sender
from services.notify.store.subscriptions import is_administrator, read
from services.notify.usecases import dryrun
from services.notify.usecases import subscribe as usecases
from services.notify.usecases.subscribe import NAME_MAX_CHARS, Asked, tag

router = routes("notify")
REFUSALS = problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503)
NETWORKS_MAX = 16


class In(BaseModel):
    """What is sent; a field that is not known is refused, since it would be passed over."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _address(text: str) -> str:
    found = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    assert found.ascii_email is not None  # as mail servers have it, whatever script its domain is in
    return found.ascii_email


EmailAddress = Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(_address)]
LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
OF_CHANNELS = {
    Channel.WEBHOOK: ("url", ("ordered", "rate_per_minute", "contact")),
    Channel.EMAIL: ("email", ("language", "digest")),
    Channel.INBOX: ("role", ()),
}
"""Channel → the field that says where to, and the others that it alone has."""


class SubscribeIn(In):
    """Which events, of which regions, by which channel: `url` for a webhook, `email`, or `role` for an inbox."""

    name: str = Field(min_length=1, max_length=NAME_MAX_CHARS, pattern=LINE, examples=["Dasbor pembina"])
    """One line. Not shown to whoever is asked to confirm an address."""
    channel: Channel = Channel.WEBHOOK
    types: list[Annotated[str, Field(max_length=60)]] = Field(
        min_length=1, max_length=TYPES_MAX, examples=[["assessment.*", "score.recalculated"]]
    )
    """Names of events, `assessment.*` for all of a noun, `*` for all."""
    regions: list[Annotated[str, Field(max_length=16)]] = Field(default=[], max_length=PLACES_MAX, examples=[["32"]])
    """Each with all that lies in it. Neither regions nor groups: everywhere."""
    groups: list[Annotated[str, Field(max_length=80)]] = Field(default=[], max_length=PLACES_MAX)
    url: str | None = Field(default=None, max_length=2_048, examples=["https://spbe.example.go.id/kabar"])
    ordered: StrictBool = False
    """Of one aggregate, an event is sent only when the one before was taken, or given up."""
    rate_per_minute: StrictInt | None = Field(default=None, ge=1, le=60_000)
    contact: EmailAddress | None = None
    """Whoever is told by e-mail when the webhook is disabled. It becomes a subscription of its own, to be verified."""
    email: EmailAddress | None = None
    language: Language = Language.INDONESIAN
    """Of the e-mails."""
    digest: StrictBool = False
    """One e-mail a day, at 06:00 in Jakarta, instead of one for each event."""
    role: Role | None = None
    """In whose inbox, within your organization."""

    @model_validator(mode="after")
    def _as_its_channel_has_it(self) -> Self:
        where_to, others = OF_CHANNELS[self.channel]
        if getattr(self, where_to) is None:
            raise ValueError(f"a subscription by {self.channel.value} needs `{where_to}`")
        of_any = {field for name, more in OF_CHANNELS.values() for field in (name, *more)}
        if foreign := sorted((of_any - {where_to, *others}) & self.model_fields_set):
            raise ValueError(f"a subscription by {self.channel.value} has no `{'`, `'.join(foreign)}`")
        return self

    def asked(self) -> Asked:
        """For the use case."""
        return Asked(**self.model_dump())


def _network(text: str) -> str:
    return str(ip_network(text))


class NetworksIn(In):
    """Private networks that this endpoint may lie in."""

    networks: list[Annotated[str, Field(max_length=49), AfterValidator(_network)]] = Field(
        max_length=NETWORKS_MAX, examples=[["10.20.0.0/16"]]
    )


class RotateIn(In):
    """How long the old secret signs beside the new one."""

    overlap_hours: StrictInt = Field(default=24, ge=0, le=round(OVERLAP_MAX.total_seconds() / 3600))


class SubscriptionOut(BaseModel):
    """A subscription; its secret is never shown again."""

    subscription: str
    organization: str
    name: str
    channel: Channel
    types: list[str]
    regions: list[str]
    groups: list[str]
    url: str | None
    ordered: bool
    rate_per_minute: int | None
    email: str | None
    language: Language
    digest: bool
    role: Role | None
    about: str | None
    """Only events about this subscription are for it: it is that one's contact."""
    allowed_rate: int | None
    status: Status
    active_from: datetime | None
    disabled_for: Why | None
    networks: list[str]


class SubscribedOut(SubscriptionOut):
    """What was made, and the secret that its webhooks are signed with: shown this once."""

    secret: str | None
    """Of a webhook. Null in the answer to a repeat: if the first answer was lost, ask for a new one (`secret`)."""
    contact: str | None
    """The subscription of its contact."""


class SubscriptionsOut(BaseModel):
    """A page. `next` is null on the last one."""

    items: list[SubscriptionOut]
    next: str | None


class SecretOut(BaseModel):
    """A new secret, shown this once."""

    secret: str | None
    """Null in the answer to a repeat."""


class MatchOut(BaseModel):
    """An event that would have matched."""

    event: str
    type: str
    region: str | None
    time: datetime


class WouldMatchOut(BaseModel):
    """What would have matched since `since`."""

    since: datetime
    matched: int
    looked_at: int
    whole: bool
    """False where there was more than one answer looks at."""
    latest: list[MatchOut]


def _shown(found: Subscription) -> dict[str, object]:
    fields = {name: getattr(found, name) for name in SubscriptionOut.model_fields if name != "subscription"}
    return {**fields, "subscription": found.id}


def _answered(done: Done, response: Response) -> SubscriptionOut:
    found = read(done.document)
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"  # no ETag: it may have been changed since
    else:
        response.headers["ETag"] = tag(found)
    return SubscriptionOut.model_validate(_shown(found))


THIS = {"path.subscription_id": "$response.body#/subscription"}


@router.post(
    "/subscriptions",
    status_code=201,
    responses=problems(400, 401, 403, 409, 413, 415, 422, 429, 503)
    | links(201, {**THIS, **TAGGED}, "verify", "close")
    | links(201, THIS, "one_subscription"),
)
async def subscribe(
    asked: SubscribeIn,
    viewer: CurrentViewer,
    key: IdempotencyKey,
    subscriptions: SubscriptionStore,
    keys: OwnKeys,
    settings: OwnSettings,
    directory: Regions,
    response: Response,
) -> SubscribedOut:
    """Subscribe for your organization. Nothing is sent before its endpoint or address was proved (`verification`)."""
    subscribed = await usecases.subscribe(
        asked.asked(),
        viewer=viewer,
        key=key,
        subscriptions=subscriptions,
        keys=keys,
        directory=directory,
        settings=settings,
    )
    made = _answered(subscribed.done, response)
    response.headers["Location"] = f"/notify/v1/subscriptions/{made.subscription}"
    secret = None if subscribed.done.replayed else subscribed.secret
    return SubscribedOut(**made.model_dump(), secret=secret, contact=subscribed.contact)


@router.get("/subscriptions", responses=problems(401, 422, 429, 503))
async def list_subscriptions(
    viewer: CurrentViewer,
    subscriptions: SubscriptionStore,
    cursor: Annotated[str | None, Query(max_length=40, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SubscriptionsOut:
    """Those of your organization."""
    found = await subscriptions.page(viewer=viewer, after=cursor, limit=limit + 1)
    more, found = len(found) > limit, found[:limit]
    items = [SubscriptionOut.model_validate(_shown(one)) for one in found]
    return SubscriptionsOut(items=items, next=found[-1].id if more else None)


@router.post("/dry-runs", responses=problems(400, 401, 403, 413, 415, 422, 429, 503))
async def dry_run(
    asked: SubscribeIn,
    viewer: CurrentViewer,
    _key: IdempotencyKey,  # as of every POST, though a repeat would do nothing anyway
    events: EventStore,
    rights: RightStore,
    settings: OwnSettings,
    directory: Regions,
) -> WouldMatchOut:
    """What would have matched in the last 7 days. Writes nothing."""
    found = await dryrun.dry_run(
        asked.asked(), viewer=viewer, events=events, rights=rights, directory=directory, settings=settings
    )
    latest = [MatchOut(event=e["id"], type=e["type"], region=e["region"], time=e["time"]) for e in found.latest]
    return WouldMatchOut(
        since=found.since, matched=found.matched, looked_at=found.looked_at, whole=found.whole, latest=latest
    )


@router.get(
    "/subscriptions/{subscription_id}",
    responses=problems(401, 404, 429, 503)
    | NOT_MODIFIED
    | links(200, {**THIS, **TAGGED}, "verify", "pause", "resume", "rotate_secret", "close"),
)
async def one_subscription(
    subscription_id: SubscriptionId,
    viewer: CurrentViewer,
    subscriptions: SubscriptionStore,
    request: Request,
    response: Response,
) -> SubscriptionOut:
    """One of your organization."""
    found = await subscriptions.get(subscription_id, viewer=viewer)
    return tagged(tag(found), request, response) or SubscriptionOut.model_validate(_shown(found))


@router.post("/subscriptions/{subscription_id}/verification", responses=REFUSALS)
async def verify(
    command: Command,
    keys: OwnKeys,
    settings: OwnSettings,
    post: OwnPost,
    lanes: LaneStore,
    endpoints: EndpointStore,
    telemetry: Annotated[Telemetry, provided(Telemetry)],
    response: Response,
) -> SubscriptionOut:
    """Ask the endpoint, by `OPTIONS`, whether it wants our events. If it does, they match from now on.

    Of an e-mail: send a link to the address; events match once it was followed.
    """
    async with Sender(keys, settings, telemetry) as sender:
        return _answered(await usecases.verify(command, sender, post, lanes, endpoints), response)


@router.post("/subscriptions/{subscription_id}/pause", responses=REFUSALS)
async def pause(command: Command, response: Response) -> SubscriptionOut:
    """Nothing is sent until it is resumed; what comes meanwhile waits."""
    return _answered(await usecases.pause(command), response)


@router.post("/subscriptions/{subscription_id}/resumption", responses=REFUSALS)
async def resume(command: Command, lanes: LaneStore, response: Response) -> SubscriptionOut:
    """What waited is sent."""
    return _answered(await usecases.resume(command, lanes), response)


@router.post("/subscriptions/{subscription_id}/closing", responses=REFUSALS)
async def close(command: Command, lanes: LaneStore, response: Response) -> SubscriptionOut:
    """For good: what waits is sent no more. Its log stays until it is forgotten."""
    return _answered(await usecases.close(command, lanes), response)


@router.post("/subscriptions/{subscription_id}/secret", responses=REFUSALS)
async def rotate_secret(asked: RotateIn, command: Command, keys: OwnKeys, response: Response) -> SecretOut:
    """A new secret, shown once. For `overlap_hours` every message carries a signature by the old one too."""
    done, secret = await usecases.rotate(command, keys, overlap=timedelta(hours=asked.overlap_hours))
    _answered(done, response)
    return SecretOut(secret=None if done.replayed else secret)


@router.post("/subscriptions/{subscription_id}/networks", responses=REFUSALS)
async def set_networks(asked: NetworksIn, command: Command, response: Response) -> SubscriptionOut:
    """Administrators open private networks for this endpoint; what was set before is replaced, and recorded."""
    if not is_administrator(command.viewer):
        raise Forbidden
    return _answered(await usecases.set_networks(command, asked.networks), response)
