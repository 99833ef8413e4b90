"""How long until a submission's score can be read, from the moment it was scheduled: open loop, no coordination.

At 20 a second through everything: POST the submission over HTTP, then ask the scoring API until it shows that
revision. Beside it the bare chain. At half the drain rate there are thousands a second, more than HTTP on two cores can
take: there the submissions are put on the topic at their times, and a score counts as readable when the broker has its
fact, which the worker sends after its majority writes. Beside it the bare loop, at the same rate.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from uuid import uuid4

import httpx
import uvloop
from rich.progress import Progress

from contracts import topics
from contracts.regions import Directory
from lab.parts import Part, service
from tests.bench import chain
from tests.bench.drain import CATALOGUE_GROUPS, WORKER_GROUP, Side, bare, drain_once, results, running, worker
from tests.bench.figures import Figure, percentile
from tests.bench.load import batch_producer, produce, send, send_catalogue, submissions
from tests.bench.reporting import DEADLINE_S, Reporter, open_loop, reporters
from tests.bench.stage import Stage

ROUNDS = 3
SLOW_PER_S, SLOW_S = 20, 15
FAST_S = 6
PROBE_EVENTS = 15_000
ASK_AGAIN_S = 0.004


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """Both rates, services and bare in turns."""
    task = progress.add_task("latency: 20 a second", total=ROUNDS * 4 + 1)
    send_catalogue(stage.kafka)
    stage.create_topics(chain.FIRST, chain.SECOND)

    def heard(name: str, latencies: Sequence[float]) -> None:
        p50, p99 = (percentile(latencies, share) * 1000 for share in (0.5, 0.99))
        progress.console.print(f"  {name:<20} p50 {p50:.1f} ms, p99 {p99:.1f} ms", highlight=False)
        found.setdefault(name, []).append((p50, p99))
        progress.advance(task)

    found: dict[str, list[tuple[float, float]]] = {}
    uvloop.run(_slow(stage, heard))
    regions = [region.code for region in Directory.load()]
    rate = drain_once(stage, regions, PROBE_EVENTS).per_second / 2
    progress.update(task, description=f"latency: {rate:.0f} a second", advance=1)
    for number in range(ROUNDS):
        for name, side in (("worker_half_rate", worker(stage)), ("bare_half_rate", bare(stage))):
            heard(name, _fast(stage, side, regions, rate, seed=number))
    figures = [Figure.of("latency_half_rate", "events/s", [rate])]
    for name, pairs in found.items():
        figures += [
            Figure.of(f"latency_{name}_p50", "ms", [p50 for p50, _ in pairs]),
            Figure.of(f"latency_{name}_p99", "ms", [p99 for _, p99 in pairs]),
        ]
    return figures


async def _slow(stage: Stage, heard: Callable[[str, Sequence[float]], None]) -> None:
    with stage.database() as scores, stage.database() as assessments, stage.database() as plain:
        for group, topic in CATALOGUE_GROUPS.items():
            stage.begin_at(group, topic, {0: 0})
        stage.begin_at(WORKER_GROUP, topics.ASSESSMENT.name, stage.ends(topics.ASSESSMENT.name))
        env = dict(stage.environment)
        with (
            service(stage.directory / "a", "assessment", env | {"MONGODB_DATABASE": assessments}) as assessment,
            service(stage.directory / "s", "scoring", env | {"MONGODB_DATABASE": scores}) as scoring,
        ):
            async with (
                httpx.AsyncClient(base_url=f"{assessment.address}/assessment/v1", timeout=DEADLINE_S) as writing,
                httpx.AsyncClient(base_url=f"{scoring.address}/scoring/v1", timeout=DEADLINE_S) as reading,
                chain.running(stage.kafka, stage.environment["MONGODB_URI"], plain) as bare_chain,
            ):
                regions = reporters(stage, writing, SLOW_PER_S * SLOW_S)
                for region in regions:
                    await region.fill()
                body = submissions(["32.11"], 1, seed=1)[0].fact.value
                for number in range(ROUNDS):
                    if number:
                        for region in regions:
                            await region.reopen()
                    reads = [partial(_submit_and_read, region, reading) for region in regions]
                    heard("chain", await open_loop(reads, per_s=SLOW_PER_S))

                    async def one() -> None:
                        await bare_chain.submit(uuid4().hex.encode(), body)

                    heard("bare_chain", await open_loop([one] * len(regions), per_s=SLOW_PER_S))


async def _submit_and_read(region: Reporter, reading: httpx.AsyncClient) -> None:
    """Returns when the scoring API shows the revision that was submitted."""
    revision = await region.submit()
    while True:
        shown = await reading.get(f"/scores/{region.id}", headers=region.token)
        if shown.status_code == 200 and shown.json()["revision"] >= revision:
            return
        await asyncio.sleep(ASK_AGAIN_S)


def _fast(stage: Stage, side: Side, regions: Sequence[str], rate: float, *, seed: int) -> list[float]:
    """Seconds from the time at which each submission was scheduled to the time at which the broker took its score."""
    count = round(rate * FAST_S)
    submitted = submissions(regions, count, seed=seed, first_revision=2)
    warming = submissions(regions, len(regions), seed=seed)
    begin = stage.ends(topics.ASSESSMENT.name)
    with stage.database() as database, running(stage, side, database, begin=begin) as part:
        _wait_for(stage, part, len(warming), lambda: send(stage.kafka, warming))
        results_begin = stage.ends(topics.SCORE.name)
        scheduled: dict[str, float] = {}

        def paced() -> None:
            producer = batch_producer(stage.kafka)
            start = time.time() + 0.2
            for number, submission in enumerate(submitted):
                at = scheduled[submission.result] = start + number / rate
                while (early := at - time.time()) > 0:
                    producer.poll(0)
                    time.sleep(min(early, 0.001))
                produce(producer, topics.ASSESSMENT.name, submission)
            producer.flush()

        _wait_for(stage, part, count, paced)
    first: dict[str, float] = {}
    for result, at in results(stage, results_begin):
        first.setdefault(result, at)
    return [max(0.0, first[result] - at) for result, at in scheduled.items()]


def _wait_for(stage: Stage, part: Part, count: int, act: Callable[[], None]) -> None:
    """Do it, and wait until as many results more are on the topic."""
    before = sum(stage.ends(topics.SCORE.name).values())
    act()
    deadline = time.monotonic() + DEADLINE_S
    while sum(stage.ends(topics.SCORE.name).values()) - before < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not {count} results within {DEADLINE_S:.0f} s; the log ends:\n{part.log_tail()}")
        time.sleep(0.02)
