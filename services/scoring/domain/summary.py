"""Summaries: exact histograms and the leaders per indicator, so that no read ever counts regions again. Pure.

They add up: the nation is the sum of its provinces (`store.summaries`), whatever the portions and their order.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

UNIT = 10**10
"""Indices have 10 places."""
ALL_KINDS = "all"
"""Beside each kind: the part of all regions, so that no read has to add them up."""
LEADERS_KEPT = 10
"""Per indicator, kind and scope."""


class Audience(StrEnum):
    """For whom was counted: everybody, or those who may see every region of the scope."""

    PUBLIC = "public"
    SUPERVISED = "supervised"


@dataclass(frozen=True, slots=True)
class Scope:
    """The nation (all null), a province, or the members of a group."""

    province: str | None = None
    group: str | None = None
    members: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """For people and programs."""
        return self.group or self.province or "nation"


@dataclass(frozen=True, slots=True)
class Figured:
    """One region's figure on one basis, as summaries see it."""

    region: str
    kind: str
    basis: str
    public: bool
    shown: str
    exact: Decimal
    predicate: str
    levels: Sequence[str | None] = ()
    """By indicator number from 1 on; empty where the basis has none."""


@dataclass(slots=True)
class Part:
    """The regions of one kind, or of all: how many have which index as shown and which predicate, and the exact sum."""

    shown: Counter[str] = field(default_factory=Counter[str])
    """At most 501 entries, however many regions."""
    predicates: Counter[str] = field(default_factory=Counter[str])
    total: Decimal = Decimal(0)
    count: int = 0

    def add(self, figured: Figured) -> None:
        """Count one more."""
        self.shown[figured.shown] += 1
        self.predicates[figured.predicate] += 1
        # Decimals of 10 places add up exactly within the context's 28 digits.
        self.total += figured.exact
        self.count += 1

    def merge(self, other: "Part") -> None:
        """Count another part's too."""
        self.shown.update(other.shown)
        self.predicates.update(other.predicates)
        self.total += other.total
        self.count += other.count

    @property
    def mean(self) -> Fraction | None:
        """Of the exact indices; None when there is no region."""
        return Fraction(int(self.total * UNIT), self.count * UNIT) if self.count else None

    @property
    def median(self) -> Fraction | None:
        """Of the indices as shown."""
        if not self.count:
            return None
        ordered = sorted(self.shown.items())  # as text: each has one digit before the point
        middle = ((self.count - 1) // 2, self.count // 2)
        lower, upper = (int(_at(ordered, position).replace(".", "")) for position in middle)
        return Fraction(lower + upper, 200)

    def at_least(self, predicate: str, bands: Sequence[str]) -> int:
        """How many have `predicate` or a better one; `bands` are ordered from the best down."""
        return sum(self.predicates[band] for band in bands[: bands.index(predicate) + 1])


@dataclass(frozen=True, slots=True, order=True)
class Leader:
    """A region by its level of one indicator. They sort from the best down: level, then index, then code."""

    below: tuple[Decimal, Decimal]
    """Level and index, negated."""
    region: str
    level: str = field(compare=False)
    shown: str = field(compare=False)

    @classmethod
    def of(cls, region: str, level: str, shown: str, exact: Decimal) -> "Leader":
        """From what was found."""
        return cls((-decimal(level), -exact), region, level, shown)


@dataclass(slots=True)
class Ranking:
    """One indicator among the regions of one kind: how many have which level, and the first LEADERS_KEPT of them."""

    levels: Counter[str] = field(default_factory=Counter[str])
    leaders: list[Leader] = field(default_factory=list[Leader])

    def add(self, leader: Leader) -> None:
        """Count one more."""
        self.levels[leader.level] += 1
        self._keep(leader)

    def merge(self, other: "Ranking") -> None:
        """Count another's too."""
        self.levels.update(other.levels)
        for leader in other.leaders:
            self._keep(leader)

    def at_least(self, level: int) -> int:
        """How many have this level or a higher one."""
        return sum(count for text, count in self.levels.items() if decimal(text) >= level)

    @property
    def count(self) -> int:
        """How many have a level at all."""
        return sum(self.levels.values())

    def _keep(self, leader: Leader) -> None:
        if len(self.leaders) < LEADERS_KEPT or leader < self.leaders[-1]:
            insort(self.leaders, leader)
            del self.leaders[LEADERS_KEPT:]


Counted = tuple[str, str, str]
"""Basis, audience, kind."""


@dataclass(slots=True)
class Tally:
    """All that is counted in one scope."""

    parts: dict[Counted, Part] = field(default_factory=dict[Counted, Part])
    rankings: dict[Counted, dict[int, Ranking]] = field(default_factory=dict[Counted, dict[int, Ranking]])
    as_of: dict[tuple[str, str], datetime] = field(default_factory=dict[tuple[str, str], datetime])
    """Basis and audience → the time of the newest fact counted for it: the public's must not tell of anything else."""

    def add(self, figured: Figured, *, at: datetime) -> None:
        """Count one more; what is public is counted for both audiences."""
        audiences = list(Audience) if figured.public else [Audience.SUPERVISED]
        found = [
            (number, Leader.of(figured.region, level, figured.shown, figured.exact))
            for number, level in enumerate(figured.levels, start=1)
            if level is not None
        ]
        for audience in audiences:
            counted = (figured.basis, audience.value, figured.kind)
            for kind in (figured.kind, ALL_KINDS):
                self.parts.setdefault((*counted[:2], kind), Part()).add(figured)
            rankings = self.rankings.setdefault(counted, {}) if found else {}
            for number, leader in found:
                rankings.setdefault(number, Ranking()).add(leader)
            self._newest((figured.basis, audience.value), at)

    def merge(self, other: "Tally") -> None:
        """Count another scope's too."""
        for counted, part in other.parts.items():
            self.parts.setdefault(counted, Part()).merge(part)
        for counted, rankings in other.rankings.items():
            mine = self.rankings.setdefault(counted, {})
            for number, ranking in rankings.items():
                mine.setdefault(number, Ranking()).merge(ranking)
        for counted_for, at in other.as_of.items():
            self._newest(counted_for, at)

    def _newest(self, counted_for: tuple[str, str], at: datetime) -> None:
        self.as_of[counted_for] = max(at, self.as_of.get(counted_for, at))


@dataclass(frozen=True, slots=True)
class Summary:
    """What one audience may know of a scope on one basis: a part per kind, and of ALL_KINDS."""

    audience: Audience
    parts: Mapping[str, Part]
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Leaders:
    """What one audience may know of the indicators of one kind in a scope."""

    audience: Audience
    rankings: Mapping[int, Ranking]
    as_of: datetime | None


@lru_cache(4_096)
def decimal(text: str) -> Decimal:
    """A level or an index; few are distinct."""
    return Decimal(text)


def _at(ordered: Iterable[tuple[str, int]], position: int) -> str:
    reached = 0
    for text, count in ordered:
        reached += count
        if position < reached:
            return text
    raise IndexError(position)
