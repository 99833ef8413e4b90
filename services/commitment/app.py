"""The commitment service: who came to study, who pledged, who acted, and what came of it."""

from pathlib import Path

from fastapi import FastAPI

from chassis.service import Resources, service
from chassis.settings import Settings
from contracts.regions import Directory
from services.commitment import api, consumers
from services.commitment.api.file import FILES
from services.commitment.api.verification import PDF_MAX_BYTES, VERIFICATIONS
from services.commitment.api.visit import IMPORTS
from services.commitment.domain.table import CSV_MAX_BYTES
from services.commitment.domain.upload import FILE_MAX_BYTES
from services.commitment.measures import Measures
from services.commitment.pool import Pool
from services.commitment.settings import CommitmentSettings
from services.commitment.signers import Signers
from services.commitment.store.checkpoints import Checkpoints
from services.commitment.store.commitments import Commitments
from services.commitment.store.followups import FollowUps
from services.commitment.store.pledges import Pledges
from services.commitment.store.presence import Presence
from services.commitment.store.records import Answerable
from services.commitment.store.revisions import Revisions
from services.commitment.store.scores import Scores
from services.commitment.store.uploads import Uploads
from services.commitment.store.visits import Visits
from services.commitment.turns import Turns
from services.commitment.usecases import audit, due, followup, pledge, upload, visit
from services.commitment.usecases.answer import Answers
from services.commitment.usecases.sign import Desk
from services.commitment.usecases.verify import Verdicts


def create_app(settings: CommitmentSettings | None = None) -> FastAPI:
    """Nothing is created before its lifespan begins."""
    settings = settings or CommitmentSettings()
    pool = Pool(settings)
    return service(
        settings,
        name="commitment",
        examples=Path(__file__).with_name("examples.json"),
        routers=api.routers,
        stores=[
            *(Answerable, Checkpoints, Commitments, FollowUps, Measures, Pledges, Presence, Revisions, Scores),
            *(Uploads, Visits),
            *(
                lambda _: Signers(settings, pool),
                lambda _: pool,
                lambda _: Turns(),
                lambda _: Verdicts(),
                lambda _: Answers(),
            ),
        ],
        reactions=consumers.reactions,
        at_start=[check_settings],
        beside=[
            carry_imports,
            call_due_commitments,
            call_due_pledges,
            call_due_followups,
            keep_checkpoints,
            sweep_uploads,
            sweep_revisions,
            measure,
        ],
        tables={IMPORTS: CSV_MAX_BYTES},
        files={FILES: FILE_MAX_BYTES, VERIFICATIONS: PDF_MAX_BYTES},
    )


async def check_settings(resources: Resources) -> None:
    """With a key that is none no process starts. Raises ValueError that says what to do."""
    audit.signing_key(resources[Settings])


async def keep_checkpoints(resources: Resources) -> None:
    """What was done is put under a signature, from time to time."""
    await audit.keep_checkpoints(resources[Checkpoints], resources[Settings])


async def carry_imports(resources: Resources) -> None:
    """Tables of visits become visits."""
    await visit.carry_imports(resources[Visits])


async def call_due_commitments(resources: Resources) -> None:
    """What was sent and not answered is unknown; what is signed is sealed; what is over is completed."""
    needed = (Commitments, Revisions, Signers, Pool, Directory, Settings, Turns, Measures)
    await due.call_due(Desk(*(resources[part] for part in needed)))


async def call_due_pledges(resources: Resources) -> None:
    """What is open when its day is over is missed."""
    await pledge.call_due(resources[Pledges])


async def call_due_followups(resources: Resources) -> None:
    """What is not done when its day is over is overdue."""
    await followup.call_due(resources[FollowUps])


async def sweep_revisions(resources: Resources) -> None:
    """So do documents that no commitment came to hold."""
    await upload.sweep_revisions(resources[Revisions])


async def measure(resources: Resources) -> None:
    """How far the nation came is watched, and whether its trails are signed in time."""
    await resources[Measures].watch(resources[Checkpoints], resources[Answerable])


async def sweep_uploads(resources: Resources) -> None:
    """Files that nothing points to go."""
    await upload.sweep(resources[Uploads])
