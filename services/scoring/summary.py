"""Summaries: exact histograms that merge, so that no read and no event ever counts regions again. Pure.

A province's part holds, per kind of region, how many have which index as shown and which predicate, and the exact sum.
The nation is the sum of its provinces.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of the regions of one kind in one scope."""

    kind: str
    shown: Mapping[str, int]
    """Index as shown (two decimals) → how many regions. At most 501 entries, however many regions."""
    predicates: Mapping[str, int]
    total: Fraction
    """The exact sum of the indices."""

    @property
    def count(self) -> int:
        """How many regions."""
        return sum(self.shown.values())

    @property
    def mean(self) -> Fraction | None:
        """Of the exact indices; None when there is no region."""
        return self.total / self.count if self.count else None

    @property
    def median(self) -> Fraction | None:
        """Of the indices as shown."""
        if not self.count:
            return None
        hundredths = sorted((int(text.replace(".", "")), count) for text, count in self.shown.items())
        middle = ((self.count - 1) // 2, self.count // 2)
        return Fraction(sum(_at(hundredths, position) for position in middle), 200)


@dataclass(frozen=True, slots=True)
class Summary:
    """The parts of a scope, and the time of the newest fact in them."""

    parts: Mapping[str, Part]
    as_of: datetime | None


def _at(ordered: Iterable[tuple[int, int]], position: int) -> int:
    for value, count in ordered:
        if position < count:
            return value
        position -= count
    raise IndexError(position)


def merge(summaries: Iterable[Summary]) -> Summary:
    """The summary of all regions in the given ones, which must not overlap. In any order the same."""
    parts: dict[str, Part] = {}
    times: list[datetime] = []
    for summary in summaries:
        if summary.as_of:
            times.append(summary.as_of)
        for kind, part in summary.parts.items():
            known = parts.get(kind, Part(kind, {}, {}, Fraction(0)))
            parts[kind] = Part(
                kind,
                shown=Counter(known.shown) + Counter(part.shown),
                predicates=Counter(known.predicates) + Counter(part.predicates),
                total=known.total + part.total,
            )
    return Summary(parts, max(times, default=None))
