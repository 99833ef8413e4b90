"""The time, as precise as it is kept."""

from datetime import UTC, datetime


def now() -> datetime:
    """UTC in whole milliseconds: MongoDB keeps no finer, and what is answered must be what is read back."""
    precise = datetime.now(UTC)
    return precise.replace(microsecond=precise.microsecond // 1000 * 1000)
