"""The scoring service: a region's levels become its score, and nothing is ever lost on the way."""

from pathlib import Path

from fastapi import FastAPI

from chassis.service import Resources, service
from chassis.settings import Settings
from services.scoring import api, consumers
from services.scoring.api.official import IMPORTS
from services.scoring.domain.table import CSV_MAX_BYTES
from services.scoring.measures import Measures
from services.scoring.store.instruments import Instruments
from services.scoring.store.official import Official
from services.scoring.store.projection import Projection
from services.scoring.store.scores import Scores
from services.scoring.store.summaries import Summaries
from services.scoring.usecases import official, score


def create_app(settings: Settings | None = None) -> FastAPI:
    """Nothing is created before its lifespan begins."""
    return service(
        settings or Settings(),
        name="scoring",
        examples=Path(__file__).with_name("examples.json"),
        routers=api.routers,
        stores=[Instruments, Measures, Official, Projection, Scores, Summaries],
        reactions=consumers.reactions,
        beside=[derive_summaries, carry_imports, measure],
        tables={IMPORTS: CSV_MAX_BYTES},
    )


async def derive_summaries(resources: Resources) -> None:
    """Summaries follow a second behind the scores."""
    await score.derive_summaries(resources[Summaries])


async def carry_imports(resources: Resources) -> None:
    """What KemenPANRB imported reaches every region."""
    await official.carry_imports(resources[Official], resources[Instruments])


async def measure(resources: Resources) -> None:
    """How far the nation came is watched."""
    await resources[Measures].watch(resources[Summaries])
