"""The time, as precise as it is kept; and days, as the country counts them."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

JAKARTA = ZoneInfo("Asia/Jakarta")
"""Dates in decrees and deadlines are days there (WIB)."""


def now() -> datetime:
    """UTC in whole milliseconds: MongoDB keeps no finer, and what is answered must be what is read back."""
    precise = datetime.now(UTC)
    return precise.replace(microsecond=precise.microsecond // 1000 * 1000)


def day_of(at: datetime) -> date:
    """The day in Jakarta."""
    return at.astimezone(JAKARTA).date()


def end_of(day: date) -> datetime:
    """The moment after a day in Jakarta, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), JAKARTA).astimezone(UTC)
