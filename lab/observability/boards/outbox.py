"""Whatever waits on its way through Kafka."""

from contracts.telemetry import metrics as m
from lab.observability.panel import Board, Panel, quantile

BOARD = Board(
    "livinglab-outbox",
    "Outbox, lag, dead letters",
    "Whatever waits on its way through Kafka. Nothing of it is lost.",
    (
        (
            "Outboxes",
            (
                Panel(
                    "Oldest entry",
                    "s",
                    "How long the oldest fact has waited to be handed over: the main indicator.",
                    ((f"max by (service) ({m.OUTBOX_AGE.full_name})", "{{service}}"),),
                    10,
                    30,
                    "OutboxOld",
                ),
                Panel(
                    "Aggregates with entries",
                    "short",
                    "1,000 at most are counted.",
                    ((f"max by (service) ({m.OUTBOX_PENDING.full_name})", "{{service}}"),),
                    runbook="OutboxOld",
                ),
            ),
        ),
        (
            "Consumers",
            (
                Panel(
                    "Lag",
                    "s",
                    "Age of the oldest record that a group has not handled.",
                    ((f"max by (group) ({m.LAG_SECONDS.full_name})", "{{group}}"),),
                    5,
                    60,
                    "ConsumerLags",
                ),
                Panel(
                    "Records behind",
                    "short",
                    "Not yet committed, over all partitions.",
                    ((f"sum by (group) ({m.LAG_RECORDS.full_name})", "{{group}}"),),
                    runbook="ConsumerLags",
                ),
                Panel(
                    "From a batch read to its commit, p99",
                    "s",
                    "By group.",
                    ((quantile(0.99, m.BATCH_SECONDS, "", "group"), "{{group}}"),),
                    1,
                    5,
                    "ConsumerLags",
                ),
                Panel(
                    "Records in a batch, median",
                    "short",
                    "1 at rest, 500 in a rush.",
                    ((quantile(0.5, m.BATCH_RECORDS, "", "group"), "{{group}}"),),
                ),
                Panel(
                    "Held, or standing still",
                    "short",
                    "Records that failed and wait for another to succeed; 1 where a group stands still on purpose.",
                    (
                        (f"sum by (group) ({m.HELD_RECORDS.full_name})", "{{group}} holds"),
                        (f"max by (group, reason) ({m.STOPPED.full_name})", "{{group}} stopped: {{reason}}"),
                    ),
                    1,
                    1,
                    "ConsumerStopped",
                ),
            ),
        ),
        (
            "Dead letters",
            (
                Panel(
                    "Open",
                    "short",
                    "Set aside and not yet dealt with.",
                    ((f"max by (service) ({m.DEAD_LETTERS_OPEN.full_name})", "{{service}}"),),
                    1,
                    10,
                    "DeadLetters",
                ),
                Panel(
                    "Set aside",
                    "short",
                    "In an hour, by why.",
                    ((f"sum by (group, code) (increase({m.DEAD_LETTERS.full_name}[1h]))", "{{group}} {{code}}"),),
                    runbook="DeadLetters",
                ),
            ),
        ),
    ),
)
