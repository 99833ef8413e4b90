"""The assessment service: a region takes a portrait of itself, and hands it over."""

from pathlib import Path

from fastapi import FastAPI

from chassis.service import Resources, service
from chassis.settings import Settings
from services.assessment import api, usecases
from services.assessment.store import Assessments, Catalogue


def create_app(settings: Settings | None = None) -> FastAPI:
    """Nothing is created before its lifespan begins."""
    return service(
        settings or Settings(),
        name="assessment",
        examples=Path(__file__).with_name("examples.json"),
        routers=api.routers,
        stores=[Assessments, Catalogue],
        at_start=[publish_catalogue],
    )


async def publish_catalogue(resources: Resources) -> None:
    """Instruments and cycles are told of before the first assessment can be opened."""
    await usecases.publish_catalogue(resources[Catalogue])
