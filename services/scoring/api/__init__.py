"""How scores are asked for, and official results imported: a module per noun."""

from fastapi import APIRouter

from services.scoring.api import export, official, portrait, score, standings, summary

router = APIRouter(prefix="/scoring/v1", tags=["scoring"])
for noun in (score, standings, portrait, summary, export, official):
    router.include_router(noun.router)
