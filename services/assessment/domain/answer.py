"""What a region says about an indicator, and which levels it may claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from chassis.problem import Problem
from contracts.assessment import InstrumentPublished

TEXT_MAX_CHARS = 10_000


class UnknownIndicator(Problem):
    """The instrument has no such indicator."""

    status, code, title = 404, "unknown_indicator", "There is no such indicator"

    def __init__(self, number: int, highest: int, *, field: str = "number") -> None:
        super().__init__(
            f"The instrument has indicators 1 to {highest}; {number} is not one of them.",
            f"Instrumen ini memiliki indikator 1 sampai {highest}; {number} bukan salah satunya.",
            field=field,
        )
        if field != "number":  # named in a body, not in the address
            self.status = 422


class LevelOffScale(Problem):
    """The level is below or above the scale."""

    status, code, title = 422, "level_off_scale", "The level is not on the scale"


class LevelNotWhole(Problem):
    """The instrument takes whole levels only."""

    status, code, title = 422, "level_not_whole", "The level must be a whole number"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a region says about one indicator: the level, and what supports it. `version` counts its changes."""

    level: str
    """Exact decimal text, without needless zeros."""
    fakta: str
    analisis: str
    service_name: str | None
    """Of a repeated indicator (a sector service, a public service): which service was meant."""
    by: str
    at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer or a finding as it is handed in."""

    level: str
    fakta: str = ""
    analisis: str = ""
    service_name: str | None = None
    justifikasi: str = ""
    """An assessor's: why this level, where it differs from the region's."""
    place: str = ""
    """Where in the request it stands, such as `answers.0.`; empty where it is the request."""


def checked_levels(drafts: Mapping[int, Draft], instrument: InstrumentPublished) -> dict[int, str]:
    """Each draft's level in its one form. Raises as `checked_level` does."""
    return {n: checked_level(d.level, number=n, instrument=instrument, place=d.place) for n, d in drafts.items()}


def checked_level(text: str, *, number: int, instrument: InstrumentPublished, place: str = "") -> str:
    """The level in its one form (`3.0` is `3`). Raises UnknownIndicator, LevelOffScale, LevelNotWhole."""
    if not 1 <= number <= len(instrument.indicators):
        raise UnknownIndicator(number, len(instrument.indicators), field=f"{place}number")
    scale = instrument.scale
    level = Decimal(text)
    field = f"{place}level"
    if not scale.lowest <= level <= scale.highest:
        raise LevelOffScale(
            f"Indicator {number} takes {scale.lowest} to {scale.highest}.",
            f"Indikator {number} menerima {scale.lowest} sampai {scale.highest}.",
            field=field,
        )
    whole = level == int(level)
    if scale.whole and not whole:
        raise LevelNotWhole(
            f"Indicator {number} takes one of {', '.join(map(str, range(scale.lowest, scale.highest + 1)))}.",
            f"Indikator {number} menerima salah satu dari "
            f"{', '.join(map(str, range(scale.lowest, scale.highest + 1)))}.",
            field=field,
        )
    return str(int(level)) if whole else format(level.normalize(), "f")
