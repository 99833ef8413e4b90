"""The commitment service: who came to study, who pledged, who acted, and what came of it."""

from pathlib import Path

from fastapi import FastAPI

from chassis.service import Resources, service
from chassis.settings import Settings
from services.commitment import api, consumers
from services.commitment.api.file import FILES
from services.commitment.api.visit import IMPORTS
from services.commitment.domain.table import CSV_MAX_BYTES
from services.commitment.domain.upload import FILE_MAX_BYTES
from services.commitment.store.followups import FollowUps
from services.commitment.store.pledges import Pledges
from services.commitment.store.scores import Scores
from services.commitment.store.uploads import Uploads
from services.commitment.store.visits import Visits
from services.commitment.usecases import followup, pledge, upload, visit


def create_app(settings: Settings | None = None) -> FastAPI:
    """Nothing is created before its lifespan begins."""
    return service(
        settings or Settings(),
        name="commitment",
        examples=Path(__file__).with_name("examples.json"),
        routers=api.routers,
        stores=[FollowUps, Pledges, Scores, Uploads, Visits],
        reactions=consumers.reactions,
        beside=[carry_imports, call_due_pledges, call_due_followups, sweep_uploads],
        tables={IMPORTS: CSV_MAX_BYTES},
        files={FILES: FILE_MAX_BYTES},
    )


async def carry_imports(resources: Resources) -> None:
    """Tables of visits become visits."""
    await visit.carry_imports(resources[Visits])


async def call_due_pledges(resources: Resources) -> None:
    """What is open when its day is over is missed."""
    await pledge.call_due(resources[Pledges])


async def call_due_followups(resources: Resources) -> None:
    """What is not done when its day is over is overdue."""
    await followup.call_due(resources[FollowUps])


async def sweep_uploads(resources: Resources) -> None:
    """Files that nothing points to go."""
    await upload.sweep(resources[Uploads])
