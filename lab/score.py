"""Scores without a server: a JSON line in, a JSON line out, by the very arithmetic of the scoring service."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NoReturn

import orjson

from contracts.assessment import PredicateBasis
from services.assessment import catalogue
from services.scoring.domain import score as domain
from services.scoring.domain.score import Instrument, Number

SHOWN_MAX_CHARS = 60
PLACES_MAX = 30
"""More decimals than any level has, fewer than would make a line slow."""
INDICATOR = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
LEVEL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,30})?", re.ASCII)

Answer = tuple[bytes, bool]
"""A line of output, and whether it is a score."""


class Refused(ValueError):
    """A line that has no score. `code` is stable, for programs; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def score_lines(lines: Iterable[bytes]) -> Iterator[Answer]:
    """An answer for each line that is not blank, in order: a bad line spoils no other."""
    for line in lines:
        if not line.strip():
            continue
        try:
            yield score_line(line), True
        except Refused as refused:
            yield orjson.dumps({"error": {"code": refused.code, "message": str(refused)}}), False


def score_line(line: bytes) -> bytes:
    """The score of `{"instrument": …, "period": …, "levels": {…}}` as JSON. Raises Refused."""
    asked = _parsed(line)
    instrument = _instrument(asked.get("instrument"))
    basis = _basis(instrument.name, asked.get("period"))
    try:
        return domain.score(_levels(asked.get("levels"), instrument), instrument, basis).model_dump_json().encode()
    except domain.Unanswered as unanswered:
        raise Refused("incomplete", f"{unanswered}; answer these {len(unanswered.missing)}") from unanswered


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        asked = json.loads(
            line.decode("utf-8-sig"),
            parse_float=_number,  # exact: 2.675 is no binary number
            parse_int=_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
    except Refused:
        raise
    except RecursionError as error:
        raise Refused("invalid_json", "the line is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise Refused("invalid_json", f"the line is not JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise Refused("invalid_json", "the line is not UTF-8") from error
    if not isinstance(asked, dict):
        raise Refused("invalid_json", 'the line is not an object such as {"instrument": …, "period": …, "levels": {…}}')
    return asked


def _number(text: str) -> int | Decimal | str:
    """The text itself where it has thousands of digits or a huge exponent: JSON, but no level."""
    try:
        return int(text) if text.lstrip("-").isdigit() else Decimal(text)
    except (ValueError, ArithmeticError):
        return text


def _refuse_constant(text: str) -> NoReturn:
    raise Refused("invalid_json", f"{text} is not JSON and not a level")


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Refused("duplicate_key", f"{_shown(twice)} stands twice in one object")
    return unique


@cache
def _instruments() -> Mapping[str, Instrument]:
    return {published.instrument: Instrument.of(published) for published in catalogue.instruments()}


@cache
def _bases() -> Mapping[tuple[str, int], PredicateBasis]:
    return {(cycle.instrument, cycle.period): cycle.predicate_basis for cycle in catalogue.cycles()}


def _instrument(named: object) -> Instrument:
    found = _instruments().get(named) if isinstance(named, str) else None
    if found is None:
        raise Refused("unknown_instrument", f"no instrument {_shown(named)}; use one of {', '.join(_instruments())}")
    return found


def _basis(instrument: str, period: object) -> PredicateBasis:
    basis = _bases().get((instrument, period)) if type(period) is int else None
    if basis is None:
        periods = ", ".join(str(year) for name, year in _bases() if name == instrument)
        raise Refused("unknown_period", f"{instrument} has no period {_shown(period)}; use one of {periods}")
    return basis


def _levels(given: object, instrument: Instrument) -> dict[int, Number]:
    if not isinstance(given, dict):
        raise Refused("invalid_levels", f'levels is an object such as {{"1": 3, "2": "4"}}, not {_shown(given)}')
    levels: dict[int, Number] = {}
    for key, level in given.items():
        if not INDICATOR.fullmatch(key):
            highest = max(instrument.numbers)
            raise Refused("unknown_indicator", f"no indicator {_shown(key)}; they are numbered 1 to {highest}")
        text = _level_text(key, level)
        try:
            levels[int(key)] = instrument.level(int(key), text)
        except domain.UnknownIndicator as error:
            raise Refused("unknown_indicator", str(error)) from error
        except domain.LevelOffScale as error:
            between = instrument.lowest <= domain.exact_number(text) <= instrument.highest
            raise Refused("level_not_whole" if between else "level_off_scale", str(error)) from error
    return levels


def _level_text(indicator: str, level: object) -> str:
    """A level as decimal text. Raises Refused."""
    text = level
    if type(level) is int:
        text = str(level)
    elif isinstance(level, Decimal) and abs(level.adjusted()) <= PLACES_MAX:
        text = format(level, "f")  # also 35e-1
    if not isinstance(text, str) or not LEVEL.fullmatch(text):
        raise Refused(
            "invalid_level",
            f"indicator {indicator}: {_shown(level)} is not a level; use a number or decimal text such as 3 or "
            f'"3.25", with at most {PLACES_MAX} decimals',
        )
    return text


def _shown(given: object) -> str:
    text = str(given) if isinstance(given, Decimal) else json.dumps(given, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…"
