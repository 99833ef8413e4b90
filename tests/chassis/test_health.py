"""Alive means that a restart would not help; ready means that traffic helps somebody."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chassis.health import FRESH_S, NO_PROGRESS_S, Health, routes
from chassis.intake import Intake
from chassis.settings import Settings
from chassis.store import Database, connect
from lab.parts.process import ports
from tests.chassis.kafka import Kafka
from tests.chassis.workshop import Facts, Opens, Running, Troubles, until

LONG_S = NO_PROGRESS_S + 1

# Without any server


@pytest.fixture
async def nowhere(tmp_path: Path) -> AsyncGenerator[Database]:
    """A MongoDB that is away."""
    (port,) = ports(tmp_path, 1)
    settings = Settings.model_validate({"mongodb_uri": f"mongodb://127.0.0.1:{port}", "mongodb_timeout_ms": 100})
    client, database = connect(settings, service="test")
    yield database
    client.close()


@pytest.fixture
def alone(nowhere: Database) -> Health:
    """An api without its MongoDB."""
    return Health(nowhere, [], consuming=lambda: False)


async def test_without_its_database_a_process_is_alive_and_not_ready(alone: Health) -> None:
    assert await alone.trouble_alive() is None
    assert await alone.trouble_ready() == "MongoDB does not answer"


async def test_a_process_whose_background_task_ended_wants_to_be_restarted(alone: Health) -> None:
    alone.failed = "Relay.sweep"
    assert await alone.trouble_alive() == "Relay.sweep ended"


async def test_probes_answer_in_text_for_people(alone: Health) -> None:
    app = FastAPI()
    app.include_router(routes(lambda: alone))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab") as client:
        live, ready = await client.get("/livez"), await client.get("/readyz")
    assert (live.status_code, live.text) == (200, "ok")
    assert (ready.status_code, ready.text) == (503, "MongoDB does not answer")
    assert ready.headers["content-type"].startswith("text/plain")


# On the real parts


@pytest.fixture
async def busy(
    opens: Opens, kafka: Kafka, facts: Facts, troubles: Troubles
) -> AsyncGenerator[tuple[Running, Intake[Any]]]:
    """A worker in the middle of a batch, with more to come, measured just now."""
    troubles.gate.clear()
    await kafka.put_facts([facts.thing(f"thing-{n}") for n in range(10)])
    async with opens(batch_max_records=2) as running:
        await asyncio.wait_for(troubles.entered.wait(), timeout=20)
        (intake,) = [i for i in running.app.state.health.intakes if i.group == facts.group]
        await until(lambda: asyncio.sleep(0, intake.offsets.waiting), lambda waiting: waiting >= 8)
        yield running, intake
        troubles.gate.set()


@pytest.mark.real
async def test_a_worker_that_makes_no_progress_while_there_is_lag_wants_to_be_restarted(
    busy: tuple[Running, Intake[Any]], kafka: Kafka, facts: Facts, troubles: Troubles
) -> None:
    running, intake = busy
    assert (await running.http.get("/livez")).status_code == 200
    intake.progressed_at = monotonic() - LONG_S
    assert await running.answers("/livez", status=503) == f"no progress: {facts.group}"
    troubles.gate.set()
    await kafka.caught_up(facts.group, facts.things)
    assert await running.answers("/livez", status=200) == "ok"
    await until(lambda: asyncio.sleep(0, intake.offsets.waiting), lambda waiting: waiting == 0)
    intake.progressed_at = monotonic() - LONG_S
    assert (await running.http.get("/livez")).status_code == 200, "idle, because there is nothing to do"


@pytest.mark.real
async def test_who_stands_still_on_purpose_is_not_restarted(busy: tuple[Running, Intake[Any]], facts: Facts) -> None:
    running, intake = busy
    intake.progressed_at = monotonic() - LONG_S
    intake.trouble = "bug"
    assert (await running.http.get("/livez")).status_code == 200
    assert await running.answers("/readyz", status=503) == f"standing still: {facts.group} (bug)"
    intake.trouble = None


@pytest.mark.real
async def test_who_cannot_ask_kafka_is_not_blamed_for_the_lag_of_then(
    busy: tuple[Running, Intake[Any]], database: Database
) -> None:
    _, intake = busy
    health = Health(database, [intake], consuming=lambda: True)
    intake.progressed_at = monotonic() - LONG_S
    assert await health.trouble_alive() is not None
    intake.offsets.measured_at = monotonic() - FRESH_S - 1
    assert await health.trouble_alive() is None


@pytest.mark.real
async def test_who_has_no_database_or_no_consumers_yet_is_not_blamed(
    busy: tuple[Running, Intake[Any]], database: Database, nowhere: Database
) -> None:
    _, intake = busy
    intake.progressed_at = monotonic() - LONG_S
    assert await Health(database, [intake], consuming=lambda: False).trouble_alive() is None
    assert await Health(nowhere, [intake], consuming=lambda: True).trouble_alive() is None


@pytest.mark.real
async def test_a_worker_is_ready_once_its_consumers_were_started(
    busy: tuple[Running, Intake[Any]], database: Database
) -> None:
    _, intake = busy
    assert await Health(database, [intake], consuming=lambda: False).trouble_ready() == "Kafka is not there yet"
    assert await Health(database, [intake], consuming=lambda: True).trouble_ready() is None
    assert await Health(database, [], consuming=lambda: False).trouble_ready() is None, "an api"
