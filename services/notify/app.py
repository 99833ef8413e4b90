"""The notify service: every matching event reaches every subscriber at least once, or its owner is told."""

from pathlib import Path

from fastapi import FastAPI

from chassis.ending import Ending
from chassis.service import Resources, service
from chassis.settings import Settings
from chassis.telemetry import Telemetry
from contracts.regions import Directory
from services.notify import api, consumers
from services.notify.keys import Keys
from services.notify.letters import CONFIRMATIONS, UNSUBSCRIPTIONS, Letters
from services.notify.measures import Measures
from services.notify.post import Post
from services.notify.sender import Sender
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import Deliveries
from services.notify.store.endpoints import Endpoints
from services.notify.store.events import Events
from services.notify.store.inbox import Inbox
from services.notify.store.lanes import Lanes
from services.notify.store.log import Log
from services.notify.store.replays import Replays
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions
from services.notify.streams import Streams
from services.notify.tail import Source, Tail
from services.notify.usecases import replay, stream
from services.notify.usecases.attempt import Attempts
from services.notify.usecases.deliver import Stores
from services.notify.usecases.dispatch import Dispatcher
from services.notify.usecases.way import ByMail, ByWebhook, Way


def create_app(settings: NotifySettings | None = None) -> FastAPI:
    """Nothing is created before its lifespan begins."""
    return service(
        settings or NotifySettings(),
        name="notify",
        examples=Path(__file__).with_name("examples.json"),
        routers=api.routers,
        stores=[Deliveries, Endpoints, Events, Inbox, Lanes, Log, Measures, Replays, Rights, Streams, Subscriptions],
        reactions=consumers.reactions,
        at_start=[check_settings],
        beside=[send_webhooks, send_letters, carry_replays, measure],
        in_front=[follow, keep_rights],
        forms=[CONFIRMATIONS, UNSUBSCRIPTIONS],
    )


async def check_settings(resources: Resources) -> None:
    """Without keys, or with a mail server that is none, no process starts. Raises ValueError that says what to do."""
    settings: NotifySettings = resources[Settings]
    Post(Letters(settings, Keys(settings), resources[Directory]), settings)


async def send_webhooks(resources: Resources) -> None:
    """What is due is sent, and tried again."""
    settings: NotifySettings = resources[Settings]
    async with Sender(Keys(settings), settings, resources[Telemetry]) as sender:
        await _dispatcher(ByWebhook(sender, settings), resources).run()


async def send_letters(resources: Resources) -> None:
    """So are e-mails."""
    settings: NotifySettings = resources[Settings]
    post = Post(Letters(settings, Keys(settings), resources[Directory]), settings)
    await _dispatcher(ByMail(post, settings), resources).run()


async def carry_replays(resources: Resources) -> None:
    """What was asked for again becomes deliveries."""
    settings: NotifySettings = resources[Settings]
    every_s = settings.email_digest_every_s
    await replay.carry_replays(resources[Replays], _stores(resources), resources[Directory], digest_every_s=every_s)


async def measure(resources: Resources) -> None:
    """What waits to be handed over is watched."""
    await resources[Measures].watch(resources[Deliveries], resources[Lanes])


async def follow(resources: Resources) -> None:
    """What happens is told on the live streams."""
    settings: NotifySettings = resources[Settings]
    await Tail(Source(settings, resources[Directory]), resources[Streams], Keys(settings)).run()


async def keep_rights(resources: Resources) -> None:
    """The live streams tell nobody what they may not be told any more."""
    settings: NotifySettings = resources[Settings]
    every_s = settings.stream_rights_every_s
    await stream.keep_rights(resources[Streams], resources[Rights], resources[Ending], every_s=every_s)


def _dispatcher(way: Way, resources: Resources) -> Dispatcher:
    stores, settings, directory = _stores(resources), resources[Settings], resources[Directory]
    return Dispatcher(stores, Attempts(way, stores, resources[Endpoints], resources[Measures], settings, directory))


def _stores(resources: Resources) -> Stores:
    return Stores(*(resources[store] for store in (Events, Subscriptions, Rights, Deliveries, Lanes)))
