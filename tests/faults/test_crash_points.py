"""`kill -9` between any two steps of a command, a relay or a batch: nothing is lost, nothing happens twice."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable

import pytest

from chassis.crash import POINTS
from lab.parts import Part
from services.assessment import catalogue
from tests.faults.ground import Ground, died, restart, running
from tests.faults.portal import Ledger, Portal
from tests.faults.violations import no_violations

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

Portals = Callable[..., list[Portal]]

# At each start the catalogue is offered to the database again, and refused: so many visits of `cas.before`.
AT_START = len(catalogue.instruments()) + len(catalogue.cycles())
COMMANDS = {"open": 1, "fill": 2, "submit": 3}
"""A portrait's command → which write of the process it is."""

SENDS_LATE = {"KAFKA_LINGER_MS": "200"}
"""Far longer than what comes after: whoever goes on before Kafka has acknowledged dies with facts unsent."""

IN_COMMANDS = [
    pytest.param(f"{point}:{number + AT_START * (point == 'cas.before')}", id=f"{point}-{command}")
    for point in POINTS
    if point.startswith("cas.")
    for command, number in COMMANDS.items()
]
IN_RELAYS = [point for point in POINTS if point.startswith("relay.")]
IN_BATCHES = [point for point in POINTS if point.startswith("batch.")]


async def restarted_at(part: Part, point: str) -> None:
    """Stop it, and start it again as a process that will die at this point."""
    await asyncio.to_thread(part.stop)
    part.env["CRASH_AT"] = point
    try:
        part.launch()
    finally:
        del part.env["CRASH_AT"]


@pytest.fixture(scope="module")
async def assessment(ground: Ground) -> AsyncGenerator[Part]:
    """Its first starts are all cut short, while it publishes its catalogue."""
    part = ground.service("assessment", **SENDS_LATE)
    for point in ("cas.after:5", "relay.acknowledged", "relay.archived"):
        await restarted_at(part, point)
        assert await died(part) == -signal.SIGKILL
    async with running(part):
        yield part


@pytest.fixture(scope="module")
async def scoring(ground: Ground, assessment: Part) -> AsyncGenerator[Part]:
    part = ground.service("scoring", BATCH_MAX_RECORDS="10", **SENDS_LATE)
    async with running(part):
        yield part


@pytest.mark.parametrize("crash_at", IN_COMMANDS)
async def test_a_process_dies_in_a_command(
    crash_at: str, ground: Ground, assessment: Part, scoring: Part, portals: Portals, ledger: Ledger
) -> None:
    unanswered = ledger.unanswered()
    (portal,) = portals(1, assessment)
    await restarted_at(assessment, crash_at)
    await asyncio.to_thread(assessment.wait_ready)
    portraying = asyncio.create_task(portal.portray())
    assert await died(assessment) == -signal.SIGKILL
    await restart(assessment)
    await portraying
    await portal.correct()
    await no_violations(ground, ledger)
    assert ledger.unanswered() > unanswered, "nobody noticed that the process died"


@pytest.mark.parametrize("point", IN_RELAYS)
async def test_a_process_dies_in_a_relay(
    point: str, ground: Ground, assessment: Part, scoring: Part, portals: Portals, ledger: Ledger
) -> None:
    crowd = portals(3, assessment)
    for portal in crowd:
        await portal.open()
        await portal.fill()
    await no_violations(ground, ledger)
    # Nothing is pending any more: what it will die over is the relay of a submission.
    await restarted_at(assessment, point)
    await asyncio.to_thread(assessment.wait_ready)
    submitting = asyncio.gather(*(portal.submit() for portal in crowd))
    assert await died(assessment) == -signal.SIGKILL
    await restart(assessment)
    await submitting
    await no_violations(ground, ledger)


@pytest.mark.parametrize("point", IN_BATCHES)
async def test_a_process_dies_in_a_batch(
    point: str, ground: Ground, assessment: Part, scoring: Part, portals: Portals, ledger: Ledger
) -> None:
    await asyncio.to_thread(scoring.stop)
    await asyncio.gather(*(portal.portray() for portal in portals(25, assessment)))
    await restarted_at(scoring, f"{point}:2")
    assert await died(scoring) == -signal.SIGKILL
    await restart(scoring)
    await no_violations(ground, ledger)


def test_every_point_is_tried() -> None:
    tried = {str(param.id).rpartition("-")[0] for param in IN_COMMANDS}
    # test_webhooks, test_signing
    sending = {point for point in POINTS if point.startswith(("send.", "sign.", "seal."))}
    assert tried | {*IN_RELAYS, *IN_BATCHES} == set(POINTS) - sending
