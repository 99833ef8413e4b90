"""The log as somebody may read it."""

from dataclasses import dataclass
from datetime import datetime

from chassis.store import Document
from chassis.viewer import Viewer
from services.notify.store.log import Log, Wanted
from services.notify.usecases.judge import Judge

SCANNED_MAX = 1_000
"""Deliveries read for one page, shown or not."""


@dataclass(frozen=True, slots=True)
class Page:
    """`last` is the place to go on from, None at the end."""

    items: list[Document]
    last: tuple[datetime, str] | None


async def look(
    wanted: Wanted, *, viewer: Viewer, before: tuple[datetime, str] | None, limit: int, log: Log, judge: Judge
) -> Page:
    """The latest first; past what the viewer may not be told it reads on, so that a page does not tell of that."""
    shown: list[Document] = []
    scanned = 0
    while len(shown) <= limit and scanned < SCANNED_MAX:
        found = await log.page(wanted, viewer=viewer, before=before, limit=limit + 1)
        shown += [one for one, _ in await judge.tellable(found, viewer=viewer)]
        scanned += len(found)
        before = _place(found[-1]) if len(found) > limit else None
        if before is None:
            break
    return Page(shown[:limit], _place(shown[limit - 1]) if len(shown) > limit else before)


def _place(delivery: Document) -> tuple[datetime, str]:
    return delivery["created_at"], delivery["_id"]
