"""An instrument that scoring could not compute is refused when it is published, not when it is used."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.assessment import InstrumentPublished
from services.assessment import catalogue

Changes = dict[str, Any]


def changed(part: str, number: int, /, **change: Any) -> Changes:
    """spbe-2020 with one of its parts changed."""
    whole = catalogue.instrument("spbe-2020").model_dump()
    return {**whole, part: [p | (change if p["number"] == number else {}) for p in whole[part]]}


def without(part: str) -> Changes:
    """spbe-2020 without a layer."""
    return {**catalogue.instrument("spbe-2020").model_dump(), part: []}


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (changed("indicators", 1, aspect=77), "the aspects are not those of the indicators"),
        (changed("aspects", 1, domain=9), "the domains are not those of the aspects"),
        (changed("aspects", 1, domain=None), "the domains are not those of the aspects"),
        (changed("aspects", 2, number=1), "stands twice"),
        (changed("indicators", 1, weight="0"), "a weight is 0"),
        (changed("indicators", 1, weight="0.5"), "do not add up"),
        (without("bands"), "at least 1 item"),
        (without("domains"), "the domains are not those of the aspects"),
        ({**without("level_names"), "scale": {"lowest": 5, "highest": 1, "whole": True}}, "lowest level is above"),
    ],
)
def test_an_instrument_that_does_not_hold_together_is_refused(broken: Changes, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        InstrumentPublished.model_validate(broken)
