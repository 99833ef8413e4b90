"""Made records, and the answer from them: what the tests of the answer share."""

from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from contracts.regions import Kind
from services.commitment.domain.funnel import Funnel, funnel
from services.commitment.domain.path import Done, Records, Scope, Signature, Visit
from services.commitment.domain.progress import Scored

HOST = "32.11"
CAME, SIGNED, ACTED = date(2022, 11, 21), date(2023, 7, 12), date(2024, 2, 1)
DECREED = date(2024, 1, 11)


def same(code: str) -> str:
    """Nobody was renumbered."""
    return code


def ask(
    records: Records,
    scope: Scope | None = None,
    *,
    among: Mapping[str, Kind] | None = None,
    successor: Callable[[str], str] = same,
) -> Funnel:
    return funnel(records, scope or Scope(), among=among or {}, successor=successor)


def scored(region: str, period: int, index: str, *, instrument: str = "spbe-2020", official: bool = True) -> Scored:
    return Scored(region, period, instrument, Fraction(index), "Baik", DECREED, official)


def of_one(region: str, *results: Scored, **more: Any) -> Records:
    """A region that came, signed and acted, with these results."""
    return Records(
        visits=[Visit(region, HOST, CAME)],
        signatures=[Signature("c", region, SIGNED)],
        done=[Done(region, "c", ACTED)],
        scored=results,
        **more,
    )
