"""How an endpoint is doing: when it is spared, and when it is given up (circuit breaker)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.notify.domain.schedule import JITTER, spread

OPENS_AFTER = 5
"""So many failures in a row, and it is spared for a while; then one attempt shows whether it is back."""
FIRST_PAUSE_S = 10.0
LONGEST_PAUSE = 30
"""Pauses double, up to so many times the first: five minutes."""
DISABLED_AFTER = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class Health:
    """Of one subscription's endpoint, as its last answers showed it."""

    failures: int = 0
    """In a row."""
    failing_since: datetime | None = None
    open_until: datetime | None = None
    """Nothing is sent before."""

    @property
    def probing(self) -> bool:
        """Whether the next attempt is to show if it is back: no more than that one is sent."""
        return self.failures >= OPENS_AFTER


def after_failure(
    health: Health,
    *,
    name: str,
    now: datetime,
    first_pause_s: float = FIRST_PAUSE_S,
    retry_after_s: float | None = None,
) -> Health:
    """One failure more of endpoint `name`; `Retry-After` spares it at once, the breaker after OPENS_AFTER."""
    failures, longest_s = health.failures + 1, first_pause_s * LONGEST_PAUSE
    pause_s = min(retry_after_s or 0.0, longest_s)
    if failures >= OPENS_AFTER:
        doubled = min(first_pause_s * 2 ** min(failures - OPENS_AFTER, 10), longest_s)
        pause_s = max(pause_s, doubled * (1 + JITTER * spread(f"{name}/{failures}")))
    return replace(
        health,
        failures=failures,
        failing_since=health.failing_since or now,
        open_until=now + timedelta(seconds=pause_s) if pause_s else None,
    )


def is_given_up(health: Health, *, now: datetime, after: timedelta = DISABLED_AFTER) -> bool:
    """Whether nothing was taken for so long that its subscription is to be disabled."""
    return health.failing_since is not None and now - health.failing_since >= after
