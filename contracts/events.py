"""Every fact that is published, as data: its type, topic, body and publisher."""

from dataclasses import dataclass

from contracts import topics
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.fact import TYPE_PREFIX, Body
from contracts.notify import DeliveryExhausted, SubscriptionDisabled
from contracts.scoring import ScoreRecalculated
from contracts.topics import Topic


@dataclass(frozen=True, slots=True)
class EventType:
    """A published fact. `about` is one sentence for the integrator who reads the AsyncAPI document."""

    name: str
    topic: Topic
    body: type[Body]
    publisher: str
    about: str

    @property
    def type(self) -> str:
        """The CloudEvents type, such as id.livinglab.assessment.submitted.v1."""
        return f"{TYPE_PREFIX}{self.name}.v1"

    @property
    def source(self) -> str:
        """The CloudEvents source, such as /services/assessment."""
        return f"/services/{self.publisher}"


INSTRUMENT_PUBLISHED = EventType(
    "instrument.published",
    topics.INSTRUMENT,
    InstrumentPublished,
    "assessment",
    "A questionnaire may be used from now on.",
)
CYCLE_OPENED = EventType(
    "cycle.opened", topics.CYCLE, CycleOpened, "assessment", "A year's round is open under one instrument."
)
ASSESSMENT_SUBMITTED = EventType(
    "assessment.submitted", topics.ASSESSMENT, AssessmentState, "assessment", "A region handed its assessment over."
)
ASSESSMENT_REOPENED = EventType(
    "assessment.reopened", topics.ASSESSMENT, AssessmentState, "assessment", "The region took it back to correct it."
)
ASSESSMENT_ASSIGNED = EventType(
    "assessment.assigned",
    topics.ASSESSMENT,
    AssessmentState,
    "assessment",
    "Its external assessors were chosen.",
)
ASSESSMENT_REVIEWED = EventType(
    "assessment.reviewed", topics.ASSESSMENT, AssessmentState, "assessment", "The assessors closed a stage of review."
)
ASSESSMENT_RETURNED = EventType(
    "assessment.returned", topics.ASSESSMENT, AssessmentState, "assessment", "It went back to the region, with reasons."
)
ASSESSMENT_VERIFIED = EventType(
    "assessment.verified", topics.ASSESSMENT, AssessmentState, "assessment", "The review team found the result valid."
)
ASSESSMENT_PUBLISHED = EventType(
    "assessment.published",
    topics.ASSESSMENT,
    AssessmentState,
    "assessment",
    "Levels and scores are public now.",
)
SCORE_RECALCULATED = EventType(
    "score.recalculated",
    topics.SCORE,
    ScoreRecalculated,
    "scoring",
    "The scores that follow from one assessment fact, or a region's official result.",
)
SUBSCRIPTION_DISABLED = EventType(
    "subscription.disabled",
    topics.SUBSCRIPTION,
    SubscriptionDisabled,
    "notify",
    "Its endpoint is gone, or failed for days; for its owner only.",
)
DELIVERY_EXHAUSTED = EventType(
    "delivery.exhausted",
    topics.DELIVERY,
    DeliveryExhausted,
    "notify",
    "No attempt to hand an event over succeeded; for its owner only.",
)

ALL: tuple[EventType, ...] = (
    INSTRUMENT_PUBLISHED,
    CYCLE_OPENED,
    ASSESSMENT_SUBMITTED,
    ASSESSMENT_REOPENED,
    ASSESSMENT_ASSIGNED,
    ASSESSMENT_REVIEWED,
    ASSESSMENT_RETURNED,
    ASSESSMENT_VERIFIED,
    ASSESSMENT_PUBLISHED,
    SCORE_RECALCULATED,
    SUBSCRIPTION_DISABLED,
    DELIVERY_EXHAUSTED,
)
