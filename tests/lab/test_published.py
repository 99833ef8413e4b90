"""Published rows, and level sets made from their sums."""

from pathlib import Path

import pytest

from contracts.regions import Directory
from contracts.scoring import Figure, Score
from lab import published

HEAD = published.RESULTS_2023.read_text(encoding="utf-8").splitlines()[0]


def test_every_row_is_a_self_governing_region_with_47_whole_levels() -> None:
    directory = Directory.load()
    results = published.read()
    assert len({result.code for result in results}) == len(results) == 528
    for result in results:
        assert directory.get(result.code).self_governing, result
        assert list(result.levels) == list(range(1, 48)), result
        assert set(result.levels.values()) <= {1, 2, 3, 4, 5}, result


@pytest.mark.parametrize("total", [10, 27, 50])
def test_levels_add_up_to_the_sum_and_differ_by_one_at_most(total: int) -> None:
    levels = dict(published.spread(total, range(1, 11)))
    assert sum(levels.values()) == total
    assert max(levels.values()) - min(levels.values()) <= 1


@pytest.mark.parametrize("total", [9, 51])
def test_a_sum_that_no_levels_have_is_refused(total: int) -> None:
    with pytest.raises(ValueError, match=f"add up to {total}"):
        dict(published.spread(total, range(1, 11)))


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(f"{HEAD}\n32.11,Sumedang,kabupaten,5.00,3.60,2.55,4.76,4.14,Sangat Baik,50,36,28,46,31\n")
    with pytest.raises(ValueError, match=r"results\.csv, line 2"):
        published.read(path)


def test_a_score_that_differs_says_where() -> None:
    sumedang = next(result for result in published.read() if result.code == "32.11")

    def figure(shown: str) -> Figure:
        return Figure(value=shown, shown=shown)

    domains = {number: figure(shown) for number, shown in sumedang.domains.items()}
    same = Score(index=figure("4.14"), predicate="Sangat Baik", domains=domains, aspects={})
    assert sumedang.differences(same) == []
    other = same.model_copy(update={"predicate": "Baik", "domains": {**domains, 2: figure("3.61")}})
    assert sumedang.differences(other) == [
        "predicate is Baik, published Sangat Baik",
        "domain 2 is 3.61, published 3.60",
    ]
