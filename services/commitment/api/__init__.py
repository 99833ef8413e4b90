"""How visits, pledges and follow-ups are recorded and asked for: a module per noun."""

from services.commitment.api import evidence, file, followup, pledge, visit

routers = [noun.router for noun in (visit, pledge, followup, evidence, file)]
