"""An event becomes deliveries: one for each subscription that asks for it and may be told of it."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from chassis.clock import now
from chassis.crash import crash_point
from chassis.intake import Fork
from chassis.records import Fact
from chassis.store import Document
from contracts.notify import DeliveryExhausted, SubscriptionDisabled
from contracts.regions import Directory
from services.notify.domain.event import delivery_id, structured
from services.notify.domain.matching import event_tokens, short
from services.notify.domain.right import About, Right, may_be_told
from services.notify.domain.schedule import next_digest
from services.notify.domain.subscription import Channel, Subscription
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import PENDING, Deliveries
from services.notify.store.events import Events, about
from services.notify.store.lanes import Lanes, lane_of
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions

SUBSCRIPTIONS_AT_ONCE = 500
DELIVERIES_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Stores:
    """What hearing and replaying need."""

    events: Events
    subscriptions: Subscriptions
    rights: Rights
    deliveries: Deliveries
    lanes: Lanes


async def hear(facts: Sequence[Fact[Any]], *, stores: Stores, directory: Directory, settings: NotifySettings) -> None:
    """Keep events, then make their deliveries. A repeat does the same again, which changes nothing.

    What is older than the retention is passed over: a topic that was built anew floods nobody. Raises Fork for a second
    history of an aggregate.
    """
    oldest = now() - timedelta(days=settings.retention_days)
    heard = [_event(fact, directory, days=settings.retention_days) for fact in facts if fact.envelope.time > oldest]
    asking: dict[str, list[_Asking]] = defaultdict(list)
    for event in heard:
        one = _Asking(event, about(event))
        for token in event_tokens(event["type"], event["within"], directory):
            asking[token].append(one)
    if not heard:
        return
    asked = partial(_listening, asking.keys(), stores=stores)
    forks, (page, rights) = await asyncio.gather(stores.events.keep(heard), asked(after=""))
    if forks:
        raise Fork(f"two histories of {', '.join(forks)}: restore the right one, see docs/runbooks/ConsumerStopped.md")
    digest_at = next_digest(now(), every_s=settings.email_digest_every_s)
    while page:
        await hand_over(_matches(page, asking, rights, digest_at), stores)
        if len(page) < SUBSCRIPTIONS_AT_ONCE:
            return
        page, rights = await asked(after=page[-1][0].id)


async def _listening(
    tokens: Collection[str], *, after: str, stores: Stores
) -> tuple[list[tuple[Subscription, set[str]]], Mapping[str, Right]]:
    page = await stores.subscriptions.asking(tokens, after=after, limit=SUBSCRIPTIONS_AT_ONCE)
    return page, await stores.rights.many({subscription.organization for subscription, _ in page})


@dataclass(frozen=True, slots=True, eq=False)
class _Asking:
    event: Document
    about: About


def _matches(
    page: Sequence[tuple[Subscription, set[str]]],
    asking: Mapping[str, Sequence[_Asking]],
    rights: Mapping[str, Right],
    digest_at: datetime,
) -> list[Document]:
    made: list[Document] = []
    for subscription, tokens in page:
        found = {one.event["_id"]: one for token in tokens & asking.keys() for one in asking[token]}
        for one in found.values():
            if matches(subscription, one.event, one.about, right=rights[subscription.organization]):
                made.append(delivery(subscription, one.event, digest_at=digest_at))
    return made


def matches(subscription: Subscription, event: Document, about: About, *, right: Right) -> bool:
    """Whether an event that its tokens found is for it: recent enough, about what it asks for, not kept from it."""
    if subscription.active_from is None or event["time"] <= subscription.active_from:
        return False
    if subscription.about not in (None, event["about_subscription"]):
        return False
    return may_be_told(
        about,
        organization=subscription.organization,
        rights=(right, subscription.right),
        subscription=subscription.id,
    )


def delivery(subscription: Subscription, event: Document, *, digest_at: datetime) -> Document:
    """Nothing done yet; due when its event is, or with the digest."""
    return {
        "_id": delivery_id(event["id"], subscription.id),
        "subscription": subscription.id,
        "organization": subscription.organization,
        "lane": lane_of(subscription.id, aggregate=event["aggregate"] if subscription.ordered else None),
        "order": {"revision": event["revision"], "rule": event["rule"]},
        "event": event["_id"],
        "channel": subscription.channel.value,
        "event_id": event["id"],
        "type": event["type"],
        "region": event["region"],
        "time": event["time"],
        "status": PENDING,
        "due_at": digest_at if subscription.digest else event["time"],
        "attempts": [],
        "created_at": now(),
        "expires_at": event["expires_at"],
        **({"inbox": subscription.role.value} if subscription.role else {}),
    }


async def hand_over(made: Sequence[Document], stores: Stores) -> None:
    """Put deliveries where workers find them; those that are there already stay as they are."""
    for begin in range(0, len(made), DELIVERIES_AT_ONCE):
        some = made[begin : begin + DELIVERIES_AT_ONCE]
        await stores.deliveries.add(some)
        crash_point("send.between")
        # After what they hold: a crash between the two is made up for when the batch comes again.
        await stores.lanes.put({one["lane"]: _lane(one) for one in some})
        await asyncio.sleep(0)


def _lane(delivery: Document) -> Document:
    return {
        "subscription": delivery["subscription"],
        "ordered": delivery["lane"] != delivery["subscription"],
        "mail": delivery["channel"] == Channel.EMAIL,
    }


def about_of(fact: Fact[Any], directory: Directory) -> About:
    """What decides who may be told of it."""
    envelope, body = fact.envelope, fact.body
    # Of a commitment: all its parties hear of what one of them does.
    regions = {*getattr(body, "regions", ()), *([envelope.region] if envelope.region else [])}
    own = isinstance(body, SubscriptionDisabled | DeliveryExhausted)
    return About(
        visibility=envelope.visibility,
        within=frozenset[str]().union(*map(directory.containing, regions)),
        assessors=getattr(body, "assessors", ()),
        owner=body.organization if own else None,
        subscription=body.subscription if own else None,
    )


def _event(fact: Fact[Any], directory: Directory, *, days: int) -> Document:
    envelope, body, about = fact.envelope, fact.body, about_of(fact, directory)
    return {
        # With the noun: an instrument and a cycle may have one name.
        "_id": f"{short(envelope.type).partition('.')[0]}/{body.aggregate}/{envelope.revision}/{envelope.rule}",
        "digest": fact.digest,
        "id": str(envelope.id),
        "type": envelope.type,
        "aggregate": body.aggregate,
        "revision": envelope.revision,
        "rule": envelope.rule,
        "region": envelope.region,
        "within": sorted(about.within),
        "visibility": about.visibility.value,
        "assessors": list(about.assessors),
        "owner": about.owner,
        "about_subscription": about.subscription,
        "time": envelope.time,
        "traceparent": fact.traceparent,
        "body": structured(envelope, fact.value),
        "expires_at": envelope.time + timedelta(days=days),
    }
