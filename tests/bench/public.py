"""Reads that a portal is built on, beside bare routes that make the same one query: 552 regions and 100,000.

One client on one kept connection to each side asks both in turns, each request with a token and parameters that were
never sent before; nothing is cached. The client is `http.client`: whatever it takes itself would flatter the ratio.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import orjson
from rich.progress import Progress

from lab.oidc import kept_key
from lab.parts import Part, http_server
from lab.parts.process import ports
from tests.bench.figures import Figure, percentile
from tests.bench.growth import Grown, grown
from tests.bench.load import CYCLE
from tests.bench.stage import Stage

SIZES = (552, 100_000)
ROUNDS = 3
REQUESTS = 200
WARM_UP = 40
PAGE = 20
COMPARED = 5

Path = str


def measure(stage: Stage, progress: Progress) -> list[Figure]:
    """Per read and size: p50 and p99 of both sides, and how fast the bare route is in proportion."""
    task = progress.add_task("public reads", total=len(SIZES) * ROUNDS)
    figures: list[Figure] = []
    for size in SIZES:
        progress.update(task, description=f"public reads: {size} regions")
        with grown(stage, size) as service, _bare(stage, service) as bare:
            taken: dict[str, list[tuple[list[float], list[float]]]] = {}
            for number in range(ROUNDS):
                for name, paths in _reads(service, random.Random(f"{size} {number}")).items():
                    pair = _in_turns(stage, service.part.address, bare.address, paths, seed=f"{size}-{number}-{name}")
                    taken.setdefault(name, []).append(pair)
                progress.advance(task)
        for name, rounds in taken.items():
            figures += _figures(f"public_{name}_{size}", rounds)
            progress.console.print(f"  {figures[-5].name} {figures[-5].median:.2f}", highlight=False)
    return figures


def _figures(name: str, rounds: Sequence[tuple[list[float], list[float]]]) -> list[Figure]:
    def of(side: int, share: float) -> list[float]:
        return [1000 * percentile(pair[side], share) for pair in rounds]

    ratios = [bare / ours for ours, bare in zip(of(0, 0.5), of(1, 0.5), strict=True)]
    return [
        Figure.of(f"{name}_ratio", "bare/ours", ratios, target=">= 0.6"),
        Figure.of(f"{name}_p50", "ms", of(0, 0.5)),
        Figure.of(f"{name}_p99", "ms", of(0, 0.99)),
        Figure.of(f"{name}_bare_p50", "ms", of(1, 0.5)),
        Figure.of(f"{name}_bare_p99", "ms", of(1, 0.99)),
    ]


def _reads(service: Grown, chance: random.Random) -> Mapping[str, Callable[[], Path]]:
    regencies = [code for code in service.codes if "." in code]
    provinces = sorted({code.partition(".")[0] for code in regencies})

    def compared() -> Path:
        regions = "&".join(f"region={code}" for code in chance.sample(regencies, COMPARED))
        return f"/scoring/v1/comparison?cycle={CYCLE}&{regions}"

    standings = f"/scoring/v1/standings?cycle={CYCLE}&kind=regency"
    return {
        "standings": lambda: f"{standings}&province={chance.choice(provinces)}&limit={chance.randint(PAGE - 5, PAGE)}",
        "portrait": lambda: f"/scoring/v1/regions/{chance.choice(regencies)}",
        "compare": compared,
        "summary": lambda: f"/scoring/v1/summaries/{CYCLE}?province={chance.choice(provinces)}",
    }


def _in_turns(
    stage: Stage, ours: str, bare: str, path: Callable[[], Path], *, seed: str
) -> tuple[list[float], list[float]]:
    connections = [HTTPConnection(urlsplit(address).netloc) for address in (ours, bare)]
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + REQUESTS):
        for side, connection in enumerate(connections):
            token = stage.token("kemenpanrb", "peninjau", subject=f"{seed}-{number}-{side}")
            seconds = _ask(connection, path(), token)
            if number >= WARM_UP:
                taken[side].append(seconds)
    for connection in connections:
        connection.close()
    return taken


def _ask(connection: HTTPConnection, path: Path, headers: Mapping[str, str]) -> float:
    began = time.perf_counter()
    connection.request("GET", path, headers=dict(headers))
    response = connection.getresponse()
    content = response.read()
    seconds = time.perf_counter() - began
    found: Any = orjson.loads(content)
    if response.status != 200 or not found:
        raise RuntimeError(f"{path} is answered with {response.status}: {content[:300]!r}")
    return seconds


def _bare(stage: Stage, service: Grown) -> Part:
    key = kept_key(stage.directory / "oidc" / "key.json").as_dict(private=False)
    environment = {
        "MONGODB_URI": stage.environment["MONGODB_URI"],
        "MONGODB_DATABASE": service.database,
        "BENCH_KEY": orjson.dumps(key).decode(),
    }
    directory = stage.directory / "bare-reads"
    (port,) = ports(directory, 1)
    return http_server(
        "bare-reads",
        factory="tests.bench.barereads:create_app",
        directory=directory,
        port=port,
        ready_path="/readyz",
        env=environment,
        outlives_parent=False,
    )
