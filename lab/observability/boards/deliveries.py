"""What is handed over to subscribers, what waits, what fails."""

from contracts.telemetry import metrics as m
from lab.observability.panel import RATE, Board, Panel, quantile, rate

BOARD = Board(
    "livinglab-deliveries",
    "Deliveries",
    "Webhooks, e-mails, inboxes and live streams: what is handed over, what waits, what fails.",
    (
        (
            "Handed over",
            (
                Panel(
                    "Deliveries that came to an end",
                    "ops",
                    "By channel and how.",
                    ((rate(m.DELIVERIES, "", "channel", "outcome"), "{{channel}} {{outcome}}"),),
                    runbook="DeliveriesExhausted",
                ),
                Panel(
                    "Waiting",
                    "short",
                    "Not yet handed over, mostly for endpoints that fail; 10,000 at most are counted.",
                    ((f"max({m.DELIVERIES_PENDING.full_name})", "pending"),),
                ),
                Panel(
                    "Waiting for a worker",
                    "s",
                    "What is due longest.",
                    ((f"max({m.DELIVERIES_WAITING.full_name})", "longest"),),
                    5,
                    30,
                    "DeliveriesWait",
                ),
            ),
        ),
        (
            "Attempts",
            (
                Panel(
                    "Attempts",
                    "ops",
                    "By channel and what came of them.",
                    ((rate(m.ATTEMPTS, "", "channel", "outcome"), "{{channel}} {{outcome}}"),),
                    runbook="WebhooksFail",
                ),
                Panel(
                    "Time of an attempt, p99",
                    "s",
                    "As fast as receivers answer; 15 s is the end.",
                    ((quantile(0.99, m.ATTEMPT_SECONDS, "", "channel"), "{{channel}}"),),
                    2,
                    10,
                    "WebhooksFail",
                ),
            ),
        ),
        (
            "Live streams",
            (
                Panel(
                    "Messages sent",
                    "ops",
                    "On all streams.",
                    ((f"sum(rate({m.STREAM_MESSAGES.full_name}[{RATE}]))", "sent"),),
                ),
                Panel(
                    "Streams",
                    "short",
                    "Open, and of them those that read what they missed.",
                    (
                        (f"sum({m.STREAMS_OPEN.full_name})", "open"),
                        (f"sum({m.STREAMS_CATCHING_UP.full_name})", "catching up"),
                    ),
                ),
                Panel(
                    "Streams ended",
                    "short",
                    "In an hour, by why.",
                    ((f"sum by (why) (increase({m.STREAMS_ENDED.full_name}[1h]))", "{{why}}"),),
                ),
            ),
        ),
    ),
)
