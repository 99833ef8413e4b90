"""How assessments are asked for and filled: a module per noun."""

from fastapi import APIRouter

from services.assessment.api import answer, assessment, instrument

router = APIRouter(prefix="/assessment/v1", tags=["assessment"])
for noun in (instrument, assessment, answer):
    router.include_router(noun.router)
