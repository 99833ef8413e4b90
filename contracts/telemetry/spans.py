"""Every span, its attributes, and the edges that the trace of a story must have."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["server", "producer", "consumer", "client", "internal"]

# OpenTelemetry's semantic conventions 1.36 first; own names where they have none.
ATTRIBUTES: Mapping[str, str] = {
    "http.request.method": "`_OTHER` for those that do not exist",
    "http.route": "template of the route",
    "http.response.status_code": "absent where no answer came",
    "error.type": "why it failed: an exception's or a failure's name, or the status",
    "messaging.system": "`kafka`",
    "messaging.operation.name": "`send` or `process`",
    "messaging.operation.type": "the same",
    "messaging.destination.name": "topic",
    "messaging.consumer.group.name": "group",
    "messaging.batch.message_count": "records in the batch that this one was handled with",
    "cloudevents.event_id": "id of the fact: the same on every hop",
    "cloudevents.event_type": "its type",
    "cloudevents.event_subject": "region code, or id of the aggregate",
    "livinglab.region": "code of the region that the fact is about; absent where it is about none",
    "livinglab.subscription": "id of whoever is told",
    "livinglab.replay": "id of the replay that asked for it again",
    "livinglab.signing.provider": "`local` or `bsre`",
    "livinglab.signing.outcome": "`signed`, `refused`, `unknown`",
}
"""Never a path, a query, a body or a person: addresses hold tokens of letters, bodies hold passphrases."""


@dataclass(frozen=True, slots=True)
class Span:
    """A row. `name` holds placeholders in braces; `sometimes`: attributes that not every one of them has."""

    name: str
    kind: Kind
    services: tuple[str, ...]
    meaning: str
    always: tuple[str, ...]
    sometimes: tuple[str, ...] = ()


MESSAGING = ("messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.name")
FACT = ("cloudevents.event_id", "cloudevents.event_type", "cloudevents.event_subject")
ALL_SERVICES = ("assessment", "commitment", "notify", "scoring")

REQUEST = Span(
    "{method} {route}",
    "server",
    ALL_SERVICES,
    "A request, from its first byte to the end of its answer. Failed: 5xx.",
    ("http.request.method", "http.route", "http.response.status_code"),
    ("error.type",),
)
SEND = Span(
    "send {topic}",
    "producer",
    ALL_SERVICES,
    "A fact handed to Kafka: by the relay of an outbox, or by a projection.",
    (*MESSAGING, *FACT),
    ("livinglab.region",),
)
PROCESS = Span(
    "process {topic}",
    "consumer",
    ("commitment", "notify", "scoring"),
    "A fact in a reaction, with the batch that it came in: all of a batch begin and end together. A dead letter "
    "that is tried again because somebody asked has a trace of its own, linked to that of the fact.",
    (*MESSAGING, *FACT, "messaging.consumer.group.name", "messaging.batch.message_count"),
    ("livinglab.region", "error.type"),
)
WEBHOOK = Span(
    "POST webhook",
    "client",
    ("notify",),
    "One attempt to hand an event to an endpoint. A replay has a trace of its own, linked to that of the event.",
    ("http.request.method", *FACT, "livinglab.subscription"),
    ("http.response.status_code", "error.type", "livinglab.region", "livinglab.replay"),
)
SIGN = Span(
    "sign",
    "internal",
    ("commitment",),
    "A signature, from the claimed turn until its outcome is known and written.",
    ("livinglab.signing.provider", "livinglab.signing.outcome"),
    ("error.type",),
)

ALL = (REQUEST, SEND, PROCESS, WEBHOOK, SIGN)

Place = tuple[str, str]
"""Service and name of a span."""


def _chain(*places: Place) -> tuple[tuple[Place, Place], ...]:
    return tuple(pairwise(places))


RECEIVER = "receiver"
"""The service of whoever is told: not ours, it continues the `traceparent` of the webhook."""
_SUBMITTED = ("assessment", "POST /assessment/v1/assessments/{assessment_id}/submission")
_ASSESSMENT_SENT = ("assessment", "send livinglab.assessment")
_SCORE_SENT = ("scoring", "send livinglab.score")
_SIGNED = ("commitment", "POST /commitment/v1/commitments/{commitment_id}/signatures")
_COMMITMENT_SENT = ("commitment", "send livinglab.commitment")
_FOLLOWED_UP = ("commitment", "POST /commitment/v1/followups/{followup_id}/completion")
_FOLLOWUP_SENT = ("commitment", "send livinglab.followup")
_TOLD = ("notify", "POST webhook")
_RECEIVED = (RECEIVER, "POST /")

EDGES: Mapping[str, tuple[tuple[Place, Place], ...]] = {
    "A region submits": (
        *_chain(_SUBMITTED, _ASSESSMENT_SENT, ("scoring", "process livinglab.assessment"), _SCORE_SENT),
        (_ASSESSMENT_SENT, ("notify", "process livinglab.assessment")),
        (_SCORE_SENT, ("notify", "process livinglab.score")),
        (_SCORE_SENT, ("commitment", "process livinglab.score")),
        *_chain(_ASSESSMENT_SENT, _TOLD, _RECEIVED),
        *_chain(_SCORE_SENT, _TOLD, _RECEIVED),
    ),
    "A signatory signs": (
        *_chain(_SIGNED, ("commitment", "sign"), _COMMITMENT_SENT, _TOLD, _RECEIVED),
        (_COMMITMENT_SENT, ("notify", "process livinglab.commitment")),
    ),
    "A region follows up": (
        *_chain(_FOLLOWED_UP, _FOLLOWUP_SENT, _TOLD, _RECEIVED),
        (_FOLLOWUP_SENT, ("notify", "process livinglab.followup")),
    ),
}
"""Story → (parent, child): what its trace must hold.

A webhook follows from the fact as it was sent: attempts of days, by whichever worker, have the same parent.
"""
