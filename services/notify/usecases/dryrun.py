"""What would have matched, had one subscribed before."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chassis.clock import now
from chassis.problem import Forbidden
from chassis.viewer import Viewer
from contracts.regions import Directory
from services.notify.domain.matching import asked_tokens, event_tokens
from services.notify.domain.right import may_be_told, right_of
from services.notify.settings import NotifySettings
from services.notify.store.events import Events, about
from services.notify.store.rights import Rights
from services.notify.store.subscriptions import may_manage
from services.notify.usecases.subscribe import Asked, check_asked

DRY_RUN = timedelta(days=7)
DRY_RUN_SHOWN = 20
DRY_RUN_LOOKED_AT_MAX = 20_000


@dataclass(slots=True)
class WouldMatch:
    """What a dry run found."""

    since: datetime
    matched: int = 0
    looked_at: int = 0
    whole: bool = True
    """False where there was more than one answer looks at."""
    latest: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=DRY_RUN_SHOWN))


async def dry_run(
    asked: Asked,
    *,
    viewer: Viewer,
    events: Events,
    rights: Rights,
    directory: Directory,
    settings: NotifySettings,
) -> WouldMatch:
    """What would have matched in the last 7 days. Raises Forbidden, and what `check_asked` does."""
    if not may_manage(viewer) or viewer.organization is None:
        raise Forbidden
    check_asked(asked, directory=directory, settings=settings)
    organization = viewer.organization
    tokens = frozenset(asked_tokens(asked.types, asked.regions, asked.groups))
    given = (await rights.many([organization]))[organization]
    until = now()
    found = WouldMatch(since=until - DRY_RUN)
    async for page in events.between(found.since, until):
        for event in page:
            if not tokens.isdisjoint(event_tokens(event["type"], event["within"], directory)) and may_be_told(
                about(event), organization=organization, rights=(given, right_of(viewer)), subscription=""
            ):
                found.matched += 1
                found.latest.append(event)
        found.looked_at += len(page)
        if found.looked_at >= DRY_RUN_LOOKED_AT_MAX:
            found.whole = False
            break
    return found
