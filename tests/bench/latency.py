"""How long until a submission's score can be read, from the moment it was scheduled: open loop, no coordination.

At 20 a second through everything: POST the submission over HTTP, then ask the scoring API until it shows that
revision. Beside it the bare chain. At half the drain rate there are thousands a second, more than HTTP on two cores can
take: there the submissions are put on the topic at their times, and a score counts as readable when the broker has its
fact, which the worker sends after its majority writes. Beside it the bare loop, at the same rate.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
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
from tests.bench.load import CYCLE, INDICATORS, batch_producer, produce, send, send_catalogue, submissions
from tests.bench.stage import Stage

ROUNDS = 3
SLOW_PER_S, SLOW_S = 20, 15
FAST_S = 6
PROBE_EVENTS = 15_000
ASK_AGAIN_S = 0.004
DEADLINE_S = 30.0


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
                codes = [
                    region.code for region in Directory.load() if region.kind != "province" and region.self_governing
                ]
                regions = [
                    _Region(code, stage.token(code, "penanggung-jawab", "koordinator-spbe"), writing, reading)
                    for code in codes
                ]
                regions = regions[: SLOW_PER_S * SLOW_S]
                for region in regions:
                    await region.fill()
                body = submissions(["32.11"], 1, seed=1)[0].fact.value
                for number in range(ROUNDS):
                    if number:
                        for region in regions:
                            await region.reopen()
                    heard("chain", await _open_loop([region.submit_and_read for region in regions]))

                    async def one() -> None:
                        await bare_chain.submit(uuid4().hex.encode(), body)

                    heard("bare_chain", await _open_loop([one] * len(regions)))


async def _open_loop(jobs: Sequence[Callable[[], Awaitable[None]]]) -> list[float]:
    """Start one every 1/SLOW_PER_S seconds whatever became of the others; seconds from its time until it was done."""
    begin = time.perf_counter()

    async def timed(scheduled: float, job: Callable[[], Awaitable[None]]) -> float:
        await asyncio.sleep(scheduled - time.perf_counter())
        async with asyncio.timeout(DEADLINE_S):
            await job()
        return time.perf_counter() - scheduled

    return await asyncio.gather(*(timed(begin + 1 + n / SLOW_PER_S, job) for n, job in enumerate(jobs)))


class _Region:
    """Somebody who fills, submits and reopens one assessment."""

    def __init__(
        self, code: str, token: dict[str, str], writing: httpx.AsyncClient, reading: httpx.AsyncClient
    ) -> None:
        self._token = token
        self._writing = writing
        self._reading = reading
        self._code = code
        self._id = f"{CYCLE}:{code}"
        self._tag = ""

    async def fill(self) -> None:
        """Open, and answer everything."""
        await self._asked("POST", "/assessments", json={"region": self._code, "cycle": CYCLE}, key=True)
        whole = (await self._asked("GET", f"/assessments/{self._id}")).json()
        answers = [{"number": a["number"], "etag": a["etag"], "level": 3} for a in whole["answers"]]
        assert len(answers) == INDICATORS
        await self._asked("PATCH", f"/assessments/{self._id}/answers", json={"answers": answers})
        self._tag = (await self._asked("GET", f"/assessments/{self._id}/progress")).headers["ETag"]
        self._tag = (await self._asked("POST", f"/assessments/{self._id}/minutes", key=True)).headers["ETag"]

    async def reopen(self) -> None:
        """Take it back, so that it can be submitted again."""
        answer = await self._asked("POST", f"/assessments/{self._id}/reopening", key=True)
        self._tag = answer.headers["ETag"]

    async def submit_and_read(self) -> None:
        """Returns when the scoring API shows the revision that was submitted."""
        answer = await self._asked("POST", f"/assessments/{self._id}/submission", key=True)
        self._tag = answer.headers["ETag"]
        revision = answer.json()["revision"]
        while True:
            shown = await self._reading.get(f"/scores/{self._id}", headers=self._token)
            if shown.status_code == 200 and shown.json()["revision"] >= revision:
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def _asked(self, method: str, path: str, *, json: object = None, key: bool = False) -> httpx.Response:
        headers = self._token | {"If-Match": self._tag} if self._tag else dict(self._token)
        if key:
            headers["Idempotency-Key"] = uuid4().hex
        answer = await self._writing.request(method, path, json=json, headers=headers)
        answer.raise_for_status()
        return answer


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
