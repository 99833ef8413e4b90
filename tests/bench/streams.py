"""Live streams: 600 open in one api process, each with a filter of its own; what they take, and how soon they tell.

Events go to all 600, or to the ten that asked for that very region. Measured from a fact's being put on Kafka to the
bytes' coming in at the client, which is this process: raw sockets that look for an event's id and nothing else. Both
are on one machine, so that what the client takes is told beside it.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psutil
import uvloop
from rich.progress import Progress

from contracts.regions import Directory
from lab.parts import Part, service
from services.notify.domain.right import Kind, Right
from tests.bench.drain import WrongResult
from tests.bench.figures import Figure, percentile
from tests.bench.posting import Publisher, furnished, keys_of
from tests.bench.stage import Stage
from tests.notify.office import sent

STREAMS = 600
FEW = 10
ROUNDS = int(os.environ.get("BENCH_PAIRS", "3"))
ALL_PER_S, ALL_EVENTS = 4, 60
FEW_PER_S, FEW_EVENTS = 20, 200
WARM_UP_STREAMS, WARM_UP_EVENTS = 10, 10
OPENING = 16
"""At once: neither side is to be measured while it is connecting."""
SETTLE_S = 2.0
DEADLINE_S = 60.0
ASK_AGAIN_S = 0.01
ORGANIZATION = "kemendagri"
COMMON = "32"
"""Everybody asks for this province too."""
TYPES = (["assessment.*"], ["assessment.submitted", "score.recalculated"], ["*"], ["assessment.submitted"])
ID = b'"id":"'
ID_BYTES = 36


@dataclass(frozen=True, slots=True)
class Told:
    """One round of events; CPU is user and system time of a whole process, per message on a stream."""

    p50_ms: float
    p99_ms: float
    api_cpu_us: float
    client_cpu_us: float


class _Client(asyncio.Protocol):
    """One stream, read as little as possible."""

    def __init__(self, request: bytes, came: list[tuple[bytes, float]]) -> None:
        self._request = request
        self._came = came
        self._rest = b""
        self.began: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        at = time.perf_counter()
        *messages, self._rest = (self._rest + data).split(b"\n\n")
        for message in messages:
            if (place := message.find(ID)) >= 0:
                self._came.append((message[place + len(ID) : place + len(ID) + ID_BYTES], at))
            elif not self.began.done() and b"id: " in message:
                self.began.set_result(b"")
        if not self.began.done() and b"HTTP/1.1 200" not in data and b"HTTP/1.1" in data:
            self.began.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.began.done():
            self.began.set_result(b"closed")

    def close(self) -> None:
        self._transport.close()


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """Memory, then events to all and to a few, in turns."""
    task = progress.add_task("streams", total=ROUNDS * 2 + 1)
    memory: list[float] = []
    told: dict[str, list[Told]] = {"all": [], "few": []}

    def found(what: str, value: object) -> None:
        progress.console.print(f"  {what:<6} {value}", highlight=False)
        progress.advance(task)

    uvloop.run(_measure(stage, memory, told, found))
    figures = [Figure.of("streams_memory", "kB/stream", memory)]
    for name, rounds in told.items():
        figures += [
            Figure.of(f"streams_{name}_p50", "ms", [one.p50_ms for one in rounds]),
            Figure.of(f"streams_{name}_p99", "ms", [one.p99_ms for one in rounds]),
            Figure.of(f"streams_{name}_cpu", "µs/message", [one.api_cpu_us for one in rounds]),
            Figure.of(f"streams_{name}_cpu_client", "µs/message", [one.client_cpu_us for one in rounds]),
        ]
    return figures


async def _measure(stage: Stage, memory: list[float], told: Mapping[str, list[Told]], found: Any) -> None:
    with stage.database() as database:
        async with furnished(stage, database) as office:
            await office.grant(ORGANIZATION, Right(Kind.NATIONAL))
            env = {**keys_of(office.settings), "MONGODB_DATABASE": database}
        with _api(stage, env) as part:
            process = psutil.Process(part.pid)
            publisher, regions = Publisher(stage), _regions()
            async with _opened(stage, part, WARM_UP_STREAMS) as came:
                facts = [sent(f"{COMMON}.11", 1 + number) for number in range(WARM_UP_EVENTS)]
                await _told(publisher, came, facts, ALL_PER_S, WARM_UP_STREAMS, process)
            await asyncio.sleep(SETTLE_S)
            before = process.memory_info().rss
            async with _opened(stage, part, STREAMS) as came:
                await asyncio.sleep(SETTLE_S)
                memory.append((process.memory_info().rss - before) / STREAMS / 1e3)
                found("memory", f"{memory[0]:.1f} kB a stream, {before / 1e6:.1f} MB without")
                for number in range(ROUNDS):
                    first = 100 + number * ALL_EVENTS
                    to_all = [sent(f"{COMMON}.11", first + one) for one in range(ALL_EVENTS)]
                    told["all"].append(await _told(publisher, came, to_all, ALL_PER_S, STREAMS, process))
                    found("all", told["all"][-1])
                    first = 1 + number * FEW_EVENTS
                    to_few = [sent(regions[one % len(regions)], first + one) for one in range(FEW_EVENTS)]
                    told["few"].append(await _told(publisher, came, to_few, FEW_PER_S, FEW, process))
                    found("few", told["few"][-1])
            publisher.close()


def _regions() -> Sequence[str]:
    """So many that each is asked for by FEW streams."""
    regions = [region.code for region in Directory.load() if "." in region.code and not region.code.startswith(COMMON)]
    return regions[: STREAMS // FEW]


@contextmanager
def _api(stage: Stage, env: Mapping[str, str]) -> Generator[Part]:
    own = {"ROLE": "api", "STREAMS_PER_ORGANIZATION_MAX": str(STREAMS + WARM_UP_STREAMS), "TRACES_SAMPLE_RATIO": "0.01"}
    with service(stage.directory / "api", "notify", {**stage.environment, **env, **own}) as part:
        yield part


@asynccontextmanager
async def _opened(stage: Stage, part: Part, count: int) -> AsyncGenerator[list[tuple[bytes, float]]]:
    """So many streams; what comes on any of them is noted: (event's id, when)."""
    came: list[tuple[bytes, float]] = []
    clients: list[_Client] = []
    places = asyncio.Semaphore(OPENING)
    regions, signed = _regions(), stage.token(ORGANIZATION, "pembina")["Authorization"]

    async def open_one(number: int) -> None:
        asked = {"type": TYPES[number % len(TYPES)], "region": [COMMON, regions[number % len(regions)]]}
        head = f"GET /notify/v1/stream?{urlencode(asked, doseq=True)} HTTP/1.1\r\nHost: bench\r\n"
        request = f"{head}Authorization: {signed}\r\n\r\n".encode()
        async with places, asyncio.timeout(DEADLINE_S):
            while True:
                loop = asyncio.get_running_loop()
                _, client = await loop.create_connection(lambda: _Client(request, came), "127.0.0.1", part.port)
                refused = await client.began
                if not refused:
                    clients.append(client)
                    return
                client.close()
                if b" 503 " not in refused:  # a process is ready before it has found where its topics end
                    raise WrongResult(f"a stream is not opened: {refused.decode()}")
                await asyncio.sleep(ASK_AGAIN_S)

    try:
        await asyncio.gather(*(open_one(number) for number in range(count)))
        yield came
    finally:
        for client in clients:
            client.close()


async def _told(
    publisher: Publisher,
    came: list[tuple[bytes, float]],
    facts: Sequence[Any],
    per_s: float,
    listening: int,
    process: psutil.Process,
) -> Told:
    """Facts at a steady rate, each of which so many streams listen to. Raises WrongResult unless all were told once."""
    came.clear()
    published: dict[bytes, float] = {}
    api_cpu_s, client_cpu_s, begin = _cpu_s(process), time.process_time(), time.perf_counter()
    for number, fact in enumerate(facts):
        await asyncio.sleep(begin + number / per_s - time.perf_counter())
        published[str(fact.envelope.id).encode()] = publisher.publish(fact)
    expected, deadline = len(facts) * listening, time.monotonic() + DEADLINE_S
    while len(came) < expected:
        if time.monotonic() > deadline:
            raise WrongResult(f"{len(came)} of {expected} messages came in {DEADLINE_S:.0f} s")
        await asyncio.sleep(ASK_AGAIN_S)
    api_cpu_s, client_cpu_s = _cpu_s(process) - api_cpu_s, time.process_time() - client_cpu_s
    waits = [at - published[name] for name, at in came]
    if len(waits) != expected:
        raise WrongResult(f"{len(waits)} messages came, not {expected}")
    return Told(
        percentile(waits, 0.5) * 1e3,
        percentile(waits, 0.99) * 1e3,
        api_cpu_s / expected * 1e6,
        client_cpu_s / expected * 1e6,
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
