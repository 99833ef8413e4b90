"""How far a region came since something began: two results that count, of one instrument. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction


class Apart(StrEnum):
    """Why nobody can say whether a region rose."""

    NO_SCORE = "no_score"
    """Nothing counts, or it is no region."""
    NO_BASE = "no_base"
    """Nothing from before."""
    NO_LATER = "no_later"
    """Nothing from after."""
    OTHER_INSTRUMENT = "other_instrument"
    """Before and after were measured by different instruments: their indices must not be compared."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A result that counts, by a decree or by the Lab from what was verified. `on`: the day from which it counts."""

    region: str
    period: int
    instrument: str
    index: Fraction
    predicate: str
    on: date
    official: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """The result of before and the newest one since, of one instrument."""

    base: Scored
    later: Scored

    @property
    def change(self) -> Fraction:
        """Of the exact index."""
        return self.later.index - self.base.index


ByPeriod = Mapping[int, Scored]
Results = Mapping[str, Mapping[str, ByPeriod]]
"""By region, instrument and period."""


def results(scored: Iterable[Scored], *, successor: Callable[[str], str]) -> Results:
    """What counts of each period, in any order: the official result where there is one, else the newest computed."""
    found: dict[str, dict[str, dict[int, Scored]]] = {}
    for one in scored:
        by_period = found.setdefault(successor(one.region), {}).setdefault(one.instrument, {})
        there = by_period.get(one.period)
        if there is None or _weight(one) > _weight(there):
            by_period[one.period] = one
    return found


def until(by_period: ByPeriod, year: int) -> Scored | None:
    """The result of the latest period up to this one."""
    return by_period.get(max((period for period in by_period if period <= year), default=year))


def progress(found: Mapping[str, ByPeriod], *, since: int) -> Progress | Apart:
    """From the latest period up to the year `since` to the newest one after it.

    By periods, not by days of decrees: the results of 2023 were decreed on 11 January 2024, and are what a region had
    when it signed in July 2023. Where several instruments measured both, the one that measured last.
    """
    bases = {instrument: base for instrument, by_period in found.items() if (base := until(by_period, since))}
    later = {
        instrument: by_period[newest]
        for instrument, by_period in found.items()
        if (newest := max(by_period)) > since
    }  # fmt: skip
    measured = [Progress(bases[instrument], later[instrument]) for instrument in bases.keys() & later.keys()]
    if measured:
        return max(measured, key=lambda one: (one.later.period, one.base.period, one.base.instrument))
    if not found:
        return Apart.NO_SCORE
    if not bases:
        return Apart.NO_BASE
    return Apart.OTHER_INSTRUMENT if later else Apart.NO_LATER


def _weight(one: Scored) -> tuple[bool, date, Fraction, str, str]:
    return one.official, one.on, one.index, one.predicate, one.region
