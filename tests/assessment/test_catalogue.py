"""Instruments and cycles are data: these tests hold the data to what its sources say."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from jsonschema import validate

from contracts import events
from contracts.assessment import CycleOpened, InstrumentPublished, PredicateBasis
from contracts.fact import BODY_MAX_BYTES
from services.assessment.catalogue import cycles, instruments


@pytest.fixture
def instrument(request: pytest.FixtureRequest) -> InstrumentPublished:
    return next(i for i in instruments() if i.instrument == request.param)


@pytest.mark.parametrize(
    ("instrument", "layers", "scale"),
    [
        ("spbe-2020", (4, 8, 47), (1, 5, True)),
        ("spbe-2018", (3, 7, 37), (0, 5, True)),
        ("pemdi-2026", (0, 7, 20), (1, 5, False)),
    ],
    indirect=["instrument"],
)
def test_layers_and_scale(
    instrument: InstrumentPublished, layers: tuple[int, int, int], scale: tuple[int, int, bool]
) -> None:
    assert (len(instrument.domains), len(instrument.aspects), len(instrument.indicators)) == layers
    assert (instrument.scale.lowest, instrument.scale.highest, instrument.scale.whole) == scale


@pytest.mark.parametrize(
    ("instrument", "domains", "aspects"),
    [
        ("spbe-2020", "13 25 16.5 45.5", "13 10 10 5 12 4.5 27.5 18"),
        ("spbe-2018", "17 28 55", "7 10 8 8 12 35 20"),
        ("pemdi-2026", "", "10 10 15 15 10 15 25"),
    ],
    indirect=["instrument"],
)
def test_weights(instrument: InstrumentPublished, domains: str, aspects: str) -> None:
    assert [Fraction(d.weight) for d in instrument.domains] == [Fraction(w) for w in domains.split()]
    assert [Fraction(a.weight) for a in instrument.aspects] == [Fraction(w) for w in aspects.split()]
    assert sum(Fraction(i.weight) for i in instrument.indicators) == 100


@pytest.mark.parametrize("instrument", ["spbe-2020"], indirect=True)
def test_public_services_weigh_3_not_the_misprinted_3_50(instrument: InstrumentPublished) -> None:
    assert {i.weight for i in instrument.indicators if i.number >= 42} == {"3.00"}


@pytest.mark.parametrize("instrument", ["spbe-2018"], indirect=True)
def test_the_repeated_public_service_leaves_its_aspect_a_plain_mean(instrument: InstrumentPublished) -> None:
    assert {i.weight for i in instrument.indicators if i.aspect == 7} == {"10/3"}


@pytest.mark.parametrize("instrument", ["spbe-2020"], indirect=True)
def test_all_five_levels_of_all_47_indicators_have_their_texts(instrument: InstrumentPublished) -> None:
    for indicator in instrument.indicators:
        about = (indicator.question_id, indicator.description_id)
        assert all((*about, indicator.assessment_rule_id, indicator.evidence_examples_id)), indicator.number
        levels = indicator.levels or ()
        assert [level.level for level in levels] == [1, 2, 3, 4, 5], indicator.number
        assert all(level.criterion_id and level.fulfilment_id and level.evidence_id for level in levels)
    assert instrument.unknown == {}


@pytest.mark.parametrize("instrument", ["spbe-2018", "pemdi-2026"], indirect=True)
def test_what_an_instrument_lacks_has_its_reason(instrument: InstrumentPublished) -> None:
    lacking = {
        f"indicators.{name}"
        for name in ("levels", "question_id", "description_id", "assessment_rule_id", "evidence_examples_id")
    } | {"level_names"}
    if instrument.indicators[0].capability is None:
        lacking.add("indicators.capability")
    assert instrument.unknown.keys() == lacking
    assert all(instrument.unknown.values())


@pytest.mark.parametrize("instrument", ["spbe-2020"], indirect=True)
def test_level_names_cover_both_capabilities(instrument: InstrumentPublished) -> None:
    named = {(name.capability, name.level): name.name_id for name in instrument.level_names}
    assert len(named) == 10
    assert (named["proses", 3], named["layanan", 3]) == ("Terdefinisi", "Transaksi")
    assert {i.capability for i in instrument.indicators if i.number <= 31} == {"proses"}
    assert {i.capability for i in instrument.indicators if i.number > 31} == {"layanan"}


@pytest.mark.parametrize(
    ("instrument", "bands"),
    [
        ("spbe-2020", "4.2 3.5 2.6 1.8 0"),
        ("spbe-2018", "4.2 3.5 2.6 1.8 0"),
        ("pemdi-2026", "4 3.5 2.5 1.5 1"),
    ],
    indirect=["instrument"],
)
def test_bands_begin_where_the_regulation_says(instrument: InstrumentPublished, bands: str) -> None:
    assert [Fraction(band.lowest) for band in instrument.bands] == [Fraction(lowest) for lowest in bands.split()]
    assert instrument.bands[1].predicate.startswith("Sangat Baik")


@pytest.mark.parametrize("instrument", ["spbe-2020", "spbe-2018", "pemdi-2026"], indirect=True)
def test_an_instrument_fits_into_one_fact(instrument: InstrumentPublished) -> None:
    assert len(instrument.model_dump_json().encode()) < BODY_MAX_BYTES


@pytest.mark.parametrize(
    "fact", [*instruments(), *cycles()], ids=lambda fact: f"{type(fact).__name__} {fact.aggregate}"
)
def test_what_is_published_fits_its_committed_schema(fact: InstrumentPublished | CycleOpened) -> None:
    event = events.INSTRUMENT_PUBLISHED if isinstance(fact, InstrumentPublished) else events.CYCLE_OPENED
    schema = Path(events.__file__).parent / "schemas" / f"{event.name}.json"
    validate(json.loads(fact.model_dump_json()), json.loads(schema.read_bytes()))


REAL = [cycle for cycle in cycles() if not cycle.cycle.startswith("simulasi")]


def test_every_year_from_2018_has_a_cycle_under_the_instrument_then_in_force() -> None:
    assert {cycle.period: cycle.instrument for cycle in REAL} == {
        2018: "spbe-2018",
        2019: "spbe-2018",
        2020: "spbe-2018",
        2021: "spbe-2020",
        2022: "spbe-2020",
        2023: "spbe-2020",
        2024: "spbe-2020",
        2025: "spbe-2020",
        2026: "pemdi-2026",
    }
    assert {cycle.instrument for cycle in REAL} == {instrument.instrument for instrument in instruments()}


def test_the_basis_is_known_for_two_years_and_assumed_elsewhere() -> None:
    known = {cycle.period: cycle.predicate_basis for cycle in REAL if not cycle.predicate_basis_assumed}
    assert known == {2023: PredicateBasis.ROUNDED, 2024: PredicateBasis.UNROUNDED}


@pytest.mark.parametrize("cycle", REAL, ids=lambda cycle: cycle.cycle)
def test_no_date_of_a_stage_is_invented(cycle: CycleOpened) -> None:
    assert cycle.stages is None
    assert cycle.unknown["stages"]


def test_routes_are_known_for_2022_alone() -> None:
    assert [cycle.period for cycle in REAL if cycle.routes is not None] == [2022]


def test_the_national_aim_names_its_year_and_who_said_so() -> None:
    told = {cycle.period: cycle.aims for cycle in REAL if cycle.aims is not None}
    assert told.keys() == {2023, 2024, 2025}
    for aims in told.values():
        assert {(aim.about, aim.kind, aim.predicate, aim.value) for aim in aims} == {
            ("index", None, None, "3.50"),
            ("share", "regency", "Baik", "75"),
            ("share", "city", "Baik", "85"),
        }
        assert all(aim.due_year == 2025 and "Sumedang" in aim.source for aim in aims)


def test_the_one_made_cycle_says_so_and_has_dates_and_routes() -> None:
    (made,) = [cycle for cycle in cycles() if cycle not in REAL]
    assert all("simulasi" in name.lower() for name in (made.cycle, made.name_id, made.name_en, *made.unknown.values()))
    assert (made.routes, made.aims) == (("pemantauan", "evaluasi"), None)
    assert made.stages is not None
