"""What was sent once is sent again, in order and in a lane of its own; and a made event, to try an endpoint."""

import asyncio
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID, uuid5

import orjson

from chassis.clock import now
from chassis.outbox import Done, Request
from chassis.store import Document
from contracts.fact import Visibility
from contracts.regions import Directory
from services.notify.domain.event import TEST_TYPE, delivery_id
from services.notify.domain.matching import asked_tokens, event_tokens
from services.notify.domain.right import Right, may_be_told
from services.notify.domain.schedule import next_digest
from services.notify.domain.subscription import NotInThisState, Status, Subscription
from services.notify.settings import NotifySettings
from services.notify.store.events import about
from services.notify.store.lanes import lane_of
from services.notify.store.replays import Replay, Replays
from services.notify.usecases.deliver import Stores, delivery, hand_over

REPLAYS = UUID("0d8f3f5c-58a1-5a53-8e0e-6a3a2f7b5d14")
TESTS = UUID("c1a4d8a2-6c39-5be2-9a43-2f5f7cb1de90")
IDLE_S = 0.5


async def accept(
    subscription: Subscription,
    *,
    event: str | None,
    aggregate: str | None,
    start: datetime | None,
    end: datetime | None,
    by: str,
    right: Right,
    key: str,
    replays: Replays,
    settings: NotifySettings,
) -> Done:
    """Accept a replay; a worker carries it. Raises NotInThisState for one that is not active, KeyReused."""
    if subscription.status is not Status.ACTIVE:
        raise NotInThisState(subscription.status)
    at, kept = now(), timedelta(days=settings.retention_days)
    wanted = Replay(
        id=str(uuid5(REPLAYS, f"{by}\n{key}")),
        subscription=subscription.id,
        by=by,
        right=right,
        at=at,
        event=event,
        aggregate=aggregate,
        start=start or at - kept,
        end=end or at,
    )
    said = [subscription.id, event or "", aggregate or "", str(start), str(end)]
    return await replays.accept(
        wanted, expires_at=at + kept, request=Request.of(actor=by, key=key, asked=["replay", *said])
    )


async def carry_replays(replays: Replays, stores: Stores, directory: Directory, *, digest_every_s: float) -> None:
    """For ever: make the deliveries of what was accepted. Several workers share it by leases."""
    while True:
        wanted = await replays.claim()
        if wanted is None:
            await asyncio.sleep(IDLE_S)
        else:
            await replays.carried(wanted.id, made=await _carry(wanted, stores, directory, digest_every_s))


async def _carry(wanted: Replay, stores: Stores, directory: Directory, digest_every_s: float) -> int:
    subscription = (await stores.subscriptions.many([wanted.subscription])).get(wanted.subscription)
    if subscription is None:
        return 0
    given = (await stores.rights.many([subscription.organization]))[subscription.organization]
    tokens = frozenset(asked_tokens(subscription.types, subscription.regions, subscription.groups))

    def is_for_it(event: Document) -> bool:
        return (
            not tokens.isdisjoint(event_tokens(event["type"], event["within"], directory))
            and subscription.about in (None, event["about_subscription"])
            and may_be_told(
                about(event),
                organization=subscription.organization,
                rights=(given, subscription.right, wanted.right),
                subscription=subscription.id,
            )
        )

    made, digest_at = 0, next_digest(now(), every_s=digest_every_s)
    async for page in stores.events.between(wanted.start, wanted.end, aggregate=wanted.aggregate, event=wanted.event):
        again = [_again(subscription, event, wanted.id, digest_at) for event in page if is_for_it(event)]
        await hand_over(again, stores)
        made += len(again)
    return made


def _again(subscription: Subscription, event: Document, replay: str, digest_at: datetime) -> Document:
    return {
        **delivery(subscription, event, digest_at=digest_at),
        "_id": delivery_id(event["id"], subscription.id, replay=replay),
        "lane": lane_of(subscription.id, aggregate=f"replay/{replay}"),
        "order": {"time": event["time"], "revision": event["revision"], "rule": event["rule"]},
        "replay": replay,
    }


async def send_test(subscription: Subscription, *, by: str, key: str, stores: Stores, settings: NotifySettings) -> str:
    """A made event for this endpoint alone; the id of its delivery. A repeat with the same key sends nothing new.

    Raises NotInThisState for one that is not active.
    """
    if subscription.status is not Status.ACTIVE:
        raise NotInThisState(subscription.status)
    at = now()
    event_id = str(uuid5(TESTS, f"{by}\n{key}\n{subscription.id}"))
    told = {
        "specversion": "1.0",
        "id": event_id,
        "type": TEST_TYPE,
        "source": "/services/notify",
        "subject": subscription.id,
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {"note": "Uji coba · a test: this tells of nothing that happened."},
    }
    event: Document = {
        "_id": f"test/{event_id}",
        "digest": blake2b(event_id.encode(), digest_size=16).hexdigest(),
        "id": event_id,
        "type": TEST_TYPE,
        "aggregate": subscription.id,
        "revision": 0,
        "rule": 0,
        "region": None,
        "within": [],
        "visibility": Visibility.SUPERVISED.value,
        "assessors": [],
        "owner": subscription.organization,
        "about_subscription": None,
        "time": at,
        "traceparent": None,
        "body": orjson.dumps(told),
        "expires_at": at + timedelta(days=settings.retention_days),
    }
    await stores.events.keep([event])
    made = delivery(subscription, event, digest_at=at)
    await hand_over([made], stores)
    return made["_id"]
