"""Every metric that a process shows to Prometheus, on /metrics of its own port."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# From 1 ms to 10 s: the library's own first bucket of 5 ms hides what a healthy service does.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
AGES = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0, 86_400.0)
"""Seconds: from what a reaction takes to what an outage does. 5.0 is the bound of the promise to ministries."""
RECORDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0)
ALL_SERVICES = ("assessment", "commitment", "notify", "scoring")

LABELS: Mapping[str, str] = {
    "method": "HTTP method; `_OTHER` for those that do not exist",
    "route": "template of the route, never an address; `(none)` where there is none",
    "status": "HTTP status",
    "group": "consumer group, `<service>.<topic>`",
    "outcome": "what became of it",
    "reason": "`bug` or `fork`",
    "code": "why, as in `livinglab dead-letters list`",
    "destination": "topic, or a collection of the service's own",
    "hop": "`relayed`: Kafka has it; `handled`: a consumer is done; `webhook`: an endpoint took it",
    "type": "type of fact, `id.livinglab.<noun>.<verb>.v1`",
    "why": "why it ended",
    "channel": "`webhook`, `email` or `inbox`",
    "provider": "`local`, `bsre` or `paper`",
    "cycle": "id of a cycle",
    "basis": "`self`, `document`, `interview`, `site_visit`, `official`",
    "predicate": "as in the instrument, e.g. `Baik`",
    "stage": "`visited`, `invited`, `signed`, `acted`, `improved`, `reached_target`",
}
"""Bounded, each of them: never a region, an organization, a person or an id of something that users make."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A row. `healthy` is what operators see on a good day."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    healthy: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    services: tuple[str, ...] = ALL_SERVICES

    @property
    def full_name(self) -> str:
        """As in PromQL."""
        return f"livinglab_{self.name}"


def _counter(
    name: str, unit: str, meaning: str, healthy: str, *labels: str, of: tuple[str, ...] = ALL_SERVICES
) -> Metric:
    return Metric(name, "counter", unit, meaning, healthy, labels, services=of)


def _gauge(
    name: str, unit: str, meaning: str, healthy: str, *labels: str, of: tuple[str, ...] = ALL_SERVICES
) -> Metric:
    return Metric(name, "gauge", unit, meaning, healthy, labels, services=of)


def _histogram(
    name: str,
    unit: str,
    meaning: str,
    healthy: str,
    buckets: tuple[float, ...],
    *labels: str,
    of: tuple[str, ...] = ALL_SERVICES,
) -> Metric:
    return Metric(name, "histogram", unit, meaning, healthy, labels, buckets, of)


NOTIFY = ("notify",)
COMMITMENT = ("commitment",)
SCORING = ("scoring",)

HTTP_REQUESTS = _counter(
    "http_requests_total", "requests", "Answered requests", "5xx under 0.1 % of them", "method", "route", "status"
)
HTTP_SECONDS = _histogram(
    "http_request_seconds",
    "seconds",
    "Time to answer; of a stream, until it began",
    "99 % of submissions under 0.5 s",
    SECONDS,
    "method",
    "route",
)
CONSUMER_RECORDS = _counter(
    "consumer_records_total", "records", "Records read, by what became of them", "`set_aside` stays", "group", "outcome"
)
BATCH_RECORDS = _histogram(
    "consumer_batch_records", "records", "Records in a batch", "1 at rest, 500 in a rush", RECORDS, "group"
)
BATCH_SECONDS = _histogram(
    "consumer_batch_seconds", "seconds", "From a batch read to its commit", "under 1 s", SECONDS, "group"
)
LAG_RECORDS = _gauge(
    "consumer_lag_records", "records", "Records on the topic not yet committed", "falls back to 0", "group"
)
LAG_SECONDS = _gauge("consumer_lag_seconds", "seconds", "Age of the oldest record not yet handled", "under 5", "group")
HELD_RECORDS = _gauge(
    "consumer_held_records", "records", "Records that failed and wait for another to succeed", "0", "group"
)
STOPPED = _gauge("consumer_stopped", "0 or 1", "1 while a consumer stands still on purpose", "0", "group", "reason")
DEAD_LETTERS = _counter("dead_letters_total", "records", "Records set aside", "stays", "group", "code")
DEAD_LETTERS_OPEN = _gauge("dead_letters_open", "records", "Records set aside and not yet dealt with", "0")
OUTBOX_RELAYED = _counter(
    "outbox_relayed_total", "entries", "Entries handed over", "rises with commands", "destination"
)
OUTBOX_PENDING = _gauge(
    "outbox_pending_aggregates", "aggregates", "Aggregates with pending entries, 1000 at most", "near 0"
)
OUTBOX_AGE = _gauge(
    "outbox_oldest_seconds", "seconds", "Age of the oldest pending entry: the main indicator", "under 2"
)
EVENT_AGE = _histogram(
    "event_age_seconds",
    "seconds",
    "From the moment that a fact tells of until it came to a hop",
    "95 % under 5 s from a region to a ministry's endpoint",
    AGES,
    "hop",
    "type",
)
SPANS = _counter(
    "spans_total",
    "spans",
    "Spans that ended, and of them those that the collector took, and refused or was not there for",
    "`exported` follows `ended`: what is between them waits, 16,384 at most, or fell out",
    "outcome",
)
LOOP_LAG = _gauge("event_loop_lag_seconds", "seconds", "How late the event loop wakes up", "under 0.1")

STREAMS_OPEN = _gauge("streams_open", "streams", "Live streams", "under the limit in settings", of=NOTIFY)
STREAMS_CATCHING_UP = _gauge(
    "streams_catching_up", "streams", "Live streams that read what they missed", "0 at rest", of=NOTIFY
)
STREAM_MESSAGES = _counter(
    "stream_messages_total", "messages", "Messages sent on live streams", "rises with facts", of=NOTIFY
)
STREAMS_ENDED = _counter(
    "streams_ended_total", "streams", "Live streams, by why they ended", "mostly `left`", "why", of=NOTIFY
)
ATTEMPTS = _counter(
    "delivery_attempts_total",
    "attempts",
    "Attempts to hand over",
    "`failed` under 5 %",
    "channel",
    "outcome",
    of=NOTIFY,
)
ATTEMPT_SECONDS = _histogram(
    "delivery_attempt_seconds",
    "seconds",
    "Time of an attempt",
    "as fast as receivers answer",
    SECONDS,
    "channel",
    of=NOTIFY,
)
DELIVERIES = _counter(
    "deliveries_total",
    "deliveries",
    "Deliveries that came to an end: `first` (at the first attempt), `later`, `exhausted`, `withheld`",
    "99 % `first`",
    "channel",
    "outcome",
    of=NOTIFY,
)
DELIVERIES_PENDING = _gauge(
    "deliveries_pending",
    "deliveries",
    "Deliveries not yet handed over, 10000 at most",
    "what failing endpoints wait for",
    of=NOTIFY,
)
DELIVERIES_WAITING = _gauge(
    "deliveries_waiting_seconds",
    "seconds",
    "How long what is due longest has waited for a worker",
    "under 1",
    of=NOTIFY,
)
SIGNING_SECONDS = _histogram(
    "signing_seconds",
    "seconds",
    "From a claimed turn until its outcome is known: `signed`, `refused`, `unknown`",
    "under 5 s; `unknown` never",
    SECONDS,
    "provider",
    "outcome",
    of=COMMITMENT,
)
CHECKPOINT_OVERDUE = _gauge(
    "audit_checkpoint_overdue_seconds",
    "seconds",
    "Since when the audit trails' next signed checkpoint is due and not made",
    "under 5",
    of=COMMITMENT,
)
FUNNEL = _gauge(
    "funnel_organizations",
    "organizations",
    "Organizations of the nation that came as far, by what is public",
    "rises",
    "stage",
    of=COMMITMENT,
)
REGIONS = _gauge(
    "regions",
    "regions",
    "Regions with an index on a basis: participation per stage, predicates of the nation",
    "rises while a cycle is open",
    "cycle",
    "basis",
    "predicate",
    of=SCORING,
)

ALL: tuple[Metric, ...] = tuple(row for row in list(globals().values()) if isinstance(row, Metric))
