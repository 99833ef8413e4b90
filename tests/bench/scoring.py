"""The scoring worker beside the bare loop, in pairs: A B A B …"""

import os
from collections.abc import Sequence

from rich.progress import Progress

from contracts import topics
from contracts.regions import Directory
from tests.bench.drain import Drained, bare, drain, worker
from tests.bench.figures import Figure
from tests.bench.load import expected_state, send, send_catalogue, submissions
from tests.bench.stage import Stage

EVENTS = 30_000
WARM_UP = 3_000
PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """30,000 submissions of all regions, drained alternately by the worker and by the bare loop."""
    task = progress.add_task("scoring: making submissions", total=PAIRS * 2)
    submitted = submissions([region.code for region in Directory.load()], EVENTS, seed=1)
    expected = expected_state(submitted)
    send_catalogue(stage.kafka)
    begin = stage.ends(topics.ASSESSMENT.name)
    send(stage.kafka, submitted)
    pairs: list[tuple[Drained, Drained]] = []
    for pair in range(PAIRS):
        sides: list[Drained] = []
        for side in (worker(stage), bare(stage)):
            progress.update(task, description=f"scoring: pair {pair + 1} of {PAIRS}, {side.group}")
            drained = drain(stage, side, submitted, begin=begin, warm_up=WARM_UP, expected=expected)
            progress.console.print(f"  {side.group:<20} {drained}", highlight=False)
            progress.advance(task)
            sides.append(drained)
        pairs.append((sides[0], sides[1]))
    return figures(pairs)


def figures(pairs: Sequence[tuple[Drained, Drained]]) -> list[Figure]:
    """Ratios are taken within a pair: what else the machine does hits both."""
    return [
        Figure.of(
            "scoring_rate_ratio", "worker/bare", [a.per_second / b.per_second for a, b in pairs], target=">= 0.8"
        ),
        Figure.of("scoring_cpu_ratio", "worker/bare", [a.cpu_us / b.cpu_us for a, b in pairs], target="<= 1.8"),
        Figure.of("scoring_rate_worker", "events/s", [a.per_second for a, _ in pairs]),
        Figure.of("scoring_rate_bare", "events/s", [b.per_second for _, b in pairs]),
        Figure.of("scoring_cpu_worker", "µs/event", [a.cpu_us for a, _ in pairs]),
        Figure.of("scoring_cpu_bare", "µs/event", [b.cpu_us for _, b in pairs]),
        Figure.of("scoring_rss_worker", "MB", [a.rss_mb for a, _ in pairs]),
        Figure.of("scoring_rss_bare", "MB", [b.rss_mb for _, b in pairs]),
    ]
