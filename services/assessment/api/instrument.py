"""Instruments and cycles: public, immutable, from the data beside the code."""

from typing import Annotated

from fastapi import Path, Request

from chassis.auth import AnyViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import routes
from chassis.problem import NotFound
from chassis.problems import problems
from contracts.assessment import CycleOpened, InstrumentPublished
from services.assessment import catalogue

router = routes("assessment")


@router.get("/instruments", responses=problems(401, 429))
async def list_instruments(_viewer: AnyViewer) -> list[str]:
    """The ids of all instruments."""
    return [instrument.instrument for instrument in catalogue.instruments()]


@router.get("/instruments/{instrument_id}", responses=problems(401, 404, 422, 429) | NOT_MODIFIED)
async def one_instrument(
    instrument_id: Annotated[str, Path(max_length=40)], _viewer: AnyViewer, request: Request
) -> InstrumentPublished:
    """A questionnaire, whole: layers, weights, scale, bands, and the texts of its levels where they are known."""
    found = next((i for i in catalogue.instruments() if i.instrument == instrument_id), None)
    if found is None:
        raise NotFound(
            "GET /assessment/v1/instruments lists those there are.",
            "GET /assessment/v1/instruments memuat daftarnya.",
            field="instrument_id",
        )
    return told(found, request)


@router.get("/cycles", responses=problems(401, 429))
async def list_cycles(_viewer: AnyViewer) -> list[CycleOpened]:
    """All cycles, from the earliest period on; what is unknown of one is null, with the reason."""
    return list(catalogue.cycles())
