"""How long until a ministry's receiver hears of a submission, from the moment it was scheduled: open loop, 20 a second.

A region POSTs its submission over HTTP to the assessment service; its fact goes through the outbox and Kafka to a
notify worker, which signs and POSTs it to the receiver, this process. Beside it the bare chain of the durable steps
(`barewhole.py`, frozen), in turns.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import httpx
import uvloop
from rich.progress import Progress

from contracts import events
from contracts.fact import fact_id
from lab.parts import Part, http_server, service
from lab.parts.process import ports
from tests.bench import barewhole
from tests.bench.figures import Figure, percentile
from tests.bench.hearing import Hearing, hearing
from tests.bench.load import submissions
from tests.bench.posting import furnished, keys_of, worker
from tests.bench.reporting import DEADLINE_S, Reporter, open_loop, reporters
from tests.bench.stage import Stage

ROUNDS = 3
PER_S, ROUND_S = 20, 15
OURS, BARE = "/ours", "/bare"
Heard = Callable[[str, Sequence[float]], None]


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """Services and bare in turns."""
    task = progress.add_task("submit", total=ROUNDS * 2)
    found: dict[str, list[Sequence[float]]] = {OURS: [], BARE: []}
    stage.create_topics(barewhole.TOPIC)

    def heard(path: str, latencies: Sequence[float]) -> None:
        found[path].append(latencies)
        p50, p99 = (percentile(latencies, share) * 1e3 for share in (0.5, 0.99))
        progress.console.print(f"  {path:<6} p50 {p50:.1f} ms, p99 {p99:.1f} ms", highlight=False)
        progress.advance(task)

    uvloop.run(_measure(stage, heard))

    def of(path: str, share: float) -> list[float]:
        return [percentile(latencies, share) * 1e3 for latencies in found[path]]

    def ratio(share: float) -> list[float]:
        return [ours / bare for ours, bare in zip(of(OURS, share), of(BARE, share), strict=True)]

    return [
        Figure.of("submit_p50_ratio", "ours/bare", ratio(0.5), target="<= 3"),
        Figure.of("submit_p99_ratio", "ours/bare", ratio(0.99)),
        Figure.of("submit_p50", "ms", of(OURS, 0.5)),
        Figure.of("submit_p99", "ms", of(OURS, 0.99)),
        Figure.of("submit_bare_p50", "ms", of(BARE, 0.5)),
        Figure.of("submit_bare_p99", "ms", of(BARE, 0.99)),
    ]


async def _measure(stage: Stage, heard: Heard) -> None:
    with stage.database() as assessments, stage.database() as post, stage.database() as plain:
        async with furnished(stage, post) as office, hearing() as receiver:
            types = (events.ASSESSMENT_SUBMITTED.name,)
            await office.subscribe(f"{receiver.url}{OURS}", id="bench", types=types)
            env = {**stage.environment, "MONGODB_DATABASE": assessments}
            with (
                service(stage.directory / "a", "assessment", env) as assessment,
                worker(stage, post, keys_of(office.settings)),
                _bare(stage, plain, receiver) as bare,
            ):
                async with (
                    httpx.AsyncClient(base_url=f"{assessment.address}/assessment/v1", timeout=DEADLINE_S) as writing,
                    httpx.AsyncClient(base_url=bare.address, timeout=DEADLINE_S) as plainly,
                ):
                    regions = reporters(stage, writing, PER_S * ROUND_S)
                    for region in regions:
                        await region.fill()
                    body = submissions(["32.11"], 1, seed=1)[0].fact.value
                    ours = [partial(_submit, region, receiver) for region in regions]
                    others = [partial(_submit_bare, plainly, body, receiver)] * len(regions)
                    for number in range(ROUNDS):
                        if number:
                            for region in regions:
                                await region.reopen()
                        heard(OURS, await open_loop(ours, per_s=PER_S))
                        heard(BARE, await open_loop(others, per_s=PER_S))


async def _submit(region: Reporter, receiver: Hearing) -> None:
    """Returns when the receiver has the event of this submission."""
    revision, type_ = await region.submit(), events.ASSESSMENT_SUBMITTED.type
    await receiver.one(OURS, str(fact_id(aggregate=region.id, revision=revision, rule=0, type=type_)))


async def _submit_bare(plainly: httpx.AsyncClient, body: bytes, receiver: Hearing) -> None:
    name = uuid4().hex
    answer = await plainly.post("/", content=body, headers={"webhook-id": name})
    answer.raise_for_status()
    await receiver.one(BARE, name)


@contextmanager
def _bare(stage: Stage, database: str, receiver: Hearing) -> Generator[Part]:
    directory = stage.directory / "bare-whole"
    (port,) = ports(directory, 1)
    with http_server(
        "bare-whole",
        factory="tests.bench.barewhole:create_app",
        directory=directory,
        port=port,
        ready_path="/readyz",
        env={**stage.environment, "MONGODB_DATABASE": database, "BENCH_RECEIVER": f"{receiver.url}{BARE}"},
    ) as part:
        yield part
