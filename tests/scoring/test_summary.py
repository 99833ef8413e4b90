"""Summaries merge: whoever counts the regions in whatever portions gets what counting them at once gives."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from statistics import mean, median

from hypothesis import given
from hypothesis import strategies as st

from services.scoring.domain import figure
from services.scoring.summary import Part, Summary

BEGUN = datetime(2023, 11, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Scored:
    """A region with its exact index."""

    kind: str
    index: Fraction
    predicate: str
    at: datetime

    @property
    def shown(self) -> str:
        return figure(self.index).shown


def counted(regions: Sequence[Scored]) -> Summary:
    """The summary of some regions, counted one by one."""
    kinds = {region.kind for region in regions}
    of = {kind: [region for region in regions if region.kind == kind] for kind in kinds}
    parts = {
        kind: Part(
            kind,
            Counter(region.shown for region in of[kind]),
            Counter(region.predicate for region in of[kind]),
            sum((region.index for region in of[kind]), Fraction(0)),
        )
        for kind in kinds
    }
    return Summary(parts, max((region.at for region in regions), default=None))


regions = st.builds(
    Scored,
    kind=st.sampled_from(["province", "regency", "city"]),
    index=st.integers(1_000, 5_000).map(lambda thousandths: Fraction(thousandths, 1_000)),
    predicate=st.sampled_from(["Baik", "Cukup", "Kurang"]),
    at=st.integers(0, 1_000).map(lambda seconds: BEGUN + timedelta(seconds=seconds)),
)


@given(st.lists(regions, min_size=1, max_size=40))
def test_count_mean_and_median_are_exact(found: list[Scored]) -> None:
    for kind, part in counted(found).parts.items():
        of_kind = [region for region in found if region.kind == kind]
        assert part.count == len(of_kind)
        assert part.mean == mean(region.index for region in of_kind)
        assert part.median == median(Fraction(region.shown) for region in of_kind)


def test_no_region_has_no_mean_and_no_median() -> None:
    part = Part("city", {}, {}, Fraction(0))
    assert (part.count, part.mean, part.median) == (0, None, None)


def test_a_median_between_two_regions_lies_half_way() -> None:
    part = Part("city", {"2.59": 1, "2.60": 1}, {}, Fraction("5.19"))
    assert part.median == Fraction("2.595")


def test_a_thousand_regions_take_no_more_room_than_their_distinct_figures() -> None:
    found = [Scored("regency", Fraction(n % 7, 7) + 1, "Cukup", BEGUN) for n in range(1_000)]
    assert len(counted(found).parts["regency"].shown) == 7
