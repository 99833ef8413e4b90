"""How assessments are asked for and filled: a module per noun."""

from fastapi import APIRouter

from services.assessment.api import answer, assessment, instrument, review

router = APIRouter(prefix="/assessment/v1", tags=["assessment"])
for noun in (instrument, assessment, answer, review):
    router.include_router(noun.router)
