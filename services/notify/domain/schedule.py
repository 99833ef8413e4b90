"""When a delivery is tried again: a pure function of the attempt, the time, and what the endpoint said.

The first steps are those that Standard Webhooks recommends (specification, "Retry schedule").
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from hashlib import blake2b

MINUTE, HOUR = 60, 3_600
SCHEDULE_S: tuple[float, ...] = (
    0,
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
"""Seconds before each attempt, counted from the one before: ten attempts in 3.1 days."""
JITTER = 0.2
"""A wait is up to so much longer, else all that failed in one outage would come again in one moment."""
RETRY_AFTER_MAX_S = 24 * HOUR
DIGEST_EVERY_S = 24 * HOUR
_A_DIGEST = datetime(2000, 1, 1, 23, tzinfo=UTC)
"""06:00 in Jakarta: all others are so many times DIGEST_EVERY_S later. There is no summer time there."""


class Verdict(StrEnum):
    """What an answer means for the delivery."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"
    """410: the endpoint wants nothing more, ever."""
    REFUSED = "refused"
    """There is no such address: a mail server will not take it at any later time either."""


def verdict(status: int | None) -> Verdict:
    """Only 2xx is success; redirects are not followed, hence failures. None: there was no answer."""
    if status is not None and 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.GONE if status == 410 else Verdict.FAILED


def next_digest(now: datetime, *, every_s: float = DIGEST_EVERY_S) -> datetime:
    """When what comes now is told: the first digest after it, at 06:00 in Jakarta where they are daily."""
    passed = (now - _A_DIGEST).total_seconds() // every_s
    return _A_DIGEST + timedelta(seconds=(passed + 1) * every_s)


def retry_at(
    name: str,
    attempts: int,
    *,
    now: datetime,
    schedule_s: Sequence[float] = SCHEDULE_S,
    retry_after_s: float | None = None,
) -> datetime | None:
    """When delivery `name` is tried again after `attempts` that failed; None when the schedule is used up.

    `Retry-After` can only put it off, by RETRY_AFTER_MAX_S at most. The same arguments give the same time.
    """
    if attempts >= len(schedule_s):
        return None
    wait_s = schedule_s[attempts] * (1 + JITTER * spread(f"{name}/{attempts}"))
    return now + timedelta(seconds=max(wait_s, min(retry_after_s or 0, RETRY_AFTER_MAX_S)))


def spread(name: str) -> float:
    """A number from 0 to 1, the same for the same name, and for many names evenly spread."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) / 2**64


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Seconds to wait by a `Retry-After` header (RFC 9110, section 10.2.3); None for one that says nothing sensible."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # also what is empty
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
