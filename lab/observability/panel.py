"""What a dashboard is made of, and the queries that most panels ask."""

from dataclasses import dataclass

from contracts.telemetry import metrics as m

SUBMISSION = 'method="POST",route="/assessment/v1/assessments/{assessment_id}/submission"'
RATE = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries`: PromQL and legend. `warn`, `bad`: where it turns yellow and red; None where no value is wrong."""

    title: str
    unit: str
    description: str
    queries: tuple[tuple[str, str], ...]
    warn: float | None = None
    bad: float | None = None
    runbook: str | None = None
    stat: bool = False
    """One number instead of a curve."""
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: titles of rows → their panels."""

    uid: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    by_service: bool = False
    """It has a variable `service`."""


def quantile(share: float, metric: m.Metric, where: str, *by: str, over: str = RATE) -> str:
    """Of a histogram, by these labels; `over` a longer time where things are rare."""
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric.full_name}_bucket{{{where}}}[{over}])))"


def rate(metric: m.Metric, where: str, *by: str) -> str:
    """A second, by these labels."""
    return f"sum by ({', '.join(by)}) (rate({metric.full_name}{{{where}}}[{RATE}]))"


def share(metric: m.Metric, part: str, whole: str) -> str:
    """Of all that is `whole`; 0 where there is none of `part`."""
    every = f"sum(rate({metric.full_name}{{{whole}}}[{RATE}]))"
    return f"(sum(rate({metric.full_name}{{{part}}}[{RATE}])) or {every} * 0) / {every}"
