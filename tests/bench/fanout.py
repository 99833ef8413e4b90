"""What many subscriptions cost: to an event that few of them want, and to one that all of them want.

`hear` runs in the bench's own process, on real stores: 27 events of one province a batch, three subscriptions that want
them, and 100 or 5,000 in all, the others of other provinces or types. CPU is this process's alone; the time on the
clock holds the database's too. Then one event that 5,000 subscriptions want, through Kafka and a worker.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop
from rich.progress import Progress

from contracts import events
from contracts.regions import Directory
from tests.bench.drain import WrongResult
from tests.bench.figures import Figure, slope
from tests.bench.hearing import Hearing, hearing
from tests.bench.posting import Publisher, furnished, keys_of, subscribe_alike, worker
from tests.bench.stage import Stage
from tests.notify.office import Office, sent, state

SIZES = (100, 5_000)
MATCHING = 3
PAIRS = int(os.environ.get("BENCH_PAIRS", "3"))
WARM_UP = 5
BATCHES = 60
"""Each turn; batches of one event per regency of PROVINCE."""
PROVINCE = "32"
FANNED_OUT = 5
"""Events that all want, one after the other."""
DEADLINE_S = 120.0
ASK_AGAIN_S = 0.02
Found = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of hearing, per event."""

    time_us: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class FannedOut:
    """Of one event, from its being put on Kafka."""

    made_s: float
    received_s: float


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """Both sizes in turns, then the event that all want."""
    task = progress.add_task("matching", total=PAIRS * len(SIZES) + FANNED_OUT)

    def found(what: str, value: object) -> None:
        progress.console.print(f"  {what:<28} {value}", highlight=False)
        progress.advance(task)

    costs: dict[int, list[Cost]] = {size: [] for size in SIZES}
    uvloop.run(_hear(stage, costs, found))
    fanned: list[FannedOut] = []
    uvloop.run(_fan_out(stage, fanned, found))
    size = SIZES[-1]
    return [
        *_figures("matching_time", {size: [cost.time_us for cost in each] for size, each in costs.items()}),
        *_figures("matching_cpu", {size: [cost.cpu_us for cost in each] for size, each in costs.items()}),
        Figure.of(f"matching_all_{size}_made", "s", [one.made_s for one in fanned]),
        Figure.of(f"matching_all_{size}_received", "s", [one.received_s for one in fanned]),
        Figure.of(f"matching_all_{size}_rate", "deliveries/s", [size / one.received_s for one in fanned]),
    ]


def _figures(name: str, costs: Mapping[int, Sequence[float]]) -> list[Figure]:
    slopes = [slope(list(zip(costs, pair, strict=True))) for pair in zip(*costs.values(), strict=True)]
    sizes = [Figure.of(f"{name}_{size}", "µs/event", values) for size, values in costs.items()]
    return [Figure.of(f"{name}_slope", "log/log", slopes, target="<= 0.1"), *sizes]


async def _hear(stage: Stage, costs: Mapping[int, list[Cost]], found: Found) -> None:
    async with AsyncExitStack() as stack:
        offices: dict[int, Office] = {}
        for size in SIZES:
            database = stack.enter_context(stage.database())
            offices[size] = await stack.enter_async_context(furnished(stage, database))
            await _populate(offices[size], size)
        for office in offices.values():
            await _batches(office, first=1, count=WARM_UP)
        for number in range(PAIRS):
            for size, office in offices.items():
                cost = await _batches(office, first=1 + WARM_UP + number * BATCHES, count=BATCHES)
                costs[size].append(cost)
                found(f"{size} subscriptions", cost)
        for size, office in offices.items():
            await _check(office, size)


async def _populate(office: Office, size: int) -> None:
    """Those that match, and others: of other provinces, or of other types."""
    like = await office.subscribe("http://127.0.0.1:1/", id="bench")
    others = sorted({region.code for region in Directory.load()} - _within())
    asked: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
    for number in range(size - MATCHING):
        elsewhere = (["assessment.*"], [others[number % len(others)]])
        asked[f"other-{number}"] = elsewhere if number % 2 else (["score.recalculated"], [])
    for number in range(MATCHING):
        asked[f"match-{number}"] = (["assessment.submitted"], [PROVINCE])
    await subscribe_alike(office, like, asked)
    await office.parts.collection("subscriptions").delete_one({"_id": like.id})


def _within() -> frozenset[str]:
    return frozenset(region.code for region in Directory.load() if region.code.partition(".")[0] == PROVINCE)


async def _batches(office: Office, *, first: int, count: int) -> Cost:
    regencies = sorted(_within() - {PROVINCE})
    batches = [[state(code, first + number) for code in regencies] for number in range(count)]
    began, cpu_s = time.perf_counter(), time.process_time()
    for batch in batches:
        await office.hear(*batch)
    heard = count * len(regencies)
    return Cost((time.perf_counter() - began) / heard * 1e6, (time.process_time() - cpu_s) / heard * 1e6)


async def _check(office: Office, size: int) -> None:
    heard = (WARM_UP + PAIRS * BATCHES) * len(_within() - {PROVINCE})
    made = await office.parts.collection("deliveries").count_documents({})
    if made != heard * MATCHING:
        raise WrongResult(f"{made} deliveries at {size} subscriptions, not {heard * MATCHING}")


async def _fan_out(stage: Stage, fanned: list[FannedOut], found: Found) -> None:
    size = SIZES[-1]
    with stage.database() as database:
        async with furnished(stage, database) as office, hearing() as heard:
            await _all_want(office, size, heard)
            with worker(stage, database, keys_of(office.settings)):
                publisher = Publisher(stage)
                for revision in range(1, FANNED_OUT + 2):
                    one = await _fan_one_out(office, publisher, heard, revision, size)
                    if revision > 1:  # the first one opens connections
                        fanned.append(one)
                        found(f"to {size} subscriptions", one)
                publisher.close()


async def _all_want(office: Office, size: int, heard: Hearing) -> None:
    like = await office.subscribe(heard.url, id="bench")
    await subscribe_alike(
        office, like, {f"all-{number}": ([events.ASSESSMENT_SUBMITTED.name], []) for number in range(size)}
    )
    subscriptions = office.parts.collection("subscriptions")
    await subscriptions.delete_one({"_id": like.id})
    # Each at a path of its own: what came is told apart by it.
    await subscriptions.update_many({}, [{"$set": {"url": {"$concat": [f"{heard.url}/", "$_id"]}}}])


async def _fan_one_out(office: Office, publisher: Publisher, heard: Hearing, revision: int, size: int) -> FannedOut:
    deliveries = office.parts.collection("deliveries")
    published = publisher.publish(sent(f"{PROVINCE}.11", revision))
    made = 0.0
    async with asyncio.timeout(DEADLINE_S):
        while len(heard.came) < revision * size:
            if not made and await deliveries.estimated_document_count() >= revision * size:
                made = time.perf_counter() - published
            await asyncio.sleep(ASK_AGAIN_S)
        while await deliveries.find_one({"status": "pending"}) is not None:  # the next one finds it at rest
            await asyncio.sleep(ASK_AGAIN_S)
    return FannedOut(made, max(heard.came.values()) - published)
