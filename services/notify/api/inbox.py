"""The inbox of a role: what came, what of it nobody has read yet."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, Field, StrictBool, model_validator

from chassis.auth import CurrentViewer
from chassis.conditional import IdempotencyKey
from chassis.openapi import routes
from chassis.problem import Forbidden
from chassis.problems import problems
from contracts.roles import Role
from services.notify.api.parameters import InboxStore, OwnJudge, Regions, cursor_of, place_of
from services.notify.api.subscription import In
from services.notify.domain.subscription import Language
from services.notify.usecases.inbox import Desk

router = routes("notify")
ITEMS_MAX = 200


class ItemOut(BaseModel):
    """An event that came for a role. Whoever reads it, reads it for all of their organization who have the role."""

    item: str
    role: Role
    came_at: datetime
    read_at: datetime | None
    text_id: str
    text_en: str
    event: dict[str, Any]
    """The CloudEvent, as webhooks get it."""


class InboxOut(BaseModel):
    """A page, the latest first. `next` is null on the last one; `unread` counts to 200."""

    items: list[ItemOut]
    unread: int
    next: str | None


class MarksIn(In):
    """Some items, or those that came until a time: the latest 200 of them at once."""

    items: list[Annotated[str, Field(max_length=40)]] | None = Field(default=None, min_length=1, max_length=ITEMS_MAX)
    until: AwareDatetime | None = None
    role: Role | None = None
    """Only in the inbox of this one of your roles."""
    read: StrictBool = True
    """False: unread again."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.items is None) == (self.until is None):
            raise ValueError("name items, or a time until which they came; not both")
        return self


class MarkedOut(BaseModel):
    """How many changed, and how many are unread now (200 at most)."""

    changed: int
    unread: int


async def _desk(
    viewer: CurrentViewer,
    inbox: InboxStore,
    judge: OwnJudge,
    directory: Regions,
) -> Desk:
    if viewer.organization is None:
        raise Forbidden
    return Desk(viewer, None, inbox, judge, directory)


OwnDesk = Annotated[Desk, Depends(_desk)]


@router.get("/inbox", responses=problems(400, 401, 403, 422, 429, 503))
async def read_inbox(
    desk: OwnDesk,
    role: Annotated[Role | None, Query(description="Only what came for this one of your roles.")] = None,
    unread: bool = False,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> InboxOut:
    """What came for your roles in your organization: by its subscriptions with the channel `inbox`.

    To be told live, open the stream with `inbox` set to a role, and read here when something comes.
    """
    page = await replace(desk, role=role).look(unread=unread, before=place_of(cursor), limit=limit)
    return InboxOut(
        items=[
            ItemOut(
                item=one.id,
                role=one.role,
                came_at=one.came_at,
                read_at=one.read_at,
                text_id=one.line[Language.INDONESIAN],
                text_en=one.line[Language.ENGLISH],
                event=one.event,
            )
            for one in page.items
        ],
        unread=page.unread,
        next=cursor_of(*page.last) if page.last else None,
    )


@router.post("/inbox/marks", responses=problems(400, 401, 403, 413, 415, 422, 429, 503))
async def mark_inbox(
    asked: MarksIn,
    desk: OwnDesk,
    _key: IdempotencyKey,  # as of every POST; a repeat changes nothing anyway
) -> MarkedOut:
    """As read, or as unread again, for all of your organization who have the role. Others' items are left alone."""
    desk = replace(desk, role=asked.role)
    changed = await desk.mark(items=asked.items, until=asked.until, read=asked.read)
    return MarkedOut(changed=changed, unread=await desk.unread())
