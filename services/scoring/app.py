"""The scoring service: a region's levels become its score, and nothing is ever lost on the way."""

from fastapi import FastAPI

from chassis.service import Resources, service
from chassis.settings import Settings
from services.scoring import api, consumers, usecases
from services.scoring.store.instruments import Instruments
from services.scoring.store.projection import Projection
from services.scoring.store.scores import Scores


def create_app(settings: Settings | None = None) -> FastAPI:
    """Nothing is created before its lifespan begins."""
    return service(
        settings or Settings(),
        name="scoring",
        routes=api.router,
        stores=[Instruments, Projection, Scores],
        reactions=consumers.reactions,
        beside=[derive_summaries],
    )


async def derive_summaries(resources: Resources) -> None:
    """Summaries follow a second behind the scores."""
    await usecases.derive_summaries(resources[Projection])
