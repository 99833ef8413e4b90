"""Webhooks: what is pending is sent and stored, beside a bare loop; and from Kafka to the stored attempt."""

import asyncio
import os
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
from confluent_kafka import Producer
from rich.progress import Progress

from contracts.regions import Directory
from lab.parts import Part
from lab.parts.process import ports
from tests.bench.drain import WrongResult
from tests.bench.figures import Figure
from tests.bench.posting import furnished, keys_of, worker
from tests.bench.stage import Stage
from tests.notify.office import sent, state

DELIVERIES = 16_000
SUBSCRIPTIONS = 8
IN_FLIGHT = 64
EVENTS = 8_000
WARM_UP_SHARE = 0.1
PAIRS = int(os.environ.get("BENCH_PAIRS", "3"))
POLL_S = 0.05
DEADLINE_S = 180.0
REGIONS = [region.code for region in Directory.load()]


@dataclass(frozen=True, slots=True)
class Sent:
    """Of the steady part: what came before the warm-up is not in it."""

    per_second: float
    cpu_us: float
    """User and system time of the sender's process, per delivery."""


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """Dispatch in pairs, A B A B …, then the whole way."""
    task = progress.add_task("webhooks: dispatch", total=PAIRS * 3)
    pairs: list[tuple[Sent, Sent]] = []
    whole: list[Sent] = []
    with _receiver(stage) as endpoint:
        for _ in range(PAIRS):
            sides: list[Sent] = []
            for name in ("notify", "bare"):
                sides.append(_dispatch(stage, endpoint, name))
                progress.console.print(f"  dispatch, {name:<8} {sides[-1]}", highlight=False)
                progress.advance(task)
            pairs.append((sides[0], sides[1]))
        for _ in range(PAIRS):
            whole.append(_whole_way(stage, endpoint))
            progress.console.print(f"  from Kafka, notify {whole[-1]}", highlight=False)
            progress.advance(task)
    return [
        Figure.of(
            "webhooks_dispatch_rate_ratio",
            "notify/bare",
            [ours.per_second / bare.per_second for ours, bare in pairs],
            target=">= 0.6",
        ),
        Figure.of("webhooks_dispatch_rate", "deliveries/s", [ours.per_second for ours, _ in pairs]),
        Figure.of("webhooks_dispatch_rate_bare", "deliveries/s", [bare.per_second for _, bare in pairs]),
        Figure.of("webhooks_dispatch_cpu", "µs/delivery", [ours.cpu_us for ours, _ in pairs]),
        Figure.of("webhooks_dispatch_cpu_bare", "µs/delivery", [bare.cpu_us for _, bare in pairs]),
        Figure.of("webhooks_whole_rate", "deliveries/s", [one.per_second for one in whole]),
        Figure.of("webhooks_whole_cpu", "µs/delivery", [one.cpu_us for one in whole], target="<= 900"),
    ]


class _Endpoint:
    """The receiver, from outside."""

    def __init__(self, part: Part) -> None:
        self.url = part.address
        self._http = httpx.Client(trust_env=False)

    def taken(self) -> int:
        return int(self._http.get(f"{self.url}/").text)


@contextmanager
def _receiver(stage: Stage) -> Generator[_Endpoint]:
    directory = stage.directory / "receiver"
    (port,) = ports(directory, 1)
    address = f"http://127.0.0.1:{port}"

    def missing() -> str | None:
        try:
            httpx.get(address, trust_env=False)
        except httpx.TransportError as failure:
            return repr(failure)
        return None

    with Part(
        "receiver",
        address=address,
        port=port,
        command=[sys.executable, "-m", "tests.bench.receiver", str(port)],
        directory=directory,
        probe=missing,
        env={},
    ) as part:
        yield _Endpoint(part)


def _dispatch(stage: Stage, endpoint: _Endpoint, name: str) -> Sent:
    """16,000 deliveries of 8 subscriptions lie ready; a fresh process sends them."""
    with stage.database() as database:
        keys = asyncio.run(_fill(stage, database, endpoint, DELIVERIES // SUBSCRIPTIONS))
        begin = endpoint.taken()
        with _side(stage, name, database, keys) as part:
            return _watch(stage, database, endpoint, part, begin=begin, count=DELIVERIES)


def _whole_way(stage: Stage, endpoint: _Endpoint) -> Sent:
    """One subscription to everything; facts of all regions reach Kafka, and a worker that runs already."""
    with stage.database() as database:
        keys = asyncio.run(_fill(stage, database, endpoint, 0, subscriptions=1))
        begin = endpoint.taken()
        with _side(stage, "notify", database, keys) as part:
            producer = Producer({"bootstrap.servers": stage.kafka, "linger.ms": 5})
            for number in range(EVENTS):
                fact = sent(REGIONS[number % len(REGIONS)], 1 + number // len(REGIONS))
                headers: Any = fact.envelope.headers()
                producer.produce(fact.topic.name, fact.value, key=fact.key.encode(), headers=headers)
                producer.poll(0)
            producer.flush()
            return _watch(stage, database, endpoint, part, begin=begin, count=EVENTS)


async def _fill(
    stage: Stage, database: str, endpoint: _Endpoint, events: int, *, subscriptions: int = SUBSCRIPTIONS
) -> Mapping[str, str]:
    """Subscriptions, and what they are to get of so many events; the keys that their secrets were sealed with."""
    async with furnished(stage, database) as office:
        for number in range(subscriptions):
            await office.subscribe(f"{endpoint.url}/{number}", id=f"bench-{number}")
        facts = [state(REGIONS[number % len(REGIONS)], 1 + number // len(REGIONS)) for number in range(events)]
        for first in range(0, len(facts), 500):
            await office.hear(*facts[first : first + 500])
        return {**keys_of(office.settings), "WEBHOOK_CONCURRENCY": str(IN_FLIGHT // subscriptions)}


@contextmanager
def _side(stage: Stage, name: str, database: str, keys: Mapping[str, str]) -> Generator[Part]:
    if name == "notify":
        with worker(stage, database, keys) as part:
            yield part
        return
    bare = Part(
        name,
        address="",
        port=0,
        command=[sys.executable, "-m", "tests.bench.barehooks"],
        directory=stage.directory / "side",
        probe=lambda: None,
        env={**stage.environment, **keys, "MONGODB_DATABASE": database},
    )
    with bare:
        yield bare


def _watch(stage: Stage, database: str, endpoint: _Endpoint, part: Part, *, begin: int, count: int) -> Sent:
    deadline = time.monotonic() + DEADLINE_S
    process = psutil.Process(part.pid)
    began: tuple[float, float, int] | None = None
    while (there := endpoint.taken() - begin) < count:
        if began is None and there >= count * WARM_UP_SHARE:
            began = (time.perf_counter(), _cpu_s(process), there)
        if time.monotonic() > deadline:
            raise WrongResult(f"{there} of {count} came in {DEADLINE_S:.0f} s; the log ends:\n{part.log_tail()}")
        time.sleep(POLL_S)
    pending = stage.mongo[database]["deliveries"]
    while pending.find_one({"status": "pending"}) is not None:
        time.sleep(POLL_S)
    assert began
    at, cpu_s, before = began
    done = count - before
    outcome = Sent(done / (time.perf_counter() - at), (_cpu_s(process) - cpu_s) / done * 1e6)
    stored = pending.count_documents({"status": "delivered", "attempts.0.status": 204})
    if stored != count or endpoint.taken() - begin != count:
        raise WrongResult(f"{stored} attempts are stored, {endpoint.taken() - begin} came, not {count}")
    return outcome


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
