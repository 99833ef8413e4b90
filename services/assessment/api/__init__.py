"""How assessments are asked for and filled: a module per noun."""

from services.assessment.api import answer, assessment, instrument, review

routers = [noun.router for noun in (instrument, assessment, answer, review)]
