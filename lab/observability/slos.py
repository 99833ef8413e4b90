"""What we promise, and how fast a promise may be used up before somebody is woken (SRE workbook, chapter 5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.telemetry import metrics as m

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
BURNS = (
    ("page", (("1h", "5m", 14.4), ("6h", "30m", 6.0))),
    ("ticket", (("1d", "2h", 3.0), ("3d", "6h", 1.0))),
)
"""Severity → (long window, short window, times faster than the budget of 30 days allows)."""
SUBMISSION = 'method="POST",route="/assessment/v1/assessments/{assessment_id}/submission"'
OUTBOX_LATE_S = 10
AT_LEAST = 5
"""Bad ones in the long window: one of the three of a quiet night is a third, and no reason to wake anybody."""
OUTBOX_LATE = "livinglab:outbox_late:bool"


@dataclass(frozen=True, slots=True)
class Slo:
    """`errors` is PromQL for the share that was bad in WINDOW, `bad` for how many were, where it is a share of such.

    `alert` names the alert and its runbook.
    """

    name: str
    alert: str
    objective: float
    promise_id: str
    promise_en: str
    errors: str
    bad: str | None


def _slow(metric: m.Metric, where: str, le: str) -> tuple[str, str]:
    every = f"{metric.full_name}_count{{{where}}}[WINDOW]"
    good = f'{metric.full_name}_bucket{{{where},le="{le}"}}[WINDOW]'
    return (
        f"1 - sum(rate({good})) / sum(rate({every}))",
        f"sum(increase({every})) - sum(increase({good}))",
    )


def _failed(metric: m.Metric, bad: str, every: str) -> tuple[str, str]:
    all_ = f"sum(rate({metric.full_name}{{{every}}}[WINDOW]))"
    return (
        f"(sum(rate({metric.full_name}{{{bad}}}[WINDOW])) or {all_} * 0) / {all_}",
        f"sum(increase({metric.full_name}{{{bad}}}[WINDOW]))",
    )


SLOS = (
    Slo(
        "submissions_answered",
        "SubmissionsFail",
        0.999,
        "Dari 1.000 penyampaian penilaian, paling banyak satu gagal karena kami.",
        "Of 1,000 submissions at most one fails because of us.",
        *_failed(m.HTTP_REQUESTS, f'{SUBMISSION},status=~"5.."', SUBMISSION),
    ),
    Slo(
        "submissions_fast",
        "SubmissionsSlow",
        0.99,
        "99 % penyampaian dijawab dalam setengah detik.",
        "99 % of submissions are answered within half a second.",
        *_slow(m.HTTP_SECONDS, SUBMISSION, "0.5"),
    ),
    Slo(
        "events_in_time",
        "EventsLate",
        0.95,
        "95 % peristiwa sampai di sistem kementerian dalam 5 detik.",
        "95 % of events reach a ministry's system within 5 seconds.",
        *_slow(m.EVENT_AGE, 'hop="webhook"', "5.0"),
    ),
    Slo(
        "deliveries_made",
        "DeliveriesExhausted",
        0.995,
        "Dari 1.000 kiriman, paling banyak lima tidak pernah sampai.",
        "Of 1,000 deliveries at most five are never taken.",
        *_failed(m.DELIVERIES, 'outcome="exhausted"', 'outcome=~"first|later|exhausted"'),
    ),
    Slo(
        "outbox_relayed",
        "OutboxesLate",
        0.999,
        f"Dalam 99,9 % waktu tidak ada peristiwa yang menunggu lebih dari {OUTBOX_LATE_S} detik.",
        f"For 99.9 % of the time nothing waits in an outbox for more than {OUTBOX_LATE_S} seconds.",
        f"avg_over_time({OUTBOX_LATE}[WINDOW])",
        None,
    ),
)


def rules() -> dict[str, Any]:
    """Prometheus' rule groups: for each promise its error ratio per window, and an alert per severity."""
    late = {"record": OUTBOX_LATE, "expr": f"max({m.OUTBOX_AGE.full_name}) > bool {OUTBOX_LATE_S}"}
    return {
        "groups": [
            {"name": "slo_inputs", "rules": [late]},
            *({"name": f"slo_{slo.name}", "rules": [*_records(slo), *_alerts(slo)]} for slo in SLOS),
        ]
    }


def _records(slo: Slo) -> list[Mapping[str, Any]]:
    return [
        {"record": _ratio(window), "expr": slo.errors.replace("WINDOW", window), "labels": {"slo": slo.name}}
        for window in WINDOWS
    ]


def _alerts(slo: Slo) -> list[Mapping[str, Any]]:
    budget = round(1 - slo.objective, 6)
    return [
        {
            "alert": slo.alert,
            "expr": " or ".join(
                f'({_ratio(short)}{{slo="{slo.name}"}} > {factor:g} * {budget:g}'
                f' and {_ratio(long)}{{slo="{slo.name}"}} > {factor:g} * {budget:g}{_enough(slo, long)})'
                for long, short, factor in windows
            ),
            "labels": {"severity": severity},
            "annotations": {
                "summary": f"{slo.promise_en} This month's budget for it is being used up.",
                "summary_id": f"{slo.promise_id} Jatah kegagalan bulan ini sedang terpakai habis.",
                "runbook": f"docs/runbooks/{slo.alert}.md",
            },
        }
        for severity, windows in BURNS
    ]


def _enough(slo: Slo, window: str) -> str:
    return f" and on() {slo.bad.replace('WINDOW', window)} >= {AT_LEAST}" if slo.bad else ""


def _ratio(window: str) -> str:
    return f"slo:sli_error:ratio_rate{window}"
