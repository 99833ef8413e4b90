"""Summaries: exact histograms, so that no read ever counts regions again. Pure.

A part holds, per kind of region, how many have which index as shown and which predicate, and the exact sum. Parts add
up: the nation is the sum of its provinces (`store.projection`).
"""

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
