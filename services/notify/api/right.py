"""What each organization may be told of: set by administrators."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import Path, Request
from pydantic import BaseModel, Field, model_validator

from chassis.auth import CurrentViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import routes
from chassis.problems import problems
from chassis.references import UnknownRegion
from services.notify.api.parameters import Regions, RightStore
from services.notify.api.subscription import In
from services.notify.domain.right import Kind, Right

router = routes("notify")
OrganizationId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9.-]{0,59}$", examples=["kemendagri"])]
ROOTS_MAX = 100


class RightIn(In):
    """How far an organization may be told: of what is public, of some regions, or of the nation."""

    reach: Literal["public", "regions", "assigned", "national"]
    """`assigned`: what each of its assessors was assigned to."""
    regions: list[Annotated[str, Field(max_length=16)]] = Field(default=[], max_length=ROOTS_MAX, examples=[["32"]])
    """Each with all that lies in it; only for `regions`."""

    @model_validator(mode="after")
    def _regions_where_they_mean_something(self) -> Self:
        if bool(self.regions) != (self.reach == "regions"):
            raise ValueError("regions are named for the reach `regions`, and for no other")
        return self


class RightOut(BaseModel):
    """What an organization may be told of. `set_at` is null where nobody has set it: then it is what is public."""

    organization: str
    reach: Literal["public", "regions", "assigned", "national"]
    regions: list[str]
    set_at: datetime | None


@router.put("/rights/{organization}", responses=problems(400, 401, 403, 413, 415, 422, 429, 503))
async def set_right(
    organization: OrganizationId, asked: RightIn, viewer: CurrentViewer, rights: RightStore, directory: Regions
) -> RightOut:
    """Administrators say how far. It counts from this moment, for what is on its way too; a token only narrows it."""
    for code in asked.regions:
        if directory.find(code) is None:
            raise UnknownRegion(field="regions")
    right = Right(Kind(asked.reach), roots=tuple(asked.regions))
    at = await rights.set(organization, right, viewer=viewer)
    return RightOut(organization=organization, reach=asked.reach, regions=asked.regions, set_at=at)


@router.get("/rights/{organization}", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def one_right(
    organization: OrganizationId, viewer: CurrentViewer, rights: RightStore, request: Request
) -> RightOut:
    """How far your organization may be told; administrators see everybody's."""
    right, at = await rights.get(organization, viewer=viewer)
    return told(
        RightOut(organization=organization, reach=right.kind.value, regions=list(right.roots), set_at=at), request
    )
