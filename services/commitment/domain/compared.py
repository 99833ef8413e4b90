"""The same change among those who did not join, like with like. It shows what came together, never what caused it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from contracts.regions import Kind
from services.commitment.domain.path import Path
from services.commitment.domain.progress import Results


@dataclass(frozen=True, slots=True)
class Change:
    """Of some regions: how many, how many of them rose, and the sum of their changes."""

    count: int
    improved: int
    total: Fraction

    @classmethod
    def of(cls, changes: Collection[Fraction]) -> "Change":
        """Count them."""
        return cls(len(changes), sum(change > 0 for change in changes), sum(changes, Fraction()))

    @property
    def mean(self) -> Fraction | None:
        """None when there is no region."""
        return self.total / self.count if self.count else None


@dataclass(frozen=True, slots=True, order=True)
class Like:
    """What is compared with each other: regions of one kind, measured by one instrument in the same two periods."""

    kind: Kind
    instrument: str
    base: int
    later: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Those who joined, those who did not, and, of these, those who came to study all the same."""

    like: Like
    joined: Change
    others: Change
    visited: Change


@dataclass(frozen=True, slots=True)
class Standardised:
    """Mean changes as if the others were composed as the joined are (direct standardisation).

    Over the cells that have others: `count` are the joined in these.
    """

    count: int
    joined: Fraction
    others: Fraction


@dataclass(frozen=True, slots=True)
class Comparison:
    """By cell, and over all cells with each region once: in the cell with most joined, where it lies in several."""

    cells: Sequence[Cell]
    joined: Change
    others: Change
    visited: Change
    standardised: Standardised | None
    """None when nobody is like any of the joined."""


def compared(
    paths: Iterable[Path],
    results: Results,
    *,
    among: Mapping[str, Kind],
    signed: Collection[str],
    visitors: Collection[str],
) -> Comparison:
    """The signatories of these paths beside those `among` whom are no signatories of anything (`signed`: all are).

    among: the regions that govern themselves, with their kinds.
    """
    joined: dict[Like, list[Fraction]] = defaultdict(list)
    for path in paths:
        came = path.progress
        if path.signed and came and path.organization in among:
            like = Like(among[path.organization], came.base.instrument, came.base.period, came.later.period)
            joined[like].append(came.change)
    cells: list[Cell] = []
    counted: dict[str, Fraction] = {}
    for like in sorted(joined, key=lambda like: (-len(joined[like]), like)):
        others = _others(like, results, {code for code, kind in among.items() if kind is like.kind}.difference(signed))
        visited = [change for code, change in others.items() if code in visitors]
        cells.append(Cell(like, Change.of(joined[like]), Change.of(others.values()), Change.of(visited)))
        counted = others | counted
    return Comparison(
        cells=tuple(cells),
        joined=Change.of([change for changes in joined.values() for change in changes]),
        others=Change.of(counted.values()),
        visited=Change.of([change for code, change in counted.items() if code in visitors]),
        standardised=_standardised(cells),
    )


def _others(like: Like, results: Results, codes: Iterable[str]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for code in codes:
        by_period = results.get(code, {}).get(like.instrument, {})
        if like.base in by_period and like.later in by_period:
            found[code] = by_period[like.later].index - by_period[like.base].index
    return found


def _standardised(cells: Iterable[Cell]) -> Standardised | None:
    matched = [(cell.joined, mean) for cell in cells if (mean := cell.others.mean) is not None]
    count = sum(joined.count for joined, _ in matched)
    if not count:
        return None
    return Standardised(
        count=count,
        joined=sum((joined.total for joined, _ in matched), Fraction()) / count,
        others=sum((joined.count * mean for joined, mean in matched), Fraction()) / count,
    )
