"""The arithmetic, held against the regulation's own nested way, against what was published, and against itself."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.assessment import AssessmentState, InstrumentPublished, PredicateBasis, Stage, Status
from contracts.scoring import Incomplete, Score, ScoreRecalculated
from lab import published
from services.assessment import catalogue
from services.scoring.domain.score import (
    RULE,
    Instrument,
    LevelOffScale,
    UnknownIndicator,
    figure,
    indices,
    predicate,
    score,
    scores,
)

INSTRUMENTS = {i.instrument: (i, Instrument.of(i)) for i in catalogue.instruments()}
ROUNDED, UNROUNDED = PredicateBasis.ROUNDED, PredicateBasis.UNROUNDED
SPBE = INSTRUMENTS["spbe-2020"][1]

each_instrument = pytest.mark.parametrize("name", INSTRUMENTS)
# A set of 47 levels takes a while to draw, and one of them already tries every weight.
few = settings(max_examples=40, deadline=None)


def level_sets(name: str) -> st.SearchStrategy[dict[int, str]]:
    """A level on the scale for each indicator, as text; with up to ten places where the instrument takes decimals."""
    published = INSTRUMENTS[name][0]
    scale, asked = published.scale, len(published.indicators)

    def of(places: int) -> st.SearchStrategy[dict[int, str]]:
        level = st.integers(scale.lowest * 10**places, scale.highest * 10**places)
        texts = level.map(lambda units: format(Decimal(units).scaleb(-places), "f"))
        return st.lists(texts, min_size=asked, max_size=asked).map(lambda levels: dict(enumerate(levels, start=1)))

    return of(0) if scale.whole else st.integers(0, 10).flatmap(of)


def nested(levels: Mapping[int, str], instrument: InstrumentPublished) -> dict[str, Any]:
    """As PermenPANRB 59/2020 writes it: aspects from indicators, domains from aspects, the index from domains."""
    aspects = {
        a.number: sum(
            (Fraction(i.weight) * Fraction(levels[i.number]) for i in instrument.indicators if i.aspect == a.number),
            Fraction(0),
        )
        / Fraction(a.weight)
        for a in instrument.aspects
    }
    weighted = {a.number: Fraction(a.weight) * aspects[a.number] for a in instrument.aspects}
    domains = {
        d.number: sum((weighted[a.number] for a in instrument.aspects if a.domain == d.number), Fraction(0))
        / Fraction(d.weight)
        for d in instrument.domains
    }
    top = [Fraction(d.weight) * domains[d.number] for d in instrument.domains] or list(weighted.values())
    return {"index": sum(top, Fraction(0)) / 100, "domains": domains, "aspects": aspects}


def computed(levels: Mapping[int, str], name: str) -> dict[str, Any]:
    """Ours, in the same form."""
    instrument = INSTRUMENTS[name][1]
    exact = indices({number: instrument.level(number, text) for number, text in levels.items()}, instrument)
    return {"index": exact.index, "domains": dict(exact.domains), "aspects": dict(exact.aspects)}


def state(levels: Mapping[Stage, Mapping[int, str]], *, name: str = "spbe-2020") -> AssessmentState:
    """An assessment fact's body."""
    return AssessmentState(
        assessment="spbe-2023:32.11",
        region="32.11",
        instrument=name,
        cycle="spbe-2023",
        period=2023,
        predicate_basis=ROUNDED,
        status=Status.SUBMITTED,
        levels={stage: dict(of_stage) for stage, of_stage in levels.items()},
    )


# Exact


@each_instrument
@few
@given(data=st.data())
def test_each_index_is_the_regulations_nested_weighted_mean(name: str, data: st.DataObject) -> None:
    levels = data.draw(level_sets(name))
    assert computed(levels, name) == nested(levels, INSTRUMENTS[name][0])


@each_instrument
@few
@given(data=st.data())
def test_every_index_lies_between_the_lowest_and_the_highest_level_under_it(name: str, data: st.DataObject) -> None:
    instrument = INSTRUMENTS[name][0]
    levels = {number: Fraction(text) for number, text in data.draw(level_sets(name)).items()}
    found = computed({number: str(level) for number, level in levels.items()}, name)
    domain_of = {a.number: a.domain for a in instrument.aspects}
    assert min(levels.values()) <= found["index"] <= max(levels.values())
    for aspect, index in found["aspects"].items():
        under = [levels[i.number] for i in instrument.indicators if i.aspect == aspect]
        assert min(under) <= index <= max(under)
    for domain, index in found["domains"].items():
        under = [levels[i.number] for i in instrument.indicators if domain_of[i.aspect] == domain]
        assert min(under) <= index <= max(under)


@each_instrument
@few
@given(data=st.data())
def test_a_higher_level_raises_its_own_indices_and_no_other(name: str, data: st.DataObject) -> None:
    instrument = INSTRUMENTS[name][0]
    levels = data.draw(level_sets(name))
    raised = data.draw(st.sampled_from(instrument.indicators))
    levels[raised.number] = str(data.draw(st.integers(instrument.scale.lowest, instrument.scale.highest - 1)))
    higher = levels | {raised.number: str(int(levels[raised.number]) + 1)}
    before, after = computed(levels, name), computed(higher, name)
    domain = next(a.domain for a in instrument.aspects if a.number == raised.aspect)
    assert after["index"] > before["index"]
    for kind, own in (("aspects", raised.aspect), ("domains", domain)):
        for number in before[kind]:
            if number == own:
                assert after[kind][number] > before[kind][number]
            else:
                assert after[kind][number] == before[kind][number]


@each_instrument
def test_the_same_level_everywhere_is_the_index(name: str) -> None:
    instrument = INSTRUMENTS[name][0]
    for level in range(instrument.scale.lowest, instrument.scale.highest + 1):
        found = computed({i.number: str(level) for i in instrument.indicators}, name)
        assert {found["index"], *found["domains"].values(), *found["aspects"].values()} == {Fraction(level)}


@pytest.mark.parametrize("same", ["3", "3.0", "03", "3.0000000000"])
def test_a_level_counts_by_its_value_not_by_how_it_is_written(same: str) -> None:
    plain = state({Stage.SELF: dict.fromkeys(range(1, 48), "3")})
    written = state({Stage.SELF: dict.fromkeys(range(1, 48), same)})
    assert scores(written, SPBE) == scores(plain, SPBE)


# What was published


@pytest.mark.parametrize(
    ("path", "rows", "basis"),
    [(published.RESULTS_2023, 528, ROUNDED), (published.RESULTS_2024_WEST_JAVA, 28, UNROUNDED)],
    ids=["2023", "2024, West Java"],
)
def test_every_published_row_comes_out_to_the_digit(path: Any, rows: int, basis: PredicateBasis) -> None:
    results = published.read(path)
    differences = {row.code: found for row in results if (found := row.differences(score(row.levels, SPBE, basis)))}
    assert (len(results), differences) == (rows, {})


# Rounded half up, from the exact value


@pytest.mark.parametrize(
    ("exact", "value", "shown"),
    [
        ("2.595", "2.595", "2.60"),
        ("2.605", "2.605", "2.61"),  # half-even would say 2.60
        ("2.675", "2.675", "2.68"),  # a binary float would say 2.67
        ("2.5949999999", "2.5949999999", "2.59"),
        ("2.59499999995", "2.595", "2.59"),  # shown comes from the exact index, not from the value beside it
        ("1/3", "0.3333333333", "0.33"),
        ("2/3", "0.6666666667", "0.67"),
        ("0.00000000005", "0.0000000001", "0.00"),
        ("0", "0", "0.00"),
        ("3", "3", "3.00"),
        ("4.995", "4.995", "5.00"),
        ("5", "5", "5.00"),
    ],
)
def test_a_figure_is_exact_to_ten_places_and_shown_with_two(exact: str, value: str, shown: str) -> None:
    assert figure(Fraction(exact)).model_dump() == {"value": value, "shown": shown}


@given(st.integers(0, 5 * 10**6), st.integers(1, 6))
def test_shown_is_what_decimal_arithmetic_rounds_half_up(digits: int, places: int) -> None:
    number = Decimal(digits).scaleb(-places)
    expected = number.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    if number < 100:
        assert figure(Fraction(number)).shown == str(expected)


@pytest.mark.parametrize(
    ("name", "index", "rounded", "unrounded"),
    [
        ("spbe-2020", "4.2", "Memuaskan", "Memuaskan"),
        ("spbe-2020", "4.195", "Memuaskan", "Sangat Baik"),
        ("spbe-2020", "4.1949999", "Sangat Baik", "Sangat Baik"),
        ("spbe-2020", "3.495", "Sangat Baik", "Baik"),
        ("spbe-2020", "2.6", "Baik", "Baik"),
        ("spbe-2020", "2.595", "Baik", "Cukup"),
        ("spbe-2020", "2.59499999995", "Cukup", "Cukup"),
        ("spbe-2020", "1.795", "Cukup", "Kurang"),
        ("spbe-2020", "1", "Kurang", "Kurang"),
        ("spbe-2018", "0", "Kurang", "Kurang"),
        ("pemdi-2026", "3.995", "Memuaskan/Unggul", "Sangat Baik/Melembaga"),
        ("pemdi-2026", "1.495", "Cukup/Membangun", "Kurang/Merintis"),
    ],
)
def test_the_predicate_is_judged_on_the_basis_of_the_cycle(name: str, index: str, rounded: str, unrounded: str) -> None:
    instrument = INSTRUMENTS[name][1]
    judged = [predicate(Fraction(index), instrument, basis) for basis in (ROUNDED, UNROUNDED)]
    assert judged == [rounded, unrounded]


@given(st.fractions(min_value=1, max_value=5), st.fractions(min_value=1, max_value=5))
def test_a_higher_index_never_earns_a_lower_predicate(one: Fraction, other: Fraction) -> None:
    order = [name for name, _ in SPBE.bands]
    low, high = sorted((one, other))
    for basis in (ROUNDED, UNROUNDED):
        assert order.index(predicate(high, SPBE, basis)) <= order.index(predicate(low, SPBE, basis))


# What is no score


@each_instrument
def test_an_unanswered_indicator_leaves_no_number_but_is_named(name: str) -> None:
    published, instrument = INSTRUMENTS[name]
    levels = {i.number: "3" for i in published.indicators if i.number not in (2, 5)}
    found = scores(state({Stage.SELF: levels, Stage.DOCUMENT: {}}, name=name), instrument)
    every = tuple(i.number for i in published.indicators)
    assert found == {Stage.SELF: Incomplete(missing=(2, 5)), Stage.DOCUMENT: Incomplete(missing=every)}


def test_every_stage_present_is_scored_by_itself() -> None:
    found = scores(
        state({stage: dict.fromkeys(range(1, 48), level) for stage, level in zip(Stage, "2345", strict=True)}), SPBE
    )
    shown = {stage: one.index.shown for stage, one in found.items() if isinstance(one, Score)}
    assert shown == dict(zip(Stage, ("2.00", "3.00", "4.00", "5.00"), strict=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spbe-2020", "0"),
        ("spbe-2020", "6"),
        ("spbe-2020", "2.5"),
        ("spbe-2020", "5.0000000001"),
        ("spbe-2018", "6"),
        ("spbe-2018", "0.1"),
        ("pemdi-2026", "0.9999999999"),
        ("pemdi-2026", "5.01"),
        ("pemdi-2026", "99"),
    ],
)
def test_a_level_off_the_scale_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(LevelOffScale, match=f"indicator 7: level {text} ") as refused:
        scores(state({Stage.SELF: {7: text}}, name=name), INSTRUMENTS[name][1])
    assert refused.value.indicator == 7


@pytest.mark.parametrize(("name", "number"), [("spbe-2020", 48), ("spbe-2018", 38), ("pemdi-2026", 21)])
def test_a_level_for_an_indicator_that_is_not_asked_is_refused(name: str, number: int) -> None:
    with pytest.raises(UnknownIndicator, match=f"no indicator {number}") as refused:
        scores(state({Stage.SELF: {number: "3"}}, name=name), INSTRUMENTS[name][1])
    assert refused.value.indicator == number


# A re-scoring is a new fact


@each_instrument
def test_other_bytes_for_the_same_levels_need_another_rule(name: str) -> None:
    # These digests are of what each rule published. If they change, raise RULE and pin the new ones beside the old.
    pinned = {
        ("spbe-2018", 2): "40bd636686cf39e8",
        ("spbe-2020", 2): "72cd8690ddce43b6",
        ("pemdi-2026", 2): "5159954cbfdaafc5",
        ("spbe-2018", 1): "5828d36546d3bbda",
        ("spbe-2020", 1): "052d5d8d6a278eed",
        ("pemdi-2026", 1): "076755549c64aa79",
    }
    published, instrument = INSTRUMENTS[name]
    scale = published.scale
    span = scale.highest - scale.lowest + 1
    levels = {i.number: str(scale.lowest + (i.number * 7) % span) for i in published.indicators}
    fact = state({Stage.SELF: levels, Stage.DOCUMENT: {1: "3"}}, name=name)
    body = ScoreRecalculated(
        **fact.model_dump(exclude={"assessment", "levels"}), score=fact.assessment, scores=scores(fact, instrument)
    )
    assert blake2b(body.model_dump_json().encode(), digest_size=8).hexdigest() == pinned[name, RULE]
