"""Side by side: differences are exact, and cycles under different instruments are told apart."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.assessment import Stage
from contracts.scoring import Figure
from services.scoring.domain.portrait import breaks, difference, disagreement

indices = st.decimals("0", "5", places=10).map(lambda number: f"{number.normalize():f}")


@given(indices, indices)
def test_a_difference_is_that_of_the_exact_values_rounded_once(one: str, other: str) -> None:
    exact = Decimal(one) - Decimal(other)
    shown = exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert Decimal(difference(one, other)) == shown
    assert difference(one, other)[0] == ("+" if shown > 0 else "-" if shown < 0 else "0")


@pytest.mark.parametrize(
    ("one", "other", "shown"), [("4.14", "4.135", "+0.01"), ("4", "4.004", "0.00"), ("1", "3.5", "-2.50")]
)
def test_differences_as_shown(one: str, other: str, shown: str) -> None:
    assert difference(one, other) == shown


def test_the_last_stage_is_set_against_the_official_result() -> None:
    def of(value: str) -> Figure:
        return Figure(value=value, shown=f"{Decimal(value):.2f}")

    own: dict[str, Figure] = {Stage.SELF: of("4.2"), Stage.DOCUMENT: of("4")}
    told = disagreement(own, of("3.9"))
    assert told is not None
    assert (told.basis, told.own.value, told.official.value, told.difference) == ("document", "4", "3.9", "-0.10")
    assert disagreement(own, None) is None
    assert disagreement({}, of("3.9")) is None


@pytest.mark.parametrize(
    ("instruments", "marks"),
    [
        (["spbe-2020"], [False]),
        (["pemdi-2026", "spbe-2020", "spbe-2020", "spbe-2018"], [True, False, True, False]),
    ],
)
def test_a_break_is_marked_where_the_instrument_changed(instruments: list[str], marks: list[bool]) -> None:
    assert breaks(instruments) == marks
