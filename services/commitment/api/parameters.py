"""What several operations are asked with, and the stores that they ask."""

import re
from datetime import date
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chassis.service import provided
from chassis.settings import Settings
from contracts.assessment import RegionCode
from contracts.commitment import Id
from contracts.organizations import OrganizationId
from contracts.regions import Directory
from services.commitment.measures import Measures
from services.commitment.pool import Pool
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
from services.commitment.usecases.answer import Answers, Sources
from services.commitment.usecases.draft import Press
from services.commitment.usecases.sign import Desk
from services.commitment.usecases.timeline import Nouns
from services.commitment.usecases.verify import Verdicts, Verification

Regions = Annotated[Directory, provided(Directory)]
FollowUpStore = Annotated[FollowUps, provided(FollowUps)]
PledgeStore = Annotated[Pledges, provided(Pledges)]
ScoreStore = Annotated[Scores, provided(Scores)]
UploadStore = Annotated[Uploads, provided(Uploads)]
VisitStore = Annotated[Visits, provided(Visits)]
CommitmentStore = Annotated[Commitments, provided(Commitments)]
CheckpointStore = Annotated[Checkpoints, provided(Checkpoints)]
PresenceStore = Annotated[Presence, provided(Presence)]
RevisionStore = Annotated[Revisions, provided(Revisions)]
PoolOf = Annotated[Pool, provided(Pool)]


async def _sources(request: Request, commitments: CommitmentStore, directory: Regions) -> Sources:
    resources = request.app.state.resources
    return Sources(resources[Answerable], resources[Answers], commitments, directory)


AnswerSources = Annotated[Sources, Depends(_sources)]
"""To answer."""


async def _nouns(request: Request, commitments: CommitmentStore, directory: Regions) -> Nouns:
    resources = request.app.state.resources
    return Nouns(resources[Visits], commitments, resources[Pledges], resources[FollowUps], resources[Scores], directory)


TimelineNouns = Annotated[Nouns, Depends(_nouns)]
"""All that a region's way is made of."""


async def _press(request: Request, pool: PoolOf, revisions: RevisionStore, directory: Regions) -> Press:
    return Press(pool, revisions, directory, request.app.state.resources[Settings])


PressTools = Annotated[Press, Depends(_press)]
"""To set documents."""


async def _desk(request: Request, press: PressTools, commitments: CommitmentStore) -> Desk:
    resources = request.app.state.resources
    own = (resources[Signers], press.pool, press.directory, press.settings, resources[Turns], resources[Measures])
    return Desk(commitments, press.revisions, *own)


SigningDesk = Annotated[Desk, Depends(_desk)]
"""To sign."""


async def _verification(
    request: Request, pool: PoolOf, revisions: RevisionStore, commitments: CommitmentStore
) -> Verification:
    resources = request.app.state.resources
    return Verification(commitments, revisions, resources[Verdicts], resources[Signers], pool)


VerificationTools = Annotated[Verification, Depends(_verification)]
"""To look at documents."""
IdIn = Annotated[Id, Path(examples=["0b9d3f0e-4f0a-5d5e-9f6e-0e5f3f7b8a11"])]
OrganizationIn = Annotated[
    OrganizationId | None, Query(description="A region's code or an institution's slug.", examples=["32.05"])
]
RegionIn = Annotated[RegionCode | None, Query(description="A region's code.", examples=["32.11"])]
CommitmentIn = Annotated[Id | None, Query(description="A commitment's id.")]
BLOCK = r"^[a-z][0-9]{2,3}$"
BlockIn = Annotated[str, Path(pattern=BLOCK, examples=["p01"], description="A place to sign.")]
Block = Annotated[str, Field(pattern=BLOCK, examples=["p01"], description="A place to sign.")]
Cursor = Annotated[str | None, Query(max_length=40, description="`next` of the page before; leave out for the first.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Rows a page.")]


def _iso(value: object) -> object:
    if not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
        raise ValueError("write it as 2023-07-12")
    return value


Day = Annotated[date, BeforeValidator(_iso)]
"""As it is written; Pydantic alone takes `0` for the first day of 1970."""


class In(BaseModel):
    """A body: what it does not know is refused, so that nothing mistyped is lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
