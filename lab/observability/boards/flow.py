"""From a region's submission to the system of whoever is told."""

from contracts.telemetry import metrics as m
from lab.observability.panel import SUBMISSION, Board, Panel, quantile, rate, share

BOARD = Board(
    "livinglab-flow",
    "Flow: regions → ministries",
    "From a region's submission to the system of whoever is told: how much, how fast, and where it waits.",
    (
        (
            "A region submits",
            (
                Panel(
                    "Submissions",
                    "reqps",
                    "Answered submissions a second, by status.",
                    ((rate(m.HTTP_REQUESTS, SUBMISSION, "status"), "{{status}}"),),
                ),
                Panel(
                    "Share of failed submissions",
                    "percentunit",
                    "5xx of all. The promise is 0.1 %.",
                    ((share(m.HTTP_REQUESTS, f'{SUBMISSION},status=~"5.."', SUBMISSION), "5xx"),),
                    0.001,
                    0.01,
                    "SubmissionsFail",
                ),
                Panel(
                    "Time to answer a submission",
                    "s",
                    "Median and 99th percentile. The promise is 99 % within half a second.",
                    (
                        (quantile(0.5, m.HTTP_SECONDS, SUBMISSION), "p50"),
                        (quantile(0.99, m.HTTP_SECONDS, SUBMISSION), "p99"),
                    ),
                    0.25,
                    0.5,
                    "SubmissionsSlow",
                    exemplars=True,
                ),
            ),
        ),
        (
            "Facts travel",
            (
                Panel(
                    "Age of facts at each hop, p95",
                    "s",
                    "Since what a fact tells of: when Kafka had it, a consumer was done, an endpoint took it.",
                    ((quantile(0.95, m.EVENT_AGE, "", "hop"), "{{hop}}"),),
                    2,
                    5,
                    "EventsLate",
                    exemplars=True,
                ),
                Panel(
                    "Facts relayed",
                    "ops",
                    "Entries of outboxes handed over a second: facts by topic, notes by collection.",
                    ((rate(m.OUTBOX_RELAYED, "", "destination"), "{{destination}}"),),
                ),
                Panel(
                    "Records handled",
                    "ops",
                    "By each consumer group, a second.",
                    ((rate(m.CONSUMER_RECORDS, 'outcome="handled"', "group"), "{{group}}"),),
                ),
            ),
        ),
        (
            "Ministries hear of it",
            (
                Panel(
                    "Age at the ministry's endpoint, p95",
                    "s",
                    "By type of fact. The promise is 95 % within 5 seconds.",
                    ((quantile(0.95, m.EVENT_AGE, 'hop="webhook"', "type"), "{{type}}"),),
                    2,
                    5,
                    "EventsLate",
                    exemplars=True,
                ),
                Panel(
                    "Taken at the first attempt",
                    "percentunit",
                    "Of all deliveries that came to an end.",
                    ((share(m.DELIVERIES, 'outcome="first"', 'outcome=~"first|later|exhausted"'), "first"),),
                    runbook="WebhooksFail",
                ),
                Panel("Live streams", "short", "Open streams.", ((f"sum({m.STREAMS_OPEN.full_name})", "open"),)),
            ),
        ),
    ),
)
