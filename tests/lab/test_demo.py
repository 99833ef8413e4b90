"""What the demo prints, on canned findings; the demo itself is run by `make demo`."""

from collections.abc import Mapping
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from contracts.assessment import PredicateBasis, Stage, Status
from contracts.scoring import Figure, Incomplete, Score, ScoreRecalculated
from lab import demo, findings, published, waterfall
from lab.findings import Pace, Standing
from lab.published import Published
from lab.waterfall import Span

BANDS = ("Memuaskan", "Sangat Baik", "Baik", "Cukup", "Kurang")


@pytest.fixture
def log() -> Console:
    """As in the log of a build: no terminal."""
    return Console(file=StringIO(), width=120)


def text(log: Console) -> str:
    assert isinstance(log.file, StringIO)
    return log.file.getvalue()


def scored(result: Published, **changed: Any) -> ScoreRecalculated:
    def figure(shown: str) -> Figure:
        return Figure(value=shown, shown=shown)

    domains = {number: figure(shown) for number, shown in result.domains.items()}
    score = Score(index=figure(result.index), predicate=result.predicate, domains=domains, aspects={})
    return ScoreRecalculated(
        score=f"spbe-2023:{result.code}",
        region=result.code,
        instrument="spbe-2020",
        cycle="spbe-2023",
        period=2023,
        predicate_basis=PredicateBasis.ROUNDED,
        status=Status.SUBMITTED,
        scores={Stage.SELF: score.model_copy(update=changed)},
    )


def test_differences_are_found_in_what_was_scored() -> None:
    results = published.read()[:3]
    scores = {result.code: scored(result) for result in results}
    assert demo.differences(results, scores) == {}
    first, second, _ = results
    scores[first.code] = scored(first, predicate="Memuaskan")
    scores[second.code] = scores[second.code].model_copy(update={"scores": {Stage.SELF: Incomplete(missing=(1,))}})
    assert demo.differences(results, scores) == {
        "11 Aceh": ["predicate is Memuaskan, published Sangat Baik"],
        "11.01 Kabupaten Aceh Selatan": ["it has no score"],
    }


def test_equality_is_said_in_exactly_these_words(log: Console) -> None:
    findings.show_equality(log, 528, 528, {})
    assert "528 of 528 regions equal the published index, domains and predicate\n" in text(log)


def test_regions_that_differ_are_listed(log: Console) -> None:
    findings.show_equality(log, 527, 528, {"11 Aceh": ["index is 3.61, published 3.62"]})
    assert "527 of 528 regions equal the published index, domains and predicate\n" in text(log)
    assert "11 Aceh: index is 3.61, published 3.62" in text(log)


def standing(kind: str, rank: int, region: str, name: str, index: str) -> Standing:
    row = {"rank": rank, "region": region, "name": name, "index": {"value": index, "shown": index}, "predicate": "Baik"}
    return Standing.of(kind, row)


def test_the_top_is_by_exact_index_and_tells_the_rank_in_its_kind(log: Console) -> None:
    rows = [
        standing("regency", 1, "32.11", "Kabupaten Sumedang", "4.1435"),
        standing("province", 1, "32", "Jawa Barat", "4.144"),
        standing("city", 1, "32.77", "Kota Cimahi", "4.02"),
    ]
    findings.show_top(log, rows, count=2)
    shown = text(log)
    assert shown.index("Jawa Barat") < shown.index("Kabupaten Sumedang")
    assert "Kabupaten 1" in shown
    assert "Cimahi" not in shown


def test_the_highlighted_region_is_pointed_at_without_colours_too(log: Console) -> None:
    rows = [standing("regency", 1, "32.11", "Sumedang", "4.14"), standing("regency", 2, "32.01", "Bogor", "3.71")]
    findings.show_province(log, rows, highlighted="32.11")
    pointed = [line for line in text(log).splitlines() if "◄" in line]
    assert len(pointed) == 1
    assert "Sumedang" in pointed[0]


def part(count: int, mean: str, good: int) -> dict[str, Any]:
    figure = {"value": mean, "shown": f"{float(mean):.2f}"}
    return {"count": count, "mean": figure, "predicates": {"Baik": good, "Kurang": count - good}}


def test_the_nation_is_weighted_by_regions_and_held_against_its_aims(log: Console) -> None:
    def aim(about: str, kind: str | None, value: str) -> Mapping[str, Any]:
        return {"about": about, "kind": kind, "predicate": None, "value": value, "due_year": 2025, "source": "Sekda"}

    summary = {
        "kinds": {"city": part(1, "4", 1), "regency": part(3, "3", 2)},
        "aims": [aim("index", None, "3.50"), aim("share", "regency", "75"), aim("share", "city", "85")],
    }
    findings.show_nation(log, summary, BANDS)
    lines = {words[1]: " ".join(words) for line in text(log).splitlines() if len(words := line.split()) > 1}
    assert lines["Kabupaten"] == "3 Kabupaten 3.00 66.7 % 75 % by 2025: not yet"
    assert lines["Kota"] == "1 Kota 4.00 100.0 % 85 % by 2025: reached"
    assert lines["daerah"] == "4 daerah 3.25 3.50 by 2025: not yet 75.0 %"
    assert "2.79" in text(log)


def test_the_way_to_publication_ends_with_what_everybody_sees(log: Console) -> None:
    score = {"scores": {"self": {"index": {"shown": "4.14"}, "predicate": "Sangat Baik"}}}
    findings.show_publication(log, [("Sekda", "menyetujui publikasi", "verified")], score)
    assert "menyetujui publikasi" in text(log)
    assert "now seen by everybody, not before: self 4.14 Sangat Baik\n" in text(log)


def test_pace_is_events_over_seconds_and_percentiles_of_the_waits(log: Console) -> None:
    findings.show_pace(log, Pace(events=200, seconds=4.0, waits=[0.001 * n for n in range(1, 101)], at_once=16))
    assert "50 events per second" in text(log)
    assert "p50 50 ms, p99 99 ms" in text(log)


def span(service: str, name: str, span_id: str, parent_id: str | None, start_ms: int, end_ms: int) -> Span:
    return Span(service, name, span_id, parent_id, start_ms * 1_000_000, end_ms * 1_000_000)


TRACE = [
    span("scoring", "process livinglab.assessment", "c", "b", 6, 9),
    span("assessment", "POST /assessments/{assessment_id}/submission", "a", "outside", 0, 4),
    span("assessment", "send livinglab.assessment", "b", "a", 5, 5),
    span("scoring", "send livinglab.score", "d", "c", 8, 10),
    span("notify", "process livinglab.assessment", "e", "b", 9, 10),
    span("notify", "POST webhook", "f", "b", 11, 13),
    span("kemendagri", "POST /", "g", "f", 12, 12),
]


def test_a_waterfall_goes_from_cause_to_effect(log: Console) -> None:
    assert [(depth, each.span_id) for depth, each in waterfall.in_order(TRACE)] == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
        (3, "d"),
        (2, "e"),
        (2, "f"),
        (3, "g"),
    ]
    log.print(waterfall.table(TRACE, width=120))
    assert [line.split()[0] for line in text(log).splitlines()[1:]] == [
        "assessment",
        "assessment",
        "scoring",
        "scoring",
        "notify",
        "notify",
        "kemendagri",
    ]


def test_a_waterfall_fits_80_columns() -> None:
    narrow = Console(file=StringIO(), width=80)
    narrow.print(waterfall.table(TRACE, width=80))
    lines = text(narrow).splitlines()
    assert len(lines) == 1 + len(TRACE)
    assert "POST …/{assessment_id}/submission" in lines[1]
    assert all("█" in line for line in lines[1:])


def test_an_edge_that_a_trace_lacks_is_named() -> None:
    assert waterfall.missing(TRACE, demo.EDGES) == []
    assert waterfall.missing([*TRACE[:3], *TRACE[4:]], demo.EDGES) == ["scoring: send livinglab.score"]


def test_a_bar_shows_also_what_took_no_time() -> None:
    bars = [waterfall.bar(each, begin_ns=0, end_ns=10_000_000, chars=10) for each in TRACE[:4]]
    assert bars == ["······███·", "████······", "·····█····", "········██"]
