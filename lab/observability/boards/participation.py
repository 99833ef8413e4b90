"""What the Lab is for: who reports, with which result, and who followed up."""

from contracts.telemetry import metrics as m
from lab.observability.panel import Board, Panel, quantile

BOARD = Board(
    "livinglab-participation",
    "Participation and funnel",
    "What the Lab is for: who reports, with which result, and who followed up.",
    (
        (
            "Participation",
            (
                Panel(
                    "Regions by stage",
                    "short",
                    "Regions with an index, by cycle and basis. There are 546 governments.",
                    (
                        (
                            f"sum by (cycle, basis) (max by (cycle, basis, predicate) ({m.REGIONS.full_name}))",
                            "{{cycle}} {{basis}}",
                        ),
                    ),
                ),
                Panel(
                    "Predicates",
                    "short",
                    "Regions by predicate, of each cycle and basis.",
                    (
                        (
                            f"max by (cycle, basis, predicate) ({m.REGIONS.full_name})",
                            "{{cycle}} {{basis}} {{predicate}}",
                        ),
                    ),
                ),
                Panel(
                    "Submissions",
                    "short",
                    "In a day.",
                    (
                        (
                            f'sum(increase({m.EVENT_AGE.full_name}_count{{hop="relayed",'
                            'type="id.livinglab.assessment.submitted.v1"}[1d]))',
                            "submitted",
                        ),
                    ),
                    stat=True,
                ),
            ),
        ),
        (
            "Funnel",
            (
                Panel(
                    "How far they came",
                    "short",
                    "Organizations of the nation: visited → invited → signed → acted → improved → reached the target.",
                    ((f"max by (stage) ({m.FUNNEL.full_name})", "{{stage}}"),),
                    stat=True,
                ),
                Panel(
                    "Time of a signature, p95",
                    "s",
                    "Of a day: from the claimed turn until its outcome is known.",
                    (
                        (
                            quantile(0.95, m.SIGNING_SECONDS, "", "provider", "outcome", over="1d"),
                            "{{provider}} {{outcome}}",
                        ),
                    ),
                    5,
                    20,
                    "SigningUnknown",
                ),
                Panel(
                    "Checkpoint of the audit trails overdue",
                    "s",
                    "Since when the next signed checkpoint is due and not made.",
                    ((f"max({m.CHECKPOINT_OVERDUE.full_name})", "overdue"),),
                    60,
                    900,
                    "CheckpointOverdue",
                ),
            ),
        ),
    ),
)
