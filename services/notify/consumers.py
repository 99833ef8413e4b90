"""What this service hears: everything."""

from collections.abc import Sequence
from typing import Any

from chassis.consumer import Reactions
from chassis.records import Fact
from chassis.settings import Settings
from contracts import events, topics
from contracts.regions import Directory
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import Deliveries
from services.notify.store.events import Events
from services.notify.store.lanes import Lanes
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions
from services.notify.usecases import deliver as usecases
from services.notify.usecases.deliver import Stores

reactions = Reactions()


async def deliver(
    facts: Sequence[Fact[Any]],
    events: Events,
    subscriptions: Subscriptions,
    rights: Rights,
    deliveries: Deliveries,
    lanes: Lanes,
    directory: Directory,
    settings: Settings,
) -> None:
    """Every fact becomes a delivery for each subscription that asks for it and may be told."""
    assert isinstance(settings, NotifySettings)
    stores = Stores(events, subscriptions, rights, deliveries, lanes)
    await usecases.hear(facts, stores=stores, directory=directory, settings=settings)


for topic in topics.ALL:
    if topic is not topics.PUBLIC:  # what is on it is on the topic of its noun too
        body = next(event.body for event in events.ALL if event.topic is topic)
        reactions.to(topic, group=f"notify.{topic.name.removeprefix('livinglab.')}", of=body)(deliver)
