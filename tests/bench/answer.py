"""The answer for the nation over HTTP: 552 regions with 8 years of results, made by us and put beside one service.

Fresh: the records are read and reckoned, as the first who asks in two seconds finds it. Shared: asked again within
them. One client on one connection, time on the clock.
"""

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

import httpx
from rich.progress import Progress

from contracts.commitment import Reached
from contracts.regions import Directory
from contracts.scoring import Basis
from contracts.scoring import Figure as Index
from lab.keys import commitment_settings
from lab.parts import service
from services.commitment.domain.score import Heard
from services.commitment.usecases.answer import FRESH_S
from tests.bench.drain import WrongResult
from tests.bench.figures import Figure
from tests.bench.stage import Stage

PERIODS = range(2018, 2026)
VISITS, SIGNATURES, FOLLOW_UPS = 700, 300, 3_000
ROUNDS = 9
SHARED_READS = 100


def measure(stage: Stage, progress: Progress) -> Sequence[Figure]:
    """Milliseconds to read the funnel, fresh and shared."""
    task = progress.add_task("answer", total=ROUNDS)
    own = commitment_settings(stage.directory / "commitment-keys", pki=None)
    with stage.database() as database:
        settings = {**stage.environment, **own, "MONGODB_DATABASE": database, "ROLE": "api"}
        with (
            service(stage.directory / "commitment", "commitment", settings) as part,
            httpx.Client(base_url=f"{part.address}/commitment/v1") as client,
        ):
            put(stage.mongo[database], Directory.load())
            viewer = stage.token("kemenpanrb", "peninjau")
            fresh: list[float] = []
            shared: list[float] = []
            for _ in range(ROUNDS):
                time.sleep(FRESH_S)
                fresh.append(_milliseconds(client, viewer))
                again = [_milliseconds(client, viewer) for _ in range(SHARED_READS)]
                shared.append(sum(again) / len(again))
                progress.advance(task)
    return [Figure.of("answer_fresh", "ms", fresh), Figure.of("answer_shared", "ms", shared)]


def put(database: Any, directory: Directory) -> None:
    """Made records, as the stores of commitment would have written them."""
    codes = [region.code for region in directory]
    day = "2023-07-12"
    database.visits.insert_many(
        {
            "_id": f"visit-{n}",
            "state": {
                "status": "recorded",
                "organization": codes[n % len(codes)],
                "host": "32.11",
                "visited_on": day,
            },
        }
        for n in range(VISITS)
    )
    signed = [{"organization": code, "on": day} for code in codes[:SIGNATURES]]
    database.commitments.insert_one(
        {
            "_id": "made",
            "public": True,
            "status": "in_force",
            "joined": codes[:SIGNATURES],
            "signed": signed,
            "target": None,
        }
    )
    database.followups.insert_many(
        {
            "_id": f"followup-{n}",
            "acted": True,
            "region": codes[n % SIGNATURES],
            "commitment": "made",
            "state": {"done_on": "2024-02-01"},
        }
        for n in range(FOLLOW_UPS)
    )
    heard = [_heard(code, n, period) for n, code in enumerate(codes) for period in PERIODS]
    database.scores.insert_many(
        {"_id": f"{one.score}/public", "all": False, **one.model_dump(mode="json")} for one in heard
    )


def _heard(code: str, number: int, period: int) -> Heard:
    index = f"{(200 + (number + 37 * period) % 300) / 100:.2f}"
    score = f"nasional-{period}:{code}"
    reached = Reached(
        score=score,
        cycle=f"nasional-{period}",
        period=period,
        basis=Basis.OFFICIAL,
        index=Index(value=index, shown=index),
        predicate="Baik",
        on=date(period + 1, 1, 11),
    )
    return Heard(
        score=score,
        region=code,
        province=code[:2],
        instrument="spbe-2020",
        period=period,
        revision=1,
        rule=1,
        public=True,
        official=True,
        counted=reached,
        declared=None,
    )


def _milliseconds(client: httpx.Client, viewer: dict[str, str]) -> float:
    began = time.perf_counter()
    answer = client.get("/funnel", headers=viewer).raise_for_status()
    taken = 1000 * (time.perf_counter() - began)
    reached = {step["stage"]: step["count"] for step in answer.json()["steps"]}
    if not all(reached[stage] for stage in ("visited", "signed", "acted", "improved")):
        raise WrongResult(f"the funnel counts nobody: {reached}")
    return taken
