"""A region's scores side by side: over its cycles, against the official result, against other regions. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from itertools import zip_longest

from contracts.assessment import Stage
from contracts.scoring import Figure

_HUNDREDTHS = Decimal("0.01")
LAST_FIRST = tuple(reversed(Stage))
"""A later stage overrides an earlier one."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The Lab's own last figure beside the official one, and official minus own, both as shown.

    Most results are published with two decimals: set against exact figures, every one would differ by its rounding.
    """

    basis: Stage
    own: Figure
    official: Figure
    difference: str


@lru_cache(8_192)
def difference(value: str, reference: str) -> str:
    """`value` minus `reference`, exact, shown with a sign and two decimals, half up by magnitude: "+0.12", "0.00"."""
    shown = (Decimal(value) - Decimal(reference)).quantize(_HUNDREDTHS, ROUND_HALF_UP)
    return f"{shown:+}" if shown else "0.00"


def disagreement(own: Mapping[str, Figure], official: Figure | None) -> Disagreement | None:
    """Of a cycle; None where one of the two is missing. `own` holds the index of each stage that has one."""
    if official is None:
        return None
    for stage in LAST_FIRST:
        if figure := own.get(stage):
            return Disagreement(stage, figure, official, difference(official.shown, figure.shown))
    return None


def breaks(instruments: Sequence[str]) -> list[bool]:
    """For each cycle, the latest first and one at least: whether the one before it used another instrument.

    The two can't be compared then: the national index fell in 2021 because the instrument changed (KemenPANRB).
    """
    return [one != before for one, before in zip_longest(instruments, instruments[1:], fillvalue=instruments[-1])]
