"""A service as a whole: started and stopped in order, in each role, also while what it needs is away."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr

from chassis.service import Parts, Resources, provided, service
from chassis.settings import Settings
from chassis.store import Collection, Database
from lab.parts.process import ports
from tests.chassis.kafka import Kafka
from tests.chassis.proxy import proxy
from tests.chassis.workshop import Facts, Opens, Troubles, until

pytestmark = pytest.mark.real

Work = Callable[[Resources], Coroutine[Any, Any, None]]


class Notes:
    """A store."""

    def __init__(self, parts: Parts) -> None:
        self.notes: Collection = parts.collection("notes")
        self.prepared = False

    async def prepare(self) -> None:
        """Remember that it was asked to."""
        self.prepared = True


router = APIRouter(prefix="/notes/v1")


@router.get("/notes")
async def count(notes: Annotated[Notes, provided(Notes)]) -> int:
    """How many there are."""
    return await notes.notes.count_documents({})


@asynccontextmanager
async def running(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    """With its lifespan, and a client."""
    async with (
        LifespanManager(app, startup_timeout=30, shutdown_timeout=30) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://notes") as client,
    ):
        yield client


@pytest.fixture
def notes(
    settings: Settings, database: Database, logs_as_they_were: None
) -> Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]:
    """Runs a service that keeps notes."""

    def starting(
        *, at_start: Sequence[Work] = (), beside: Sequence[Work] = (), **changed: object
    ) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        mine = settings.model_copy(update={"mongodb_database": database.name, **changed})
        return running(service(mine, name="notes", routers=[router], stores=[Notes], at_start=at_start, beside=beside))

    return starting


Starts = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


# Browsers


async def test_pages_of_listed_origins_may_call_and_no_others(notes: Starts) -> None:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "If-Match, Authorization"}
    async with notes(cors_origins="https://portal.sumedangkab.go.id, https://portal.example") as client:
        for origin, allowed in [("https://portal.example", True), ("https://elsewhere.example", False)]:
            preflight = await client.options("/notes/v1/notes", headers=asked | {"Origin": origin})
            assert preflight.is_success == allowed
            for path in ("/notes/v1/notes", "/nothing"):
                answer = await client.get(path, headers={"Origin": origin})
                assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
                assert "ETag" in answer.headers["access-control-expose-headers"]


# Roles


@pytest.mark.parametrize(("role", "serves", "consumes"), [("api", 200, 0), ("worker", 404, 1), ("both", 200, 1)])
async def test_a_role_serves_or_consumes(
    opens: Opens,
    notes: Starts,
    kafka: Kafka,
    facts: Facts,
    troubles: Troubles,
    role: str,
    serves: int,
    consumes: int,
) -> None:
    worked: list[str] = []

    async def work(_: Resources) -> None:
        worked.append(role)
        await asyncio.Event().wait()

    async with notes(beside=[work], role=role) as http:
        assert (await http.get("/notes/v1/notes")).status_code == serves
        assert ((await http.get("/livez")).text, (await http.get("/readyz")).text) == ("ok", "ok")
        await asyncio.sleep(0)
        assert len(worked) == consumes

    await kafka.put_facts([facts.thing("thing")])
    async with opens(role=role) as workshop:
        assert await workshop.answers("/readyz", status=200) == "ok"
        if consumes:
            await kafka.caught_up(facts.group, facts.things)
        assert len(workshop.app.state.health.intakes) == 2 * consumes
    assert troubles.handled.total() == consumes


# Started


async def test_what_is_done_at_the_start_is_done_before_any_traffic_on_prepared_stores(notes: Starts) -> None:
    seen: list[bool] = []

    async def look(resources: Resources) -> None:
        store = resources[Notes]
        seen.append(store.prepared)
        await store.notes.insert_one({"_id": "first"})

    async with notes(at_start=[look]) as http:
        assert (await http.get("/notes/v1/notes")).json() == 1
    assert seen == [True]


async def test_two_services_in_one_process_do_not_meet(notes: Starts) -> None:
    async with notes() as one, notes() as other:
        for http in (one, other):
            assert (await http.get("/notes/v1/notes")).status_code == 200


async def test_nothing_is_created_before_the_lifespan_begins(
    settings: Settings, database: Database, logs_as_they_were: None
) -> None:
    made: list[Parts] = []

    def store(parts: Parts) -> Notes:
        made.append(parts)
        return Notes(parts)

    app = service(settings, name="notes", routers=[router], stores=[store])
    assert made == []
    assert not hasattr(app.state, "resources")


async def test_a_service_starts_and_serves_while_kafka_is_away(
    opens: Opens, notes: Starts, tmp_path: Path, troubles: Troubles
) -> None:
    (port,) = ports(tmp_path, 1)
    nowhere = {"kafka_bootstrap_servers": f"127.0.0.1:{port}"}
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # one line a second, of which this test wants none
    async with notes(role="api", **nowhere) as http:
        assert (await http.get("/notes/v1/notes")).status_code == 200
        assert (await http.get("/readyz")).text == "ok", "the outbox bridges it"
    async with opens(role="worker", **nowhere) as workshop:
        assert await workshop.answers("/readyz", status=503) == "Kafka is not there yet"
        assert await workshop.answers("/livez", status=200) == "ok"


# While it runs


async def test_a_background_task_that_breaks_is_an_alarm(notes: Starts, capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(_: Resources) -> None:
        raise RuntimeError("our bug")

    async with notes(beside=[broken]) as http:
        answer = await until(lambda: http.get("/livez"), lambda answer: answer.status_code == 503)
        assert answer.text.endswith(" ended")


async def test_a_request_while_the_database_is_away_is_told_when_to_come_again(
    notes: Starts, settings: Settings
) -> None:
    where = urlsplit(settings.mongodb_uri.get_secret_value())
    async with proxy(where.hostname or "", where.port or 0) as way:
        address = SecretStr(f"mongodb://127.0.0.1:{way.port}/?directConnection=true")
        async with notes(mongodb_uri=address, mongodb_timeout_ms=300) as http:
            assert (await http.get("/notes/v1/notes")).status_code == 200
            way.cut()
            answer = await http.get("/notes/v1/notes")
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert int(answer.headers["Retry-After"]) > 0
            assert "127.0.0.1" not in answer.text
            assert (await http.get("/livez")).status_code == 200
            way.mend()
            await until(lambda: http.get("/notes/v1/notes"), lambda answer: answer.status_code == 200)


async def test_metrics_are_on_a_port_of_their_own_which_is_free_again_afterwards(opens: Opens) -> None:
    async with opens() as workshop:
        port: int = workshop.app.state.metrics_port
        assert "livinglab_event_loop_lag_seconds" in await workshop.metrics()
        assert (await workshop.http.get("/metrics")).status_code == 404
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    server.close()
    await server.wait_closed()
