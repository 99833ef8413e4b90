"""The trace of each story goes through the real collector into the real Jaeger, and is read back with every edge."""

import asyncio
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from contracts.telemetry import spans
from lab import system, waterfall
from lab.cli import app
from lab.errors import LabError
from lab.parts import Part
from tests.acting import Region, Tokens, key
from tests.committing import Committing, drafted
from tests.listening import Listener, hears_of_everything
from tests.ops import tracing
from tests.watching import lacking, traced

pytestmark = [pytest.mark.jaeger, pytest.mark.timeout(1800)]  # Jaeger may have to be built first

WITHIN_S = 60.0


@pytest.fixture(scope="session")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Generator[Part]:
    with tracing.jaeger(tmp_path_factory.mktemp("jaeger")) as part:
        yield part


@pytest.fixture(scope="session")
def living_lab(jaeger: Part, tmp_path_factory: pytest.TempPathFactory) -> Generator[system.System]:
    """The same as for other tests, which are not run beside these; only that it tells a collector, as deployed."""
    directory = tmp_path_factory.mktemp("lab")
    collector = tracing.collector(tmp_path_factory.mktemp("collector"), traces_to=tracing.otlp(jaeger))
    with collector, pytest.MonkeyPatch.context() as patch:
        patch.setenv(system.ADDRESS_VARIABLES["otlp"], tracing.otlp(collector))
        yield system.up(directory, outlives_parent=False)
        system.down(directory)


@pytest.fixture
async def told(
    visitor: httpx.AsyncClient, living_lab: system.System, tokens: Tokens, listeners: Callable[[str], Listener]
) -> None:
    """A ministry hears of everything at two endpoints. One of them fails: the collector keeps every trace with an
    error, and of others one in twenty.
    """
    for name, behaviour in ((spans.RECEIVER, "take"), ("out-of-order", "fail")):
        listener = listeners(name)
        secret = await hears_of_everything(visitor, living_lab.services["notify"], tokens, listener.url)
        await listener.told(secrets=[secret], behaviour=behaviour)


@pytest.fixture
async def one(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, free_regions: Iterator[str]
) -> Committing:
    """An open commitment of two regions."""
    two = sorted(next(free_regions) for _ in range(2))
    drawn = await drafted(commitment, tokens, living_lab.directory / "pki", two[0], two)
    await drawn.open()
    return drawn


async def read_back(jaeger: Part, trace_id: str, story: str) -> Sequence[Mapping[str, Any]]:
    """The spans of a trace, once it has all the edges of its story; printed as an operator sees them."""
    found: list[dict[str, Any]] = []
    lacks = lacking(spans.EDGES[story])
    try:
        async with asyncio.timeout(WITHIN_S):
            while not found or lacks(found):
                await asyncio.sleep(0.2)
                try:
                    kept = await asyncio.to_thread(waterfall.fetch, trace_id, jaeger.address, jaeger=True)
                except LabError:  # not decided on yet
                    continue
                found = [asdict(span) for span in kept]
    except TimeoutError as error:
        raise AssertionError(f"trace {trace_id} lacks {found and lacks(found)}") from error
    shown = CliRunner().invoke(app, ["trace", trace_id, "--jaeger", jaeger.address])
    assert shown.exit_code == 0, shown.output
    print(f"\n{story}: {len(spans.EDGES[story])} edges of {len(found)} spans\n{shown.output}")
    return found


async def test_a_submission_is_read_back_to_the_ministrys_receiver(region: Region, jaeger: Part, told: None) -> None:
    await region.open()
    await region.fill(3)
    trace_id, header = traced()
    assert (await region.submit(**header)).status_code == 200
    found = await read_back(jaeger, trace_id, "A region submits")
    edges = spans.EDGES["A region submits"]
    for place in {place for edge in edges for place in edge}:
        assert lacking(edges)([span for span in found if (span["service"], span["name"]) != place])


async def test_a_signature_is_read_back_to_the_ministrys_receiver(one: Committing, jaeger: Part, told: None) -> None:
    trace_id, header = traced()
    text = (await one.get())["text_sha256"]
    signed = await one.sign(one.initiator, text_sha256=text, idempotency=key() | header)
    assert signed.status_code == 200, signed.text
    await read_back(jaeger, trace_id, "A signatory signs")


async def test_a_follow_up_is_read_back_to_the_ministrys_receiver(one: Committing, jaeger: Part, told: None) -> None:
    trace_id, header = traced()
    await one.follow_up(one.initiator, **header)
    await read_back(jaeger, trace_id, "A region follows up")


def test_a_trace_that_nobody_sent_is_not_there(jaeger: Part) -> None:
    with pytest.raises(LabError, match="has no trace"):
        waterfall.fetch(uuid4().hex, jaeger.address, jaeger=True)
