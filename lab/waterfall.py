"""One trace as a waterfall: who did what, when, caused by what."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import httpx
from rich.markup import escape
from rich.table import Column, Table

from lab.errors import LabError

NAME_MAX_CHARS = 34
BAR_MAX_CHARS, BAR_MIN_CHARS = 36, 10
BESIDE_BAR_CHARS = 70


@dataclass(frozen=True, slots=True)
class Span:
    """A span as the sink tells it; times in nanoseconds."""

    service: str
    name: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Span":
        """From the sink's JSON."""
        return cls(*(told[name] for name in ("service", "name", "span_id", "parent_id", "start_ns", "end_ns")))


def fetch(trace_id: str, address: str, *, jaeger: bool) -> list[Span]:
    """The spans of a trace, from the development sink or from Jaeger's query API. Raises LabError."""
    asked = f"{address.rstrip('/')}/{'api/traces' if jaeger else 'traces'}/{trace_id}"
    try:
        answer = httpx.get(asked, trust_env=False)
    except httpx.HTTPError as error:
        raise LabError(f"{asked} does not answer: {error}") from error
    if answer.status_code == 404:
        raise LabError(f"{address} has no trace {trace_id}: not sent yet, not kept, or too old")
    if not answer.is_success:
        raise LabError(f"{asked} answers {answer.status_code}: {answer.text[:200]}")
    return of_jaeger(answer.json()) if jaeger else [Span.of(span) for span in answer.json()]


def of_jaeger(told: Mapping[str, Any]) -> list[Span]:
    """From the JSON of Jaeger's query API, whose times are in microseconds."""
    return [
        Span(
            service=trace["processes"][span["processID"]]["serviceName"],
            name=span["operationName"],
            span_id=span["spanID"],
            parent_id=next((ref["spanID"] for ref in span["references"] if ref["refType"] == "CHILD_OF"), None),
            start_ns=span["startTime"] * 1_000,
            end_ns=(span["startTime"] + span["duration"]) * 1_000,
        )
        for trace in told["data"]
        for span in trace["spans"]
    ]


def missing(spans: Sequence[Span], wanted: Sequence[tuple[str, str]]) -> list[str]:
    """Which of `wanted`, as (service, pattern of the name), the trace does not have."""

    def there(service: str, pattern: str) -> bool:
        return any(span.service == service and fnmatchcase(span.name, pattern) for span in spans)

    return [f"{service}: {pattern}" for service, pattern in wanted if not there(service, pattern)]


def in_order(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """Each span with its depth: children under their cause, the earlier first. Unknown causes count as the outside."""
    known = {span.span_id for span in spans}
    children: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        children.setdefault(span.parent_id if span.parent_id in known else None, []).append(span)

    def under(parent: str | None, depth: int) -> Iterable[tuple[int, Span]]:
        for span in children.get(parent, ()):
            yield depth, span
            yield from under(span.span_id, depth + 1)

    return list(under(None, 0))


def table(spans: Sequence[Span], *, width: int) -> Table:
    """For a screen or a log of this many columns; 80 suffice."""
    chars = max(BAR_MIN_CHARS, min(BAR_MAX_CHARS, width - BESIDE_BAR_CHARS))
    begin, end = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    shown = Table(
        "service",
        "what",
        Column("at ms", justify="right"),
        Column("for ms", justify="right"),
        Column("", no_wrap=True),
        box=None,
    )
    for depth, span in in_order(spans):
        shown.add_row(
            span.service,
            escape("  " * depth + shortened(span.name)),
            f"{(span.start_ns - begin) / 1e6:.1f}",
            f"{(span.end_ns - span.start_ns) / 1e6:.1f}",
            bar(span, begin_ns=begin, end_ns=end, chars=chars),
        )
    return shown


def shortened(name: str, *, chars: int = NAME_MAX_CHARS) -> str:
    """A long route by its last parts, as many as fit: POST …/{assessment_id}/submission."""
    method, _, path = name.partition(" ")
    parts = path.split("/")
    while len(f"{method} …/{'/'.join(parts)}") > chars and len(parts) > 1:
        parts = parts[1:]
    return name if len(name) <= chars else f"{method} …/{'/'.join(parts)}"


def bar(span: Span, *, begin_ns: int, end_ns: int, chars: int) -> str:
    """Where the span lies between the begin and the end of the trace; at least one character."""
    whole = max(1, end_ns - begin_ns)
    first = min(chars - 1, (span.start_ns - begin_ns) * chars // whole)
    last = max(first + 1, -(-(span.end_ns - begin_ns) * chars // whole))
    return "·" * first + "█" * (last - first) + "·" * (chars - last)
