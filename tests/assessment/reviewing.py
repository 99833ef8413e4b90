"""Assessments under review, without a service."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from contracts.assessment import CycleOpened, Stage
from services.assessment import catalogue
from services.assessment.domain.answer import Draft
from services.assessment.domain.assessment import Assessment
from services.assessment.domain.review import AspectReport, Recommendation

AT = datetime(2023, 8, 1, 9, tzinfo=UTC)
TODAY = date(2023, 8, 1)
SPBE = catalogue.instrument("spbe-2020")


def _cycle() -> CycleOpened:
    opened = catalogue.cycle("spbe-2023")
    assert opened is not None
    return opened


CYCLE = _cycle()


def found(
    assessment: Assessment,
    stage: Stage,
    drafts: Mapping[int, Draft],
    *,
    cycle: CycleOpened = CYCLE,
    today: date = TODAY,
) -> Assessment:
    """An assessor's findings."""
    return assessment.find(stage, drafts, instrument=SPBE, cycle=cycle, by="asesor", at=AT, today=today)


def reports() -> list[AspectReport]:
    """On every aspect, one with a recommendation."""
    first = AspectReport(1, "Kuat.", "", (Recommendation(1, "Pertahankan."),))
    return [first, *(AspectReport(aspect.number, "", "", ()) for aspect in SPBE.aspects[1:])]


def submitted(levels: Mapping[int, str]) -> Assessment:
    """Filled, signed, submitted."""
    filled = Assessment.opened(region="32.11", cycle=CYCLE).answer(
        {n: Draft(level) for n, level in levels.items()}, instrument=SPBE, by="dinas", at=AT
    )
    signed = filled.sign_minutes(instrument=SPBE, by="sekda", at=AT)
    return signed.submit(instrument=SPBE, cycle=CYCLE, today=TODAY)
