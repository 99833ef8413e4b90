"""What being watched costs the scoring worker: the same submissions, traced not at all, 1 %, all, and into the void.

In each round every way drains 15,000 submissions of its own, which differ in their traces' flags alone. Where the
collector is away, spans wait, 16,384 at most, then the oldest are dropped, and every one is counted.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import uvloop
from prometheus_client.parser import text_string_to_metric_families
from rich.progress import Progress

from contracts import topics
from contracts.regions import Directory
from lab.parts import Part, service
from tests.bench.drain import Drained, running, watch, worker
from tests.bench.figures import Figure, percentile
from tests.bench.load import send, send_catalogue, submissions
from tests.bench.reporting import DEADLINE_S, Reporter, open_loop, reporters
from tests.bench.stage import Stage

EVENTS = 15_000
WARM_UP = 1_500
ROUNDS = 5
PER_S, SUBMISSIONS = 20, 200
NOWHERE = "http://127.0.0.1:9"
"""The port `discard`: nobody listens."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a worker is watched."""

    sampled: float
    env: Mapping[str, str]


WAYS: Mapping[str, Way] = {
    "off": Way(0.0, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}),
    "1_percent": Way(0.01, {}),
    "100_percent": Way(1.0, {}),
    "collector_down": Way(1.0, {"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE}),
}


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """Rates beside `off` of the same round; memory; and of how many spans it is known what became of them."""
    task = progress.add_task("telemetry", total=ROUNDS * len(WAYS))
    send_catalogue(stage.kafka)
    regions = [region.code for region in Directory.load()]
    found: dict[str, list[Drained]] = {name: [] for name in WAYS}
    told: list[float] = []
    for number in range(ROUNDS):
        for name, way in WAYS.items():
            progress.update(task, description=f"telemetry: round {number + 1} of {ROUNDS}, {name}")
            drained, spans = _drain(stage, way, regions, seed=number)
            found[name].append(drained)
            progress.console.print(f"  {name:<16} {drained} {spans}", highlight=False)
            progress.advance(task)
            if name == "collector_down":
                told.append(spans.get("ended", 0.0) / (2 * EVENTS))
    return [*figures(found, told), uvloop.run(_latency(stage))]


async def _latency(stage: Stage) -> Figure:
    """The median of a submission at 20 a second, where the collector is away, beside where it is there, in turns."""
    medians: dict[str, list[float]] = {"there": [], "away": []}
    async with AsyncExitStack() as stack:
        groups: dict[str, list[Reporter]] = {}
        for name, env in (("there", {}), ("away", {"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE})):
            told = {**stage.environment, "MONGODB_DATABASE": stack.enter_context(stage.database())}
            settings = {**told, **env, "TRACES_SAMPLE_RATIO": "1"}
            part = stack.enter_context(service(stage.directory / name, "assessment", settings))
            client = httpx.AsyncClient(base_url=f"{part.address}/assessment/v1", timeout=DEADLINE_S)
            groups[name] = reporters(stage, await stack.enter_async_context(client), SUBMISSIONS)
            for region in groups[name]:
                await region.fill()
        for _ in range(ROUNDS):
            for name, regions in groups.items():
                took = await open_loop([region.submit for region in regions], per_s=PER_S)
                medians[name].append(percentile(took, 0.5))
                for region in regions:
                    await region.reopen()
    pairs = zip(medians["away"], medians["there"], strict=True)
    return Figure.of("telemetry_down_latency", "away/there", [a / b for a, b in pairs], target="<= 1.1")


def _drain(stage: Stage, way: Way, regions: Sequence[str], *, seed: int) -> tuple[Drained, Mapping[str, float]]:
    """A drain, and what the worker says of its spans: outcome → how many."""
    begin, results_begin = stage.ends(topics.ASSESSMENT.name), stage.ends(topics.SCORE.name)
    send(stage.kafka, submissions(regions, EVENTS, seed=seed, sampled=way.sampled))
    side = worker(stage, **way.env)
    with stage.database() as database, running(stage, side, database, begin=begin) as part:
        drained = watch(stage, side, part, EVENTS, warm_up=WARM_UP, results_begin=results_begin)
        return drained, _spans(part)


def _spans(part: Part) -> Mapping[str, float]:
    text = httpx.get(f"http://127.0.0.1:{part.env['METRICS_PORT']}/metrics", trust_env=False).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return {sample.labels["outcome"]: sample.value for sample in families["livinglab_spans"].samples}


def figures(found: Mapping[str, Sequence[Drained]], told: Sequence[float]) -> list[Figure]:
    """Ratios are taken within a round."""
    off = found["off"]
    made = [
        Figure.of(
            f"telemetry_rate_{name}",
            "watched/off",
            [a.per_second / b.per_second for a, b in zip(found[name], off, strict=True)],
            target=">= 0.75",
        )
        for name in WAYS
        if name != "off"
    ]
    made += [Figure.of(f"telemetry_rss_{name}", "MB", [one.rss_mb for one in found[name]]) for name in WAYS]
    return [*made, Figure.of("telemetry_down_spans_counted", "counted/made", told, target=">= 1.0")]
