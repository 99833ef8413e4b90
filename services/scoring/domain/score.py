"""How levels become indices and a predicate: readable beside the regulation, exact, pure.

PermenPANRB 59/2020, Lampiran II.B.4: an aspect's index is the weighted mean of its indicators' levels, a domain's that
of its aspects, the SPBE index that of its domains. Because the weights of each layer add up to the one above (checked
when an instrument is published), each is the weighted mean of the levels of all indicators under it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import lcm
from operator import mul

from contracts.assessment import AssessmentState, InstrumentPublished, PredicateBasis, Stage
from contracts.scoring import Figure, Incomplete, Score

RULE = 2
"""Raised whenever the same levels would give other bytes, by arithmetic or by shape: a re-scoring is a new fact."""

PLACES = 10
SHOWN_PLACES = 2

CACHED_FIGURES = 8_192
"""Few levels and equal weights give few indices: nearly every figure of an aspect or domain was made before."""

Number = int | Fraction


class LevelOffScale(ValueError):
    """A level that the instrument's scale does not have. `indicator` is its number."""

    def __init__(self, indicator: int, level: str, allowed: str) -> None:
        super().__init__(f"indicator {indicator}: level {level} is not on the scale ({allowed})")
        self.indicator = indicator


class UnknownIndicator(ValueError):
    """A level for an indicator that the instrument does not have."""

    def __init__(self, indicator: int, highest: int) -> None:
        super().__init__(f"there is no indicator {indicator}; they are numbered 1 to {highest}")
        self.indicator = indicator


class Unanswered(Exception):
    """Indicators without a level: there is no index, not a lower one. `missing` are their numbers."""

    def __init__(self, missing: Iterable[int]) -> None:
        self.missing = tuple(sorted(missing))
        super().__init__(f"no level for indicators {', '.join(map(str, self.missing))}")


@dataclass(frozen=True, slots=True)
class Group:
    """The indicators under an aspect, a domain or the whole, with their weights in one unit of the instrument."""

    numbers: tuple[int, ...]
    weights: tuple[int, ...]
    total: int

    @classmethod
    def of(cls, weights: Mapping[int, int]) -> "Group":
        """From the weight of each indicator's number."""
        return cls(tuple(weights), tuple(weights.values()), sum(weights.values()))


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the arithmetic needs of a questionnaire. `domains` is empty where it has no such layer."""

    name: str
    numbers: frozenset[int]
    lowest: int
    highest: int
    whole: bool
    indicators: Group
    aspects: Mapping[int, Group]
    domains: Mapping[int, Group]
    bands: tuple[tuple[str, Fraction], ...]
    """(predicate, the lowest index that earns it), from the highest down."""

    @classmethod
    def of(cls, published: InstrumentPublished) -> "Instrument":
        """Weights become whole numbers of a common unit: means do not change, and whole sums stay exact and fast."""
        exact = {i.number: Fraction(i.weight) for i in published.indicators}
        unit = lcm(*(weight.denominator for weight in exact.values()))
        weights = {number: int(weight * unit) for number, weight in exact.items()}
        aspect_of = {i.number: i.aspect for i in published.indicators}
        domain_of = {a.number: a.domain for a in published.aspects}
        return cls(
            name=published.instrument,
            numbers=frozenset(weights),
            lowest=published.scale.lowest,
            highest=published.scale.highest,
            whole=published.scale.whole,
            indicators=Group.of(weights),
            aspects={
                a.number: Group.of({n: w for n, w in weights.items() if aspect_of[n] == a.number})
                for a in published.aspects
            },
            domains={
                d.number: Group.of({n: w for n, w in weights.items() if domain_of[aspect_of[n]] == d.number})
                for d in published.domains
            },
            bands=tuple((band.predicate, Fraction(band.lowest)) for band in published.bands),
        )

    def level(self, indicator: int, text: str) -> Number:
        """The exact level of an answer. Raises UnknownIndicator, LevelOffScale."""
        if indicator not in self.numbers:
            raise UnknownIndicator(indicator, max(self.numbers))
        level = exact_number(text)
        if not self.lowest <= level <= self.highest or (self.whole and isinstance(level, Fraction)):
            kind = "whole numbers" if self.whole else "decimals"
            raise LevelOffScale(indicator, text, f"{kind} from {self.lowest} to {self.highest}")
        return level

    def levels(self, texts: Mapping[int, str]) -> dict[int, Number]:
        """The exact levels of a set of answers, each text judged once. Raises as `level` does."""
        if unknown := texts.keys() - self.numbers:
            raise UnknownIndicator(min(unknown), max(self.numbers))
        judged: dict[str, Number] = {}
        for indicator, text in texts.items():
            if text not in judged:
                judged[text] = self.level(indicator, text)
        return {indicator: judged[text] for indicator, text in texts.items()}


@dataclass(frozen=True, slots=True)
class Indices:
    """Exact indices of a whole set of levels."""

    index: Fraction
    domains: Mapping[int, Fraction]
    aspects: Mapping[int, Fraction]


@lru_cache(maxsize=1_024)
def exact_number(text: str) -> Number:
    """A decimal text as an exact number: int where it is whole, which is most levels and ten times faster."""
    number = Fraction(text)
    return number.numerator if number.denominator == 1 else number


def weighted_mean(levels: Mapping[int, Number], group: Group) -> Fraction:
    """Of the levels of the group's indicators, exact."""
    return _ratio(sum(map(mul, map(levels.__getitem__, group.numbers), group.weights)), group.total)


@lru_cache(CACHED_FIGURES)
def _ratio(weighted: Number, total: int) -> Fraction:
    return Fraction(weighted, total)


def indices(levels: Mapping[int, Number], instrument: Instrument) -> Indices:
    """All indices of a set of levels. Raises Unanswered naming the indicators that have none."""
    if missing := instrument.numbers - levels.keys():
        raise Unanswered(missing)
    return Indices(
        index=weighted_mean(levels, instrument.indicators),
        domains={number: weighted_mean(levels, group) for number, group in instrument.domains.items()},
        aspects={number: weighted_mean(levels, group) for number, group in instrument.aspects.items()},
    )


def round_half_up(value: Fraction, places: int) -> int:
    """`value` in units of the last place. Half up: tested against 1,233 published rows, half-even fails in 39."""
    scale: int = 10**places
    return (2 * value.numerator * scale + value.denominator) // (2 * value.denominator)


def figure(value: Fraction) -> Figure:
    """As it is stored and as it is shown; both from the exact value, neither from the other."""
    return _figure(value.numerator, value.denominator)  # two whole numbers are found faster than a Fraction


@lru_cache(CACHED_FIGURES)
def _figure(numerator: int, denominator: int) -> Figure:
    value = Fraction(numerator, denominator)
    whole, rest = divmod(round_half_up(value, PLACES), 10**PLACES)
    shown_whole, shown_rest = divmod(round_half_up(value, SHOWN_PLACES), 10**SHOWN_PLACES)
    exact = f"{whole}.{rest:0{PLACES}d}".rstrip("0").rstrip(".")
    return Figure.model_construct(value=exact, shown=f"{shown_whole}.{shown_rest:0{SHOWN_PLACES}d}")


def predicate(index: Fraction, instrument: Instrument, basis: PredicateBasis) -> str:
    """The band of an index, rounded before if the cycle says so. An index below all bands is in the lowest."""
    judged = Fraction(round_half_up(index, SHOWN_PLACES), 10**SHOWN_PLACES) if basis == "rounded" else index
    for name, lowest in instrument.bands:
        if judged >= lowest:
            return name
    return instrument.bands[-1][0]


def score(levels: Mapping[int, Number], instrument: Instrument, basis: PredicateBasis) -> Score:
    """The score of one set of levels. Raises Unanswered."""
    exact = indices(levels, instrument)
    return Score.model_construct(
        index=figure(exact.index),
        predicate=predicate(exact.index, instrument, basis),
        domains={number: figure(value) for number, value in exact.domains.items()},
        aspects={number: figure(value) for number, value in exact.aspects.items()},
    )


def scores(state: AssessmentState, instrument: Instrument) -> dict[Stage, Score | Incomplete]:
    """The score of every stage present in an assessment fact. Raises UnknownIndicator, LevelOffScale."""
    return {stage: _stage_score(levels, instrument, state.predicate_basis) for stage, levels in state.levels.items()}


def _stage_score(levels: Mapping[int, str], instrument: Instrument, basis: PredicateBasis) -> Score | Incomplete:
    exact = instrument.levels(levels)
    try:
        return score(exact, instrument, basis)
    except Unanswered as unanswered:
        return Incomplete(missing=unanswered.missing)
