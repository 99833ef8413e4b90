"""One side drains a topic while its process is watched from outside."""

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from confluent_kafka import Consumer, TopicPartition

from contracts import topics
from lab.parts import Part, service
from tests.bench.load import Submission, expected_state, send, state_of, submissions
from tests.bench.stage import Offsets, Stage

WORKER_GROUP = "scoring.assessment"
CATALOGUE_GROUPS = {"scoring.instrument": topics.INSTRUMENT.name, "scoring.cycle": topics.CYCLE.name}
POLL_S = 0.02
DEADLINE_S = 120.0


class WrongResult(Exception):
    """A side was fast, but not right: its figures do not count, and neither does the bench."""


@dataclass(frozen=True, slots=True)
class Side:
    """A process that drains livinglab.assessment, not yet started."""

    group: str
    part: Callable[[Path, str], Part]
    """From a folder and the name of an empty database."""


@dataclass(frozen=True, slots=True)
class Drained:
    """Of the steady part of a drain: what came before `warm_up` results is not in it."""

    per_second: float
    cpu_us: float
    """User and system time of the process, per event."""
    rss_mb: float


def worker(stage: Stage, *, role: str = "worker", **env: str) -> Side:
    """The scoring service as it is deployed: metrics served, traces sent to a sink."""

    def part(directory: Path, database: str) -> Part:
        settings = {**stage.environment, "ROLE": role, "MONGODB_DATABASE": database, "TRACES_SAMPLE_RATIO": "0.01"}
        return service(directory, "scoring", settings | env)

    return Side(WORKER_GROUP, part)


def bare(stage: Stage) -> Side:
    """The bare loop. A group of its own: it ends without leaving, as a plain loop does."""
    group = f"bench.bare.{uuid4().hex[:8]}"

    def part(directory: Path, database: str) -> Part:
        return Part(
            "bare",
            address="",
            port=0,
            command=[sys.executable, "-m", "tests.bench.bare"],
            directory=directory,
            probe=lambda: None,
            env={**stage.environment, "BENCH_GROUP": group, "MONGODB_DATABASE": database},
        )

    return Side(group, part)


@contextmanager
def running(stage: Stage, side: Side, database: str, *, begin: Offsets) -> Generator[Part]:
    """The side's process; its group begins at `begin`, and reads the instruments again."""
    for group, topic in CATALOGUE_GROUPS.items():
        stage.begin_at(group, topic, {0: 0})
    stage.begin_at(side.group, topics.ASSESSMENT.name, begin)
    with side.part(stage.directory / "side", database) as part:
        yield part


def drain_once(stage: Stage, regions: Sequence[str], count: int) -> Drained:
    """How fast the worker is just now."""
    submitted = submissions(regions, count, seed=2)
    begin = stage.ends(topics.ASSESSMENT.name)
    send(stage.kafka, submitted)
    expected = expected_state(submitted)
    return drain(stage, worker(stage), submitted, begin=begin, warm_up=count // 10, expected=expected)


def drain(
    stage: Stage, side: Side, submitted: Sequence[Submission], *, begin: Offsets, warm_up: int, expected: str
) -> Drained:
    """Let a fresh process drain all of `submitted`, which lie behind `begin`, into a fresh database.

    Starting costs both sides nothing here: clock and CPU begin at the `warm_up`-th result on the topic, and stop when
    as many results as submissions are there and every offset is committed. Raises WrongResult unless the results are
    distinct and right, and the state has the expected hash.
    """
    results_begin = stage.ends(topics.SCORE.name)
    with stage.database() as database:
        with running(stage, side, database, begin=begin) as part:
            drained = watch(stage, side, part, len(submitted), warm_up=warm_up, results_begin=results_begin)
        found = [result for result, _ in results(stage, results_begin)]
        if sorted(found) != sorted(s.result for s in submitted):
            raise WrongResult(f"{side.group}: {len(set(found))} distinct results of {len(found)}, not {len(submitted)}")
        if state_of(stage.mongo[database]) != expected:
            raise WrongResult(f"{side.group}: the state is not what follows from the submissions")
    return drained


def watch(stage: Stage, side: Side, part: Part, count: int, *, warm_up: int, results_begin: Offsets) -> Drained:
    """Measure a drain that is under way, until all is on the topic and committed."""
    deadline = time.monotonic() + DEADLINE_S
    there = 0
    began: tuple[float, float, int] | None = None
    rss = 0
    process = psutil.Process(part.pid)
    end = stage.ends(topics.ASSESSMENT.name)
    while there < count or stage.committed(side.group, topics.ASSESSMENT.name) != end:
        there = sum(stage.ends(topics.SCORE.name).values()) - sum(results_begin.values())
        rss = max(rss, process.memory_info().rss)
        if began is None and there >= warm_up:
            began = (time.perf_counter(), _cpu_s(process), there)
        if time.monotonic() > deadline:
            raise WrongResult(f"{there} of {count} results after {DEADLINE_S:.0f} s; the log ends:\n{part.log_tail()}")
        time.sleep(POLL_S)
    assert began
    at, cpu_s, done = began
    events = count - done
    return Drained(
        per_second=events / (time.perf_counter() - at),
        cpu_us=(_cpu_s(process) - cpu_s) / events * 1e6,
        rss_mb=rss / 1e6,
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def results(stage: Stage, begin: Offsets) -> Generator[tuple[str, float]]:
    """The ids of all facts on livinglab.score from `begin` on, and when the broker took each, in seconds since 1970."""
    consumer: Any = Consumer({"bootstrap.servers": stage.kafka, "group.id": "bench", "enable.auto.commit": False})
    left = {p: end - begin[p] for p, end in stage.ends(topics.SCORE.name).items() if end > begin[p]}
    consumer.assign([TopicPartition(topics.SCORE.name, p, begin[p]) for p in left])
    count = sum(left.values())
    try:
        while count:
            for message in consumer.consume(min(count, 10_000), timeout=10):
                count -= 1
                yield dict(message.headers())["ce_id"].decode(), message.timestamp()[1] / 1000
    finally:
        consumer.close()
