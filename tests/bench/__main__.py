"""`python -m tests.bench [part ...]`, a part as in PARTS: all without one. Figures as JSON."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.bench import (
    answer,
    fanout,
    growth,
    hanging,
    latency,
    public,
    scoring,
    signing,
    streams,
    telemetry,
    webhooks,
    whole,
)
from tests.bench.figures import Figure, circumstances, publish
from tests.bench.stage import Stage, stage

PARTS: Mapping[str, Callable[[Stage, Progress], Sequence[Figure]]] = {
    "scoring": scoring.measure,
    "latency": latency.measure,
    "growth": growth.measure_events,
    "reads": growth.measure_reads,
    "public": public.measure,
    "webhooks": webhooks.measure,
    "hanging": hanging.measure,
    "matching": fanout.measure,
    "streams": streams.measure,
    "submit": whole.measure,
    "signing": signing.measure,
    "answer": answer.measure,
    "telemetry": telemetry.measure,
}


def main(wanted: Sequence[str]) -> int:
    """Measure the wanted parts on one stage; the exit status tells only whether they could be measured."""
    if unknown := [name for name in wanted if name not in PARTS]:
        print(f"there is no bench {', '.join(unknown)}; those there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, stage() as shared:
        for name in wanted or PARTS:
            command, load = f"make bench ONLY={name}" if wanted else "make bench", os.getloadavg()[0]
            figures = PARTS[name](shared, progress)
            publish(name, figures, circumstances=circumstances(command, load_before=load))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
