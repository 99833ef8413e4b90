"""How scores are asked for, and official results imported: a module per noun."""

from services.scoring.api import export, official, portrait, score, standings, summary

routers = [noun.router for noun in (score, standings, portrait, summary, export, official)]
