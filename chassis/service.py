"""Puts a service together: what each of them is made of, started and stopped in the right order."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from faststream.kafka import KafkaBroker
from prometheus_client import start_http_server
from pymongo.errors import PyMongoError
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_delay, wait_fixed

from chassis import body, health, openapi, problems, ratelimit, telemetry
from chassis.auth import Tokens, actor_in
from chassis.catchup import CatchUp
from chassis.consumer import Reactions, start_broker, stop_broker
from chassis.deadletters import DeadLetters
from chassis.ending import Ending, told_by_signals
from chassis.epochs import Epochs
from chassis.intake import Intake, Toolbox
from chassis.observe import Observe
from chassis.outbox import Outbox
from chassis.positions import Positions
from chassis.problem import Unavailable
from chassis.producer import KafkaDown, Producer
from chassis.relay import measure
from chassis.settings import Settings
from chassis.store import Collection, Database, connect, in_short, is_down
from contracts.regions import Directory

log = structlog.stdlib.get_logger()

T = TypeVar("T")
DATABASE_WAIT_S = 60.0
"""A process that starts before its database waits for so long, then ends with the reason."""
DEAD_LETTERS_COUNT_S = 5.0
BESIDE_RETRY_S = 1.0
CORS_MAX_AGE_S = 600


@dataclass(frozen=True)
class Parts:
    """What a store may be made of."""

    database: Database
    producer: Producer
    epochs: Epochs
    telemetry: telemetry.Telemetry
    directory: Directory
    outboxes: list[Outbox] = field(default_factory=list[Outbox])

    def collection(self, name: str) -> Collection:
        """A collection of the service's own database."""
        return self.database[name]

    def outbox(self, collection: str) -> Outbox:
        """Aggregates of a collection whose facts are relayed by this process."""
        outbox = Outbox(self.database, collection, producer=self.producer, epochs=self.epochs, telemetry=self.telemetry)
        self.outboxes.append(outbox)
        return outbox


class Store(Protocol):
    """All queries about one noun of a service."""

    async def prepare(self) -> None:
        """Create its indexes; harmless to repeat."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A store that holds more than the service's own connections: processes, say."""

    async def close(self) -> None:
        """Give it back, at the end."""
        ...


Resources = Mapping[type, Any]
Work = Callable[[Resources], Coroutine[Any, Any, None]]


def provided(wanted: type[T]) -> Any:
    """FastAPI dependency: the service's one instance of a store."""

    async def find(request: Request) -> T:  # not async, FastAPI would send it through a thread: 0.1 ms each
        return request.app.state.resources[wanted]

    return Depends(find)


def service(
    settings: Settings,
    *,
    name: str,
    routers: Sequence[APIRouter],
    stores: Sequence[Callable[[Parts], Store]],
    reactions: Reactions | None = None,
    at_start: Sequence[Work] = (),
    beside: Sequence[Work] = (),
    in_front: Sequence[Work] = (),
    tables: Mapping[str, int] | None = None,
    forms: Sequence[str] = (),
    files: Mapping[str, int] | None = None,
    examples: Path | None = None,
) -> FastAPI:
    """A service: HTTP in front, reactions behind, relays in every role. Nothing is created before its lifespan begins.

    at_start: done once, before traffic. beside: runs for ever in workers; in_front: where HTTP is served. Both are
    begun again after a dependency was down, all get the stores by their types. tables: paths that also take CSV → how
    many bytes. forms: paths that browsers and mail programs post to, whose body nobody reads. files: paths that take
    a PDF or an image as their body → how many bytes.
    examples: a file with one of each operation (`chassis.openapi`).
    """
    telemetry.configure_logs(settings, service=name)
    watch = telemetry.start(settings, service=name)
    serves, consumes = settings.role != "worker", settings.role != "api"

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(watch.provider.shutdown)
            client, database = connect(settings, service=name)
            stack.push_async_callback(asyncio.to_thread, client.close)  # it tells the server, and waits
            producer = Producer(settings, service=name)
            stack.push_async_callback(producer.stop)
            directory = Directory.load(settings.regions_file)
            epochs = Epochs(database)
            parts = Parts(database, producer, epochs, watch, directory)
            letters = DeadLetters(database, watch.metrics)
            resources: dict[type, Any] = {
                Settings: settings,
                Directory: directory,
                DeadLetters: letters,
                telemetry.Telemetry: watch,
                Ending: (ending := Ending()),
            }
            stack.enter_context(told_by_signals(ending))
            made = [store(parts) for store in stores]
            resources.update({type(store): store for store in made})
            for store in made:
                if isinstance(store, Closing):
                    stack.push_async_callback(store.close)
            await _prepare([letters, *parts.outboxes, *made], at_start, resources)
            toolbox = Toolbox(
                producer=producer,
                epochs=epochs,
                positions=Positions(database),
                letters=letters,
                catch_up=CatchUp(settings, service=name),
                telemetry=watch,
                stand_still_s=settings.stand_still_s,
            )
            intakes = reactions.intakes(toolbox, resources) if reactions and consumes else []
            consumers = _Consumers(settings, intakes, service=name)
            app.state.resources = resources
            app.state.directory = directory
            app.state.health = health.Health(database, intakes, consuming=consumers.running)
            app.state.tokens = Tokens(
                issuer=settings.oidc_issuer, audience=settings.oidc_audience, address=settings.oidc_address
            )
            stack.push_async_callback(app.state.tokens.close)

            tasks = [telemetry.watch_loop(watch.metrics)]
            relays = [outbox.relay for outbox in parts.outboxes]
            tasks += [loop for relay in relays for loop in (relay.by_hints(), relay.sweep())]
            tasks += [measure(relays, watch.metrics)]
            if intakes:
                tasks += [loop for intake in intakes for loop in (intake.tick(), intake.retry_letters())]
                tasks += [_count_letters(letters, watch.metrics)]
            if consumes:
                tasks += [_lasting(work, resources) for work in beside]
            if serves:
                tasks += [_lasting(work, resources) for work in in_front]
            stack.push_async_callback(_cancel, [_supervised(task, app.state.health) for task in tasks])
            if intakes:
                starting = _supervised(consumers.start(), app.state.health)
                stack.push_async_callback(consumers.stop, starting)
            server, _thread = start_http_server(
                settings.metrics_port, settings.metrics_host, registry=watch.metrics.registry
            )
            stack.callback(server.server_close)
            stack.push_async_callback(asyncio.to_thread, server.shutdown)  # it waits for the thread that serves
            app.state.metrics_port = server.server_port
            telemetry.spare_the_loop_collections()
            log.info("ready", role=settings.role, metrics_port=server.server_port)
            yield
            log.info("stopping")

    app = FastAPI(
        title=f"Living Lab: {name}",
        version="1",
        lifespan=lifespan,
        openapi_url=f"/{name}/v1/openapi.json",  # beside the operations: one address serves all services
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    openapi.describe(app, examples)
    problems.install(app)
    app.add_exception_handler(PyMongoError, _database_problem)
    app.include_router(health.routes(lambda: app.state.health))
    if serves:
        # Not `include_router`: since 0.137 FastAPI walks a tree of them at each request, 0.3 ms of it.
        app.router.routes.extend(route for router in routers for route in router.routes)
    app.add_middleware(
        body.StrictJson,
        max_bytes=settings.body_max_bytes,
        max_depth=settings.body_max_depth,
        tables=tables,
        forms=forms,
        files=files,
    )
    app.add_middleware(ratelimit.RateLimit, per_minute=settings.rate_limit_per_minute, actor_in=actor_in)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
        allow_methods=["GET", "POST", "PUT", "PATCH"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "Last-Event-ID",
            "traceparent",
        ],
        expose_headers=["Content-Disposition", "ETag", "Idempotent-Replayed", "Link", "Location", "Retry-After"],
        max_age=CORS_MAX_AGE_S,
    )
    app.add_middleware(Observe, telemetry=watch)
    return app


class OutcomeUnknown(Unavailable):
    """A change whose answer from the database was lost: it may have been made."""

    detail = (
        "The database does not answer, so it is not known whether the change was made. After `Retry-After` seconds "
        "send the very same request again, with the same `Idempotency-Key` if it had one: nothing is done twice. "
        "412 then means that it was made, or that somebody else changed the same: GET shows which."
    )
    detail_id = (
        "Basis data tidak menjawab, sehingga belum diketahui apakah perubahan sudah tersimpan. Setelah `Retry-After` "
        "detik kirim lagi permintaan yang sama, dengan `Idempotency-Key` yang sama bila ada: tidak ada yang dobel. "
        "Bila jawabannya 412, perubahan itu sudah tersimpan atau orang lain mengubahnya: GET menunjukkan yang mana."
    )


async def _database_problem(request: Request, error: Exception) -> Response:
    if not is_down(error):
        raise error
    log.warning("the database is down", error=in_short(error))
    return problems.respond(Unavailable() if request.method == "GET" else OutcomeUnknown(), request.scope)


class _Consumers:
    """FastStream's broker, once Kafka is there."""

    def __init__(self, settings: Settings, intakes: Sequence[Intake[Any]], *, service: str) -> None:
        self._settings = settings
        self._intakes = intakes
        self._service = service
        self._broker: KafkaBroker | None = None

    def running(self) -> bool:
        """Whether consumers were started."""
        return self._broker is not None

    async def start(self) -> None:
        self._broker = await start_broker(self._settings, self._intakes, service=self._service)

    async def stop(self, starting: asyncio.Task[None]) -> None:
        """Finish running batches, leave the groups."""
        if not starting.done():
            starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        if self._broker:
            await stop_broker(self._broker, self._intakes)


class _Preparable(Protocol):
    async def prepare(self) -> None: ...


def _say_it_waits(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("the database is not ready", error=in_short(error) if error else None)


@retry(
    retry=retry_if_exception_type(PyMongoError),
    wait=wait_fixed(1),
    stop=stop_after_delay(DATABASE_WAIT_S),
    before_sleep=_say_it_waits,
    reraise=True,
)
async def _prepare(stores: Sequence[_Preparable], at_start: Sequence[Work], resources: Resources) -> None:
    for store in stores:
        await store.prepare()
    for work in at_start:
        await work(resources)


async def _lasting(work: Work, resources: Resources) -> None:
    while True:
        try:
            await work(resources)
        except (KafkaDown, PyMongoError) as error:
            if isinstance(error, PyMongoError) and not is_down(error):
                raise
            log.warning("a dependency is down", work=work.__qualname__, error=in_short(error), retry_s=BESIDE_RETRY_S)
            await asyncio.sleep(BESIDE_RETRY_S)


def _supervised(work: Coroutine[Any, Any, None], health: health.Health) -> "asyncio.Task[None]":
    task = asyncio.create_task(work)

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            health.failed = work.__qualname__
            log.critical("a background task ended: this process must be restarted", exc_info=error)

    task.add_done_callback(ended)
    return task


async def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _count_letters(letters: DeadLetters, metrics: telemetry.Metrics) -> None:
    while True:
        try:
            metrics.dead_letters_open.set(await letters.count_open())
        except PyMongoError as error:
            log.warning("dead letters not counted", error=in_short(error))
        await asyncio.sleep(DEAD_LETTERS_COUNT_S)
