"""The instruments and cycles that the service publishes: data beside the code, validated when first asked for."""

from functools import cache
from pathlib import Path
from typing import TypeVar

from contracts.assessment import CycleOpened, InstrumentPublished
from contracts.fact import Body

B = TypeVar("B", bound=Body)

HERE = Path(__file__).parent


@cache
def instruments() -> tuple[InstrumentPublished, ...]:
    """Every instrument, ordered by id. Raises ValidationError when a file breaks the contract."""
    return _load(HERE / "instruments", InstrumentPublished)


@cache
def cycles() -> tuple[CycleOpened, ...]:
    """Every cycle, from the earliest period on. Raises ValidationError when a file breaks the contract."""
    return tuple(sorted(_load(HERE / "cycles", CycleOpened), key=lambda cycle: cycle.period))


def _load(folder: Path, of: type[B]) -> tuple[B, ...]:
    return tuple(of.model_validate_json(path.read_bytes()) for path in sorted(folder.glob("*.json")))


def instrument(instrument_id: str) -> InstrumentPublished:
    """By id. Raises KeyError: assessments are only ever opened under instruments that are there."""
    return _instruments_by_id()[instrument_id]


def cycle(cycle_id: str) -> CycleOpened | None:
    """By id, or None."""
    return _cycles_by_id().get(cycle_id)


@cache
def _instruments_by_id() -> dict[str, InstrumentPublished]:
    return {instrument.instrument: instrument for instrument in instruments()}


@cache
def _cycles_by_id() -> dict[str, CycleOpened]:
    return {cycle.cycle: cycle for cycle in cycles()}
