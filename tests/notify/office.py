"""A post office without its process: real stores, real dispatchers, real HTTP, endpoints that do as they are told."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from aiohttp import web
from aiokafka import ConsumerRecord
from cryptography.fernet import Fernet
from pydantic import SecretStr
from standardwebhooks import Webhook

from chassis import telemetry
from chassis.epochs import Epochs
from chassis.outbox import Request
from chassis.producer import Producer
from chassis.records import Fact, OutgoingFact, incoming, outgoing
from chassis.service import Parts
from chassis.settings import Settings
from chassis.store import Database, Document
from chassis.viewer import Viewer, viewer_of
from contracts import events
from contracts.assessment import AssessmentState, PredicateBasis, Stage, Status
from contracts.fact import Visibility
from contracts.notify import DeliveryExhausted, SubscriptionDisabled
from contracts.regions import Directory
from contracts.roles import TokenClaims
from services.notify.domain.right import Kind, Right
from services.notify.domain.signature import new_secret
from services.notify.domain.subscription import Secret, Subscription
from services.notify.keys import Keys
from services.notify.letters import Letters
from services.notify.measures import Measures
from services.notify.post import Post
from services.notify.sender import Sender
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import Deliveries
from services.notify.store.endpoints import Endpoints
from services.notify.store.events import Events
from services.notify.store.inbox import Inbox
from services.notify.store.lanes import Lanes
from services.notify.store.log import Log, Wanted
from services.notify.store.replays import Replays
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import Subscriptions
from services.notify.usecases import replay
from services.notify.usecases.attempt import Attempts
from services.notify.usecases.deliver import Stores, hear
from services.notify.usecases.dispatch import Dispatcher
from services.notify.usecases.judge import Judge
from services.notify.usecases.way import ByMail, ByWebhook
from tests.notify.made import subscription

WITHIN_S = 20.0
SECRET = new_secret()
DIRECTORY = Directory.load()
ADMINISTRATOR = viewer_of(TokenClaims(sub="admin", organization="kemenpanrb", roles=("administrator",)), DIRECTORY)


def manager(organization: str) -> Viewer:
    """Somebody who subscribes for a ministry."""
    return viewer_of(TokenClaims(sub="someone", organization=organization, roles=("pembina",)), DIRECTORY)


Sent = OutgoingFact


def sent(region: str, revision: int, *, public: bool = False, at: datetime | None = None) -> Sent:
    """What became of a region's assessment, as it is published."""
    body = AssessmentState(
        assessment=f"spbe-2023:{region}",
        region=region,
        instrument="spbe-2020",
        cycle="spbe-2023",
        period=2023,
        predicate_basis=PredicateBasis.ROUNDED,
        status=Status.PUBLISHED if public else Status.SUBMITTED,
        levels={Stage.SELF: {}},
    )
    return outgoing(
        events.ASSESSMENT_PUBLISHED if public else events.ASSESSMENT_SUBMITTED,
        body,
        key=region,
        revision=revision,
        time=at or datetime.now(UTC),
        visibility=Visibility.PUBLIC if public else Visibility.SUPERVISED,
        region=region,
    )


def state(region: str, revision: int, *, public: bool = False, at: datetime | None = None) -> Fact[AssessmentState]:
    """The same, as it is read from Kafka."""
    fact = sent(region, revision, public=public, at=at)
    return incoming(_record(fact.topic.name, region, fact.value, fact.envelope.headers()), AssessmentState)


def _record(
    topic: str, key: str, value: bytes, headers: Sequence[tuple[str, bytes]]
) -> ConsumerRecord[bytes | None, bytes | None]:
    return ConsumerRecord(
        topic=topic,
        partition=0,
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=key.encode(),
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=headers,
    )


@dataclass
class Endpoint:
    """Somebody's; `answers` says what it does with each message, by default it takes them."""

    url: str = ""
    answers: Callable[[str, int], Awaitable[web.StreamResponse]] | None = None
    came: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    """(id, bytes) of every message, in the order of their coming."""
    taken: list[str] = field(default_factory=list[str])
    secret: str = SECRET

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower().startswith("webhook-")}
        Webhook(self.secret).verify(body, {name.lower(): value for name, value in headers.items()})
        name = headers["webhook-id"]
        self.came.append((name, body))
        answer = web.Response(status=204)
        if self.answers is not None:
            answer = await self.answers(name, len(self.came))
        if 200 <= answer.status < 300:
            self.taken.append(name)
        return answer

    def times(self) -> Counter[str]:
        """Id → how often it came."""
        return Counter(name for name, _ in self.came)


async def agree(request: web.Request) -> web.Response:
    """To the handshake."""
    origin = request.headers.get("WebHook-Request-Origin", "")
    return web.Response(headers={"WebHook-Allowed-Origin": origin})


@asynccontextmanager
async def listening(endpoint: Endpoint, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[Endpoint]:
    """On a port of its own unless one is named."""
    app = web.Application()
    app.router.add_route("POST", "/", endpoint.handle)
    app.router.add_route("OPTIONS", "/", agree)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    server: Any = site._server  # pyright: ignore[reportPrivateUsage] -- the port that was taken is said nowhere else
    endpoint.url = f"http://{host}:{server.sockets[0].getsockname()[1]}/"
    try:
        yield endpoint
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Office:
    """One worker's stores."""

    stores: Stores
    endpoints: Endpoints
    replays: Replays
    log: Log
    inbox: Inbox
    keys: Keys
    settings: NotifySettings
    watch: telemetry.Telemetry
    parts: Parts
    measures: Measures

    @classmethod
    async def furnish(cls, database: Database, settings: Settings, **changes: Any) -> "Office":
        """On a database that others may share."""
        own = NotifySettings.model_validate(
            {
                **settings.model_dump(),
                "otel_exporter_otlp_endpoint": None,
                "webhook_signing_key": SecretStr("A" * 43 + "="),
                "webhook_sealing_keys": SecretStr(Fernet.generate_key().decode()),
                "webhook_lab": True,
                "webhook_schedule_s": (0, 0.05, 0.1, 0.2),
                "webhook_timeout_s": 1.0,
                **changes,
            }
        )
        watch = telemetry.start(own, service="test")
        parts = Parts(database, Producer(own, service="test"), Epochs(database), watch, DIRECTORY)
        stores = Stores(Events(parts), Subscriptions(parts), Rights(parts), Deliveries(parts), Lanes(parts))
        office = cls(
            stores,
            Endpoints(parts),
            Replays(parts),
            Log(parts),
            Inbox(parts),
            Keys(own),
            own,
            watch,
            parts,
            Measures(parts),
        )
        stored = (stores.events, stores.subscriptions, stores.deliveries, stores.lanes)
        for store in (*stored, office.replays, office.log, office.inbox):
            await store.prepare()
        return office

    async def subscribe(self, url: str | None, **changes: Any) -> Subscription:
        """One that listens, of Kemendagri unless said otherwise; its organization may be told of the nation."""
        sealed = (Secret(self.keys.seal(SECRET), datetime.now(UTC)),)
        made = replace(subscription(url=url, secrets=sealed), **changes)
        request = Request.of(actor="someone", key=made.id, asked=[])
        await self.stores.subscriptions.create(made, outcome={}, request=request)
        await self.grant(made.organization, Right(Kind.NATIONAL))
        return made

    @property
    def judge(self) -> Judge:
        """Of what people may be told."""
        return Judge(self.stores.events, self.stores.rights, self.stores.subscriptions)

    async def grant(self, organization: str, right: Right) -> None:
        await self.stores.rights.set(organization, right, viewer=ADMINISTRATOR)

    async def hear(self, *facts: Fact[Any]) -> None:
        """One batch."""
        await hear(facts, stores=self.stores, directory=DIRECTORY, settings=self.settings)

    async def hear_of_itself(self, of: str = "subscriptions") -> None:
        """What these have to tell, as if it had gone through Kafka."""
        body = {"subscriptions": SubscriptionDisabled, "deliveries": DeliveryExhausted}[of]
        for document in await self.parts.collection(of).find({}).to_list(None):
            for entry in document["outbox"]:
                if "topic" not in entry:  # a note
                    continue
                headers = [(name, value.encode()) for name, value in entry["headers"].items()]
                record = _record(entry["topic"], entry["key"], bytes(entry["value"]), headers)
                await self.hear(incoming(record, body))

    @asynccontextmanager
    async def open(self, **changes: Any) -> AsyncGenerator["asyncio.Future[list[None]]"]:
        """The dispatchers at work."""
        settings = self.settings.model_copy(update=changes)
        async with Sender(self.keys, settings, self.watch) as sender:
            ways = (ByWebhook(sender, settings), ByMail(self.post(settings), settings))
            attempts = [Attempts(way, self.stores, self.endpoints, self.measures, settings, DIRECTORY) for way in ways]
            running = asyncio.gather(*(Dispatcher(self.stores, by_one).run() for by_one in attempts))
            try:
                yield running
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    def post(self, settings: NotifySettings | None = None) -> Post:
        """The way to the mail server that the settings name."""
        settings = settings or self.settings
        return Post(Letters(settings, self.keys, DIRECTORY), settings)

    async def carry_replays(self) -> None:
        """For ever."""
        await replay.carry_replays(
            self.replays, self.stores, DIRECTORY, digest_every_s=self.settings.email_digest_every_s
        )

    async def lanes_in_use(self) -> int:
        """In how many something waits."""
        return await self.parts.collection("lanes").count_documents({"idle_at": {"$exists": False}})

    async def deliveries(self, organization: str = "kemendagri", **wanted: str) -> list[Document]:
        """The log of an organization, the oldest first."""
        found = await self.log.page(Wanted(**wanted), viewer=manager(organization), before=None, limit=200)
        return found[::-1]

    async def until(
        self, enough: Callable[[Mapping[str, int]], bool], organization: str = "kemendagri"
    ) -> Counter[str]:
        """Until the log's statuses are as wanted."""
        deadline = monotonic() + WITHIN_S
        while True:
            statuses = Counter[str](one["status"] for one in await self.deliveries(organization))
            if enough(statuses):
                return statuses
            assert monotonic() < deadline, statuses
            await asyncio.sleep(0.02)


async def soon(true: Callable[[], Awaitable[object]]) -> None:
    """Until it is."""
    async with asyncio.timeout(WITHIN_S):
        while not await true():
            await asyncio.sleep(0.02)


def ago(**before: float) -> datetime:
    return datetime.now(UTC) - timedelta(**before)
