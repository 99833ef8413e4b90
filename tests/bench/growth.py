"""What a hundred or a thousand times as many regions cost: nothing, if the slope of log cost over log regions is 0.

62 regions, the 552 of today, and 100,000 as if villages joined: made by us, under the 38 provinces that there are.
All have a score before anything is measured. `growth`: the same number of submissions at each size. `reads`: standings,
summaries and a score over HTTP.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from rich.progress import Progress

from contracts import topics
from contracts.regions import Directory
from lab.parts import Part
from tests.bench.drain import Drained, Side, running, watch, worker
from tests.bench.figures import Figure, slope
from tests.bench.load import CYCLE, send, send_catalogue, submissions
from tests.bench.stage import Stage

SIZES = (62, 552, 100_000)
ROUNDS = 3
EVENTS = 6_000
READS = 60
PAGE = 20
"""Rows of standings that even the smallest size can fill."""
CHUNK = 5_000
SETTLE_S = 900.0
COLUMNS = "code,name,kind,province,self_governing,population,area_km2,valid_from,valid_to,predecessors"


@dataclass(frozen=True, slots=True)
class Grown:
    """A scoring service, both roles, that knows `codes` and has a score of each."""

    part: Part
    side: Side
    codes: Sequence[str]
    database: str


def measure_events(stage: Stage, progress: Progress) -> list[Figure]:
    """Cost of an event: time on the clock, and CPU of the worker."""
    task = progress.add_task("growth", total=len(SIZES) * ROUNDS)
    costs: dict[int, list[Drained]] = {}
    for size in SIZES:
        progress.update(task, description=f"growth: {size} regions")
        with grown(stage, size) as service:
            for number in range(ROUNDS):
                drained = _drain(stage, service, first_revision=10_000 * (number + 1), seed=number)
                costs.setdefault(size, []).append(drained)
                progress.console.print(f"  {size:>7} {drained}", highlight=False)
                progress.advance(task)
    wall = {size: [1e6 / drained.per_second for drained in found] for size, found in costs.items()}
    cpu = {size: [drained.cpu_us for drained in found] for size, found in costs.items()}
    return [*_figures("growth_event_time", "µs", wall), *_figures("growth_event_cpu", "µs", cpu)]


def measure_reads(stage: Stage, progress: Progress) -> list[Figure]:
    """Cost of a read: time on the clock of one client that asks again and again."""
    task = progress.add_task("reads", total=len(SIZES))
    costs: dict[str, dict[int, list[float]]] = {}
    for size in SIZES:
        progress.update(task, description=f"reads: {size} regions")
        with grown(stage, size) as service, httpx.Client(base_url=f"{service.part.address}/scoring/v1") as client:
            for _ in range(ROUNDS):
                for name, read in _reads(stage, client, service.codes).items():
                    costs.setdefault(name, {}).setdefault(size, []).append(_milliseconds(read))
        for name, by_size in costs.items():
            progress.console.print(f"  {size:>7} {name:<28} {median(by_size[size]):.2f} ms", highlight=False)
        progress.advance(task)
    return [figure for name, by_size in costs.items() for figure in _figures(f"reads_{name}", "ms", by_size)]


def _figures(name: str, unit: str, costs: Mapping[int, Sequence[float]]) -> list[Figure]:
    slopes = [slope([(size, costs[size][number]) for size in SIZES]) for number in range(ROUNDS)]
    sizes = [Figure.of(f"{name}_{size}", unit, costs[size]) for size in SIZES]
    return [Figure.of(f"{name}_slope", "log/log", slopes, target="<= 0.1"), *sizes]


def _drain(stage: Stage, grown: Grown, *, first_revision: int, seed: int) -> Drained:
    submitted = submissions(grown.codes, EVENTS, seed=seed, first_revision=first_revision)
    results_begin = stage.ends(topics.SCORE.name)
    send(stage.kafka, submitted)
    return watch(stage, grown.side, grown.part, EVENTS, warm_up=EVENTS // 10, results_begin=results_begin)


def _reads(stage: Stage, client: httpx.Client, codes: Sequence[str]) -> Mapping[str, Callable[[], Any]]:
    nation = stage.token("kemenpanrb", "peninjau")
    province = stage.token("32", "pembina")
    regencies = f"/standings?cycle={CYCLE}&kind=regency"
    page = f"{regencies}&limit={PAGE}"

    def get(path: str, viewer: Mapping[str, str]) -> Any:
        answer = client.get(path, headers=viewer).raise_for_status().json()
        assert answer.get("items", True), f"{path} shows nothing"
        return answer

    following = f"{page}&cursor={get(f'{regencies}&limit=3', nation)['next']}"
    region = next(code for code in codes if code.startswith("32."))
    return {
        "standings": lambda: get(page, nation),
        "standings_next": lambda: get(following, nation),
        "standings_of_province": lambda: get(f"{page}&province=32", province),
        "summary_nation": lambda: get(f"/summaries/{CYCLE}", nation),
        "summary_province": lambda: get(f"/summaries/{CYCLE}?province=32", province),
        "score": lambda: get(f"/scores/{CYCLE}:{region}", nation),
    }


def _milliseconds(read: Callable[[], object]) -> float:
    taken: list[float] = []
    for _ in range(READS):
        began = time.perf_counter()
        read()
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


@contextmanager
def grown(stage: Stage, size: int) -> Generator[Grown]:
    """A service whose reference list has `size` regions; some were scored by it, the others are copies of these."""
    file = stage.directory / f"regions-{size}.csv"
    provinces = _make_regions(file, size)
    codes = list(provinces)
    send_catalogue(stage.kafka)
    side = worker(stage, role="both", REGIONS_FILE=str(file))
    begin = stage.ends(topics.ASSESSMENT.name)
    with stage.database() as database, running(stage, side, database, begin=begin) as part:
        service = Grown(part, side, codes, database)
        _drain(stage, service, first_revision=1, seed=99)
        _copy_scores(stage.mongo[database], provinces)
        # Once more, so that every province's mark is raised after the copies were there.
        _drain(stage, service, first_revision=5_000, seed=98)
        _wait_for_summaries(stage.mongo[database])
        yield service


def _make_regions(file: Path, size: int) -> dict[str, str]:
    """Write a list of `size` regions, the provinces among them; returns code → province."""
    real = [region.code for region in Directory.load() if region.kind == "province"]
    made = [
        (f"{real[n % len(real)]}.{n // 9_000 + 10:02}.{n % 9_000 + 1_000}", real[n % len(real)]) for n in range(size)
    ]
    rows = [(code, "province", code) for code in real]
    rows += [(code, "regency", province) for code, province in made[: size - len(real)]]
    with file.open("w", newline="") as out:
        out.write(f"{COLUMNS}\n")
        out.writelines(f"{code},Daerah buatan {code},{kind},{province},true,,,,,\n" for code, kind, province in rows)
    return {code: province for code, _, province in rows}


def _copy_scores(database: Any, provinces: Mapping[str, str]) -> None:
    """Give every region without a score a copy of one that the service made."""
    there = {document["region"]: document for document in database["current"].find()}
    originals = [document for document in there.values() if document["kind"] == "regency"]
    missing = [code for code in provinces if code not in there]
    for begin in range(0, len(missing), CHUNK):
        copies: list[dict[str, Any]] = []
        for position, code in enumerate(missing[begin : begin + CHUNK], start=begin):
            mine = {"_id": f"{CYCLE}:{code}", "assessment": f"{CYCLE}:{code}", "region": code}
            copies.append({**originals[position % len(originals)], **mine, "province": provinces[code]})
        database["current"].insert_many(copies)


def _wait_for_summaries(database: Any) -> None:
    deadline = time.monotonic() + SETTLE_S
    while database["summaries"].count_documents({"raised": {"$gt": 0}}):
        if time.monotonic() > deadline:
            raise TimeoutError(f"summaries are not derived within {SETTLE_S:.0f} s")
        time.sleep(0.1)
