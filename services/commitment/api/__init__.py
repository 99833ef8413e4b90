"""How all of it is recorded, signed, followed and asked for: a module per noun."""

from services.commitment.api import (
    answer,
    audit,
    commitment,
    evidence,
    file,
    followup,
    pledge,
    signing,
    verification,
    visit,
)

routers = [
    noun.router for noun in (visit, commitment, signing, verification, pledge, followup, evidence, file, answer, audit)
]
