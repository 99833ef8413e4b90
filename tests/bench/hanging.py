"""An endpoint that hangs holds up nobody: 19 healthy ones, beside the same 19 while all 20 are healthy.

Events at a steady rate, each to all 20; measured from a fact's being put on Kafka to its coming in at an endpoint. The
20th takes every message and never answers, so that each attempt lasts until our time-out: one at first, then as many
as may be in flight to one endpoint, then it is spared, then single attempts show that it is still not back. All of this
lies within a round, for which the longest pause of the breaker is 15 s and not five minutes.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop
from rich.progress import Progress

from contracts.regions import Directory
from services.notify.domain.endpoint import OPENS_AFTER
from tests.bench.drain import WrongResult
from tests.bench.figures import Figure, percentile
from tests.bench.hearing import hearing
from tests.bench.posting import Publisher, furnished, keys_of, worker
from tests.bench.stage import Stage
from tests.notify.office import sent

PAIRS = int(os.environ.get("BENCH_PAIRS", "3"))
HEALTHY = 19
PER_S = 20
ROUND_S = 60
WARM_UP_S = 3
PAUSE_S = 0.5
"""The breaker's first; its longest is 30 times that. All else is as in production."""
DEADLINE_S = 30.0
REGIONS = [region.code for region in Directory.load()]


@dataclass(frozen=True, slots=True)
class Waited:
    """Of the 19, over a round."""

    p50_ms: float
    p99_ms: float
    worst_ms: float
    hung: int
    """Attempts at the one that hangs."""


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """In pairs, A B A B …, each round with a fresh database and a fresh worker."""
    task = progress.add_task("hanging", total=PAIRS * 2)
    pairs: list[tuple[Waited, Waited]] = []
    for _ in range(PAIRS):
        sides: list[Waited] = []
        for hangs in (True, False):
            sides.append(uvloop.run(_round(stage, hangs=hangs)))
            progress.console.print(f"  {'one hangs' if hangs else 'none hangs':<10} {sides[-1]}", highlight=False)
            progress.advance(task)
        pairs.append((sides[0], sides[1]))
    return [
        Figure.of("hanging_p99_ratio", "one/none", [one.p99_ms / none.p99_ms for one, none in pairs], target="<= 1.2"),
        Figure.of("hanging_p50_ratio", "one/none", [one.p50_ms / none.p50_ms for one, none in pairs]),
        Figure.of("hanging_p50", "ms", [one.p50_ms for one, _ in pairs]),
        Figure.of("hanging_p99", "ms", [one.p99_ms for one, _ in pairs]),
        Figure.of("hanging_worst", "ms", [one.worst_ms for one, _ in pairs]),
        Figure.of("hanging_none_p50", "ms", [none.p50_ms for _, none in pairs]),
        Figure.of("hanging_none_p99", "ms", [none.p99_ms for _, none in pairs]),
        Figure.of("hanging_none_worst", "ms", [none.worst_ms for _, none in pairs]),
        Figure.of("hanging_attempts", "", [one.hung for one, _ in pairs]),
    ]


async def _round(stage: Stage, *, hangs: bool) -> Waited:
    with stage.database() as database:
        async with furnished(stage, database) as office, hearing() as heard:
            for number in range(HEALTHY + 1):
                await office.subscribe(f"{heard.url}/{number}", id=f"bench-{number}")
            if hangs:
                heard.hanging.add(f"/{HEALTHY}")
            env = {**keys_of(office.settings), "WEBHOOK_PAUSE_S": str(PAUSE_S)}
            with worker(stage, database, env):
                published = await _steadily(stage)
                await heard.until(len(published) * (HEALTHY + 1 - hangs), within_s=DEADLINE_S)
            if hangs and not stage.mongo[database]["endpoints"].find_one({"failures": {"$gte": OPENS_AFTER}}):
                raise WrongResult(f"{len(heard.hung)} attempts hung, and the endpoint is not spared")
    counted = list(published.items())[WARM_UP_S * PER_S :]
    waits = [heard.came[f"/{number}", name] - at for name, at in counted for number in range(HEALTHY)]
    return _waited(waits, hung=len(heard.hung))


def _waited(waits: Sequence[float], *, hung: int) -> Waited:
    return Waited(percentile(waits, 0.5) * 1e3, percentile(waits, 0.99) * 1e3, max(waits) * 1e3, hung)


async def _steadily(stage: Stage) -> dict[str, float]:
    """Event's id → when it was put on Kafka, in seconds of `time.perf_counter`. Whatever becomes of the others."""
    publisher, published = Publisher(stage), dict[str, float]()
    begin = time.perf_counter()
    for number in range(ROUND_S * PER_S):
        fact = sent(REGIONS[number % len(REGIONS)], 1 + number // len(REGIONS))
        await asyncio.sleep(begin + number / PER_S - time.perf_counter())
        published[str(fact.envelope.id)] = publisher.publish(fact)
    publisher.close()
    return published
