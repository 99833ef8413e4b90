"""What several operations are asked with, and the stores that they ask."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict

from chassis.service import provided
from contracts.assessment import RegionCode
from contracts.commitment import Id
from contracts.organizations import OrganizationId
from contracts.regions import Directory
from services.commitment.store.followups import FollowUps
from services.commitment.store.pledges import Pledges
from services.commitment.store.scores import Scores
from services.commitment.store.uploads import Uploads
from services.commitment.store.visits import Visits

Regions = Annotated[Directory, provided(Directory)]
FollowUpStore = Annotated[FollowUps, provided(FollowUps)]
PledgeStore = Annotated[Pledges, provided(Pledges)]
ScoreStore = Annotated[Scores, provided(Scores)]
UploadStore = Annotated[Uploads, provided(Uploads)]
VisitStore = Annotated[Visits, provided(Visits)]
IdIn = Annotated[Id, Path(examples=["0b9d3f0e-4f0a-5d5e-9f6e-0e5f3f7b8a11"])]
OrganizationIn = Annotated[
    OrganizationId | None, Query(description="A region's code or an institution's slug.", examples=["32.05"])
]
RegionIn = Annotated[RegionCode | None, Query(description="A region's code.", examples=["32.11"])]
CommitmentIn = Annotated[Id | None, Query(description="A commitment's id.")]
Cursor = Annotated[str | None, Query(max_length=40, description="`next` of the page before; leave out for the first.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Rows a page.")]


class In(BaseModel):
    """A body: what it does not know is refused, so that nothing mistyped is lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
