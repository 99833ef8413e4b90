"""Every fact that is published, as data: its type, topic, body and publisher."""

from dataclasses import dataclass

from contracts import topics
from contracts.assessment import AssessmentState, CycleOpened, InstrumentPublished
from contracts.commitment import CommitmentState, FollowUpState, PledgeState, VisitState
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
VISIT_RECORDED = EventType(
    "visit.recorded",
    topics.VISIT,
    VisitState,
    "commitment",
    "Somebody came to study, or what was recorded of it was corrected or withdrawn.",
)
COMMITMENT_OPENED = EventType(
    "commitment.opened",
    topics.COMMITMENT,
    CommitmentState,
    "commitment",
    "It may be signed, or there is a new edition of it, or more who may sign.",
)
COMMITMENT_SIGNED = EventType(
    "commitment.signed", topics.COMMITMENT, CommitmentState, "commitment", "One more has signed it."
)
COMMITMENT_ENTERED_FORCE = EventType(
    "commitment.entered_force", topics.COMMITMENT, CommitmentState, "commitment", "Signing is closed; it holds."
)
COMMITMENT_COMPLETED = EventType(
    "commitment.completed",
    topics.COMMITMENT,
    CommitmentState,
    "commitment",
    "Its period is over, or it is done.",
)
COMMITMENT_WITHDRAWN = EventType(
    "commitment.withdrawn", topics.COMMITMENT, CommitmentState, "commitment", "It holds no more."
)
PLEDGE_PROGRESSED = EventType(
    "pledge.progressed",
    topics.PLEDGE,
    PledgeState,
    "commitment",
    "It was made, or a score that is looked at for it is another now.",
)
PLEDGE_FULFILLED = EventType(
    "pledge.fulfilled", topics.PLEDGE, PledgeState, "commitment", "A score reached the target in time."
)
PLEDGE_MISSED = EventType(
    "pledge.missed", topics.PLEDGE, PledgeState, "commitment", "The day passed, and no score had reached the target."
)
FOLLOWUP_RECORDED = EventType(
    "followup.recorded",
    topics.FOLLOWUP,
    FollowUpState,
    "commitment",
    "An action was entered, or is further.",
)
FOLLOWUP_OVERDUE = EventType(
    "followup.overdue", topics.FOLLOWUP, FollowUpState, "commitment", "Its day passed, and it is not done."
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
    VISIT_RECORDED,
    COMMITMENT_OPENED,
    COMMITMENT_SIGNED,
    COMMITMENT_ENTERED_FORCE,
    COMMITMENT_COMPLETED,
    COMMITMENT_WITHDRAWN,
    PLEDGE_PROGRESSED,
    PLEDGE_FULFILLED,
    PLEDGE_MISSED,
    FOLLOWUP_RECORDED,
    FOLLOWUP_OVERDUE,
    SUBSCRIPTION_DISABLED,
    DELIVERY_EXHAUSTED,
)
