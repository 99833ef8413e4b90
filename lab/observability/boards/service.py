"""One service: its requests, its errors, its time, its processes."""

from contracts.telemetry import metrics as m
from lab.observability.panel import RATE, Board, Panel, quantile, rate

OF_SERVICE = 'service="$service"'
BOARD = Board(
    "livinglab-service",
    "Service",
    "One service: its requests, its errors, its time, its processes.",
    (
        (
            "Requests",
            (
                Panel(
                    "Requests by route",
                    "reqps",
                    "Answered a second.",
                    ((rate(m.HTTP_REQUESTS, OF_SERVICE, "method", "route"), "{{method}} {{route}}"),),
                ),
                Panel(
                    "Errors by status",
                    "reqps",
                    "4xx are the caller's, 5xx are ours.",
                    ((rate(m.HTTP_REQUESTS, f'{OF_SERVICE},status=~"4..|5.."', "status"), "{{status}}"),),
                    runbook="SubmissionsFail",
                ),
                Panel(
                    "Time to answer, p99",
                    "s",
                    "By route.",
                    ((quantile(0.99, m.HTTP_SECONDS, OF_SERVICE, "method", "route"), "{{method}} {{route}}"),),
                    0.5,
                    2,
                    "LoopBlocked",
                    exemplars=True,
                ),
            ),
        ),
        (
            "Processes",
            (
                Panel(
                    "Processes up",
                    "short",
                    "That Prometheus reaches.",
                    ((f'sum by (role) (up{{job="livinglab",{OF_SERVICE}}})', "{{role}}"),),
                    runbook="ServiceDown",
                ),
                Panel(
                    "CPU",
                    "percentunit",
                    "Of one core, by process. A Python process uses one at most.",
                    ((f"rate(process_cpu_seconds_total{{{OF_SERVICE}}}[{RATE}])", "{{role}} {{instance}}"),),
                    0.7,
                    0.9,
                    "LoopBlocked",
                ),
                Panel(
                    "Memory",
                    "bytes",
                    "Resident, by process. The limit is 512 MB, of commitment 1 GB.",
                    ((f"process_resident_memory_bytes{{{OF_SERVICE}}}", "{{role}} {{instance}}"),),
                    350e6,
                    480e6,
                    "ServiceDown",
                ),
                Panel(
                    "Spans",
                    "ops",
                    "Ended, and taken or refused by the collector. Refused ones are lost; the service goes on.",
                    ((rate(m.SPANS, OF_SERVICE, "outcome"), "{{outcome}}"),),
                    runbook="SpansLost",
                ),
                Panel(
                    "Event loop late by",
                    "s",
                    "How late the loop wakes up, by process.",
                    ((f"{m.LOOP_LAG.full_name}{{{OF_SERVICE}}}", "{{role}} {{instance}}"),),
                    0.1,
                    0.25,
                    "LoopBlocked",
                ),
            ),
        ),
    ),
    by_service=True,
)
