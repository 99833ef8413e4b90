"""What KemenPANRB published of a year's evaluation, and level sets that give exactly these figures (rekonstruksi).

The ministry prints indices, not the 47 levels. data/README.md tells where the rows and the sums of levels come from.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.scoring import Score
from lab.parts.process import repository_root

RESULTS_2023 = repository_root() / "data" / "spbe-results-2023.csv"
RESULTS_2024_WEST_JAVA = repository_root() / "data" / "spbe-results-2024-west-java.csv"

SUM_COLUMN = "levels_sum_"
LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True, slots=True)
class Published:
    """A region's row as printed. Levels are whole numbers 1 to 5 per indicator: a reconstruction, never an answer."""

    code: str
    name: str
    index: str
    predicate: str
    domains: Mapping[int, str]
    levels: Mapping[int, int]

    def differences(self, score: Score) -> list[str]:
        """Where a score shows another index, domain or predicate than was published; empty when it is equal."""
        pairs = {"index": (score.index.shown, self.index), "predicate": (score.predicate, self.predicate)}
        for number in sorted(self.domains.keys() | score.domains.keys()):
            computed = score.domains.get(number)
            pairs[f"domain {number}"] = (computed.shown if computed else "none", self.domains.get(number, "none"))
        return [f"{what} is {ours}, published {theirs}" for what, (ours, theirs) in pairs.items() if ours != theirs]


def read(path: Path = RESULTS_2023) -> list[Published]:
    """All rows of a file. Raises ValueError naming the line that cannot be read."""
    with path.open(encoding="utf-8", newline="") as file:
        return [_published(row, f"{path.name}, line {line}") for line, row in enumerate(csv.DictReader(file), start=2)]


def spread(total: int, numbers: range) -> Iterator[tuple[int, int]]:
    """Whole levels, as equal as they can be, that add up to `total`. Raises ValueError if the scale has none.

    Indicators under one sum weigh the same, so every level set with this sum gives the same figures.
    """
    each, more = divmod(total, len(numbers))
    if not LOWEST * len(numbers) <= total <= HIGHEST * len(numbers):
        raise ValueError(f"no levels from {LOWEST} to {HIGHEST} of {len(numbers)} indicators add up to {total}")
    for position, number in enumerate(numbers):
        yield number, each + (position < more)


def _published(row: Mapping[str, str], where: str) -> Published:
    levels: dict[int, int] = {}
    try:
        for column, total in row.items():
            if column.startswith(SUM_COLUMN):
                first, last = map(int, column.removeprefix(SUM_COLUMN).split("_"))
                levels |= spread(int(total), range(first, last + 1))
        return Published(
            code=row["code"],
            name=row["name"],
            index=row["index"],
            predicate=row["predicate"],
            domains={number: row[f"domain_{number}"] for number in range(1, 5)},
            levels=levels,
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{where} is no published result: {error!r}") from error
