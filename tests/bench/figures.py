"""Figures: one JSON line each, on standard output and in results.jsonl; the same as tables in RESULTS.md."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import ceil, log
from pathlib import Path
from statistics import median

import orjson

HERE = Path(__file__).parent
LINES = HERE / "results.jsonl"
REPORT = HERE / "RESULTS.md"


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
    return ordered[max(1, ceil(len(ordered) * share)) - 1]


def publish(part: str, figures: Sequence[Figure], *, circumstances: str) -> None:
    """Print the figures, and put them in the place of this part's former ones in both files."""
    new = [orjson.dumps(asdict(figure)) for figure in figures]
    for line in new:
        print(line.decode(), flush=True)
    before = LINES.read_bytes().splitlines() if LINES.exists() else []
    kept = [line for line in before if not orjson.loads(line)["name"].startswith(f"{part}_")]
    LINES.write_bytes(b"\n".join([*kept, *new, b""]))
    begin, end = f"<!-- {part}: written by make bench -->", f"<!-- end of {part} -->"
    above, there, rest = REPORT.read_text().partition(begin)
    if not there:  # a new part comes below the others
        above, rest = f"{above.rstrip()}\n\n", f"{end}\n"
    REPORT.write_text(f"{above}{begin}\n{circumstances}\n\n{_table(figures)}\n{end}{rest.partition(end)[2]}")


def _table(figures: Sequence[Figure]) -> str:
    rows = ["| figure | unit | min | median | max | target |", "|---|---|--:|--:|--:|---|"]
    for figure in figures:
        verdict = {None: "", True: ", reached", False: ", **missed**"}[figure.reached]
        numbers = " | ".join(f"{number:g}" for number in (figure.min, figure.median, figure.max))
        rows.append(f"| {figure.name} | {figure.unit} | {numbers} | {figure.target or ''}{verdict} |")
    return "\n".join(rows)


def circumstances(command: str, *, load_before: float) -> str:
    """Command, date and machine; and how busy that was with other things, without which no figure means much."""
    cores = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    load = f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    return f"`{command}`, {datetime.now(UTC):%d %b %Y}, {cores}, {load}."


def _short(value: float) -> float:
    return float(f"{value:.4g}")
