"""docs/telemetry.md, from the tables."""

from collections.abc import Iterable, Sequence

from contracts.telemetry import logs, metrics, spans

HEAD = """\
<!-- Written by `python -m contracts` from contracts/telemetry: change it there. -->
# Telemetry

What operators may build on: metrics on `/metrics` of every process' own port (9464 in containers), spans by OTLP, log
lines as JSON on standard output. Dashboards, alerts and runbooks use these names; tests compare the tables with the
code and with what a running system shows.

No label of a metric grows with regions, organizations or people: who it was stands in spans and in logs.
"""
SAMPLING = """
Where a collector decides, every trace is to be begun and sent whole: set `TRACES_SAMPLE_RATIO` to 1 (0.01 is the
default, for where there is none). It keeps those with an error, those over 2 s, those with a signature, and 5 % of the
rest. Whoever calls with a `traceparent` whose last flag is 0 is not traced.
"""


def page() -> str:
    """The document."""
    parts = [
        HEAD,
        "\n## Metrics\n\n",
        _table(
            ("metric", "kind", "unit", "labels", "meaning", "a good day", "of"),
            (
                (
                    f"`{row.full_name}`",
                    row.kind,
                    row.unit,
                    ", ".join(f"`{label}`" for label in row.labels),
                    row.meaning,
                    row.healthy,
                    _services(row.services),
                )
                for row in metrics.ALL
            ),
        ),
        "\n| label | values |\n|---|---|\n" + "".join(f"| `{k}` | {v} |\n" for k, v in metrics.LABELS.items()),
        "\nHistograms of time carry exemplars with `trace_id`, where the trace is kept. Every process also shows "
        "the\n`process_*` metrics of Prometheus' client: CPU, memory, open files, start time.\n",
        "\n## Spans\n" + SAMPLING + "\n",
        _table(
            ("span", "kind", "always", "sometimes", "meaning", "of"),
            (
                (
                    f"`{row.name}`",
                    row.kind,
                    _codes(row.always),
                    _codes(row.sometimes),
                    row.meaning,
                    _services(row.services),
                )
                for row in spans.ALL
            ),
        ),
        "\n| attribute | meaning |\n|---|---|\n" + "".join(f"| `{k}` | {v} |\n" for k, v in spans.ATTRIBUTES.items()),
        "\n### Edges\n\nWhat a trace holds from the cause to whoever is told.\n",
        *(_story(story, edges) for story, edges in spans.EDGES.items()),
        "\n## Log lines\n\n`event` is the text below.\n\n",
        _table(
            ("event", "level", "fields", "what it means"),
            (
                (row.event, "error" if row.level == "exception" else row.level, _codes(row.fields), row.means)
                for row in logs.ALL
            ),
        ),
    ]
    return "".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _story(story: str, edges: Sequence[tuple[spans.Place, spans.Place]]) -> str:
    lines = (f"- {parent[0]} `{parent[1]}` → {child[0]} `{child[1]}`\n" for parent, child in edges)
    return f"\n**{story}**\n\n{''.join(lines)}"


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _services(services: Sequence[str]) -> str:
    return "all" if services == metrics.ALL_SERVICES else ", ".join(services)
