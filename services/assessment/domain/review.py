"""What reviewers say: findings per indicator and stage, reasons, and what was found in the end."""

from dataclasses import dataclass
from datetime import datetime

from contracts.assessment import Stage

STAGES = (Stage.DOCUMENT, Stage.INTERVIEW, Stage.SITE_VISIT)
"""Of review, in their order (PermenPANRB 59/2020, Lampiran III): the first always, a visit only where it is needed."""
MONITORING_STAGES = (Stage.DOCUMENT,)
"""Of the route `pemantauan`: documents alone."""


@dataclass(frozen=True, slots=True)
class Assessor:
    """An external assessor: opaque id, and the institution that they come from."""

    id: str
    organization: str


@dataclass(frozen=True, slots=True)
class Finding:
    """An assessor's own level for an indicator in a stage, with what supports it. `version` counts its changes."""

    level: str
    fakta: str
    analisis: str
    justifikasi: str
    by: str
    at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Act:
    """That somebody signed for something: the minutes, the consent. Opaque id and time."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an assessment goes back: about one indicator, or the whole."""

    text: str
    indicator: int | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A numbered *rekomendasi*: the number is how a follow-up refers to it, for good."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class AspectReport:
    """What was found under one aspect."""

    aspect: int
    strengths: str
    weaknesses: str
    recommendations: tuple[Recommendation, ...]
