"""Summaries add up: whoever counts the regions in whatever portions gets what counting them at once gives."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain.score import figure
from services.scoring.domain.summary import ALL_KINDS, LEADERS_KEPT, Audience, Figured, Part, Tally
from services.scoring.store.counts import document_of, tally_of

BEGUN = datetime(2023, 11, 1, tzinfo=UTC)
BANDS = ["Memuaskan", "Sangat Baik", "Baik", "Cukup", "Kurang"]
LEVELS = ["1", "2", "2.75", "3", "4", "5"]

figured = st.builds(
    Figured,
    region=st.just(""),
    kind=st.sampled_from(["province", "regency", "city"]),
    basis=st.sampled_from(["self", "document", "official"]),
    public=st.booleans(),
    shown=st.just(""),
    exact=st.integers(1_000, 5_000).map(lambda thousandths: Decimal(thousandths) / 1_000),
    predicate=st.sampled_from(BANDS),
    levels=st.lists(st.none() | st.sampled_from(LEVELS), max_size=3).map(tuple),
)
nations = st.lists(figured, max_size=60).map(
    lambda found: [
        replace(one, region=f"{11 + n % 5}.{n:02}", shown=figure(Fraction(one.exact)).shown)
        for n, one in enumerate(found)
    ]
)


def at(one: Figured) -> datetime:
    return BEGUN + timedelta(seconds=int(one.exact * 1_000) * 37 % 101)


def counted(found: Sequence[Figured]) -> Tally:
    tally = Tally()
    for one in found:
        tally.add(one, at=at(one))
    return tally


def seen(found: Sequence[Figured], basis: str, audience: str, kind: str) -> list[Figured]:
    """Plainly: those that this audience may know of."""
    return [
        one
        for one in found
        if one.basis == basis and kind in (one.kind, ALL_KINDS) and (one.public or audience == "supervised")
    ]


@given(nations)
def test_figures_equal_plain_recomputation(found: list[Figured]) -> None:
    tally = counted(found)
    for (basis, audience, kind), part in tally.parts.items():
        plain = seen(found, basis, audience, kind)
        assert part.count == len(plain)
        assert part.mean == mean(Fraction(one.exact) for one in plain)
        assert part.median == median(Fraction(one.shown) for one in plain)
        assert part.predicates == Counter(one.predicate for one in plain)
        assert part.at_least("Baik", BANDS) == sum(BANDS.index(one.predicate) <= 2 for one in plain)
    whole = tally.parts.get(("self", "public", ALL_KINDS), Part())
    assert whole.count == sum(one.public and one.basis == "self" for one in found)
    public_times = [at(one) for one in found if one.public and one.basis == "self"]
    assert tally.as_of.get(("self", "public")) == max(public_times, default=None)


@given(nations)
def test_leaders_equal_plain_recomputation(found: list[Figured]) -> None:
    for (basis, audience, kind), rankings in counted(found).rankings.items():
        for number, ranking in rankings.items():
            have = [
                (-Fraction(level), -one.exact, one.region, level)
                for one in seen(found, basis, audience, kind)
                if len(one.levels) >= number and (level := one.levels[number - 1]) is not None
            ]
            assert ranking.count == len(have)
            assert [(one.region, one.level) for one in ranking.leaders] == [
                (region, level) for *_, region, level in sorted(have)[:LEADERS_KEPT]
            ]
            for threshold in range(6):
                assert ranking.at_least(threshold) == sum(Fraction(level) >= threshold for *_, level in have)


@given(nations, st.randoms(use_true_random=False))
def test_any_portions_in_any_order_stored_and_read_again_add_up_to_the_same(
    found: list[Figured], chance: random.Random
) -> None:
    whole = document_of(counted(found))
    portions: dict[str, list[Figured]] = {}
    for one in chance.sample(found, len(found)):
        portions.setdefault(one.region[:2], []).append(one)
    merged = Tally()
    for portion in chance.sample(list(portions.values()), len(portions)):
        merged.merge(tally_of(document_of(counted(portion))))
    assert document_of(merged) == whole


def test_no_region_has_no_mean_and_no_median() -> None:
    assert (Part().count, Part().mean, Part().median) == (0, None, None)


def test_a_median_between_two_regions_lies_half_way() -> None:
    assert Part(Counter({"2.59": 1, "2.60": 1}), Counter(), Decimal("5.19"), 2).median == Fraction("2.595")


@pytest.mark.parametrize("count", [3, 1_000])
def test_a_thousand_regions_take_no_more_room_than_their_distinct_figures(count: int) -> None:
    exact = [Decimal(n % 7) / 4 + 1 for n in range(count)]
    found = [
        Figured(f"{n:06}", "regency", "self", True, figure(Fraction(e)).shown, e, "Cukup", ("3",))
        for n, e in enumerate(exact)
    ]
    tally = counted(found)
    part, ranking = (
        tally.parts["self", Audience.PUBLIC, "regency"],
        tally.rankings["self", Audience.PUBLIC, "regency"][1],
    )
    assert len(part.shown) == min(count, 7)
    assert len(ranking.leaders) == min(count, LEADERS_KEPT)
