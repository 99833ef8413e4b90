"""Figures: one JSON line each, on standard output and in results.jsonl; the same as tables in RESULTS.md."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import log
from pathlib import Path
from statistics import median

import orjson

HERE = Path(__file__).parent
LINES = HERE / "results.jsonl"
REPORT = HERE / "RESULTS.md"
BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, over all repetitions. `target` is a condition on the median, or null where none was set."""

    name: str
    unit: str
    min: float
    median: float
    max: float
    target: str | None

    @classmethod
    def of(cls, name: str, unit: str, values: Sequence[float], *, target: str | None = None) -> "Figure":
        """From the repetitions' values."""
        return cls(name, unit, _short(min(values)), _short(median(values)), _short(max(values)), target)

    @property
    def reached(self) -> bool | None:
        """Whether the median meets the target."""
        if self.target is None:
            return None
        sign, bound = self.target.split()
        return self.median >= float(bound) if sign == ">=" else self.median <= float(bound)


def slope(costs: Sequence[tuple[float, float]]) -> float:
    """Of log cost over log size, by least squares: 0 = the size does not matter, 1 = proportional to it."""
    points = [(log(size), log(cost)) for size, cost in costs]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 1).__int__() - 1))]


def publish(part: str, figures: Sequence[Figure], *, command: str) -> None:
    """Print the figures, and put them in the place of this part's former ones in both files."""
    new = [orjson.dumps({"part": part} | asdict(figure)) for figure in figures]
    for line in new:
        print(line.decode(), flush=True)
    kept = [line for line in LINES.read_bytes().splitlines() if orjson.loads(line)["part"] != part] if _there() else []
    LINES.write_bytes(b"\n".join([*kept, *new, b""]))
    _write_tables(command)


def _there() -> bool:
    return LINES.exists()


def _write_tables(command: str) -> None:
    before, _, rest = REPORT.read_text().partition(BEGIN)
    lines = [orjson.loads(line) for line in LINES.read_bytes().splitlines()]
    tables = [f"Last run: `{command}`, {datetime.now(UTC):%d %b %Y}, {machine()}"]
    for part in dict.fromkeys(line["part"] for line in lines):
        tables += [
            "",
            f"### {part}",
            "",
            "| figure | unit | min | median | max | target |",
            "|---|---|--:|--:|--:|---|",
        ]
        for line in lines:
            if line["part"] == part:
                figure = Figure(**{key: value for key, value in line.items() if key != "part"})
                verdict = {None: "", True: ", reached", False: ", **missed**"}[figure.reached]
                tables.append(
                    f"| {figure.name} | {figure.unit} | {figure.min:g} | {figure.median:g} | {figure.max:g} "
                    f"| {(figure.target or '') + verdict} |"
                )
    REPORT.write_text(before + BEGIN + "\n" + "\n".join(tables) + "\n" + END + rest.partition(END)[2])


def machine() -> str:
    """What this ran on, and how busy it was with other things just now."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, load average {load}"


def _short(value: float) -> float:
    return float(f"{value:.4g}")
