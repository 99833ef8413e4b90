"""How every command speaks: results on standard output, progress and reasons on standard error."""

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from lab.errors import LabError
from lab.system import Report

At = Annotated[
    Path,
    typer.Option(
        "--directory",
        envvar="LIVINGLAB_DIRECTORY",
        show_default=".livinglab in the repository",
        help="Where state, data and logs are.",
    ),
]
# In the log of a build there is no width to ask for, and 80 would fold our tables.
out = Console() if sys.stdout.isatty() else Console(width=120)
err = Console(stderr=True)

Step = Callable[[str, int], None]
"""Tells what is done now, and of how many; 0: nobody can say."""
Told = Callable[[int], None]
"""Tells how many of these are done."""


def quiet_libraries() -> None:
    """What they log is for services; a command tells in its own words, and retries are no news."""
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def in_words() -> Generator[None]:
    """Turn a LabError, or an interrupt, into its message on standard error and exit status 1."""
    try:
        yield
    except LabError as failure:
        err.print(str(failure), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from failure
    except KeyboardInterrupt as interrupt:
        err.print("Interrupted. What this command had started is stopped.", style="red")
        raise typer.Exit(1) from interrupt


@contextmanager
def reporting(title: str) -> Generator[Report]:
    """Show what happens to each part while it happens: a live line on a terminal, plain lines elsewhere."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(title, total=None)

        def report(part: str, event: str) -> None:
            if event == "starting":
                progress.update(task, description=f"{title}: {part}")
            else:
                err.print(f"  {part:<12} {event}", markup=False, highlight=False)

        yield report


@contextmanager
def stepping() -> Generator[tuple[Step, Told]]:
    """Show one step after the other, and how far it is: a bar on a terminal, a line per step elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        tasks: list[TaskID] = []

        def step(what: str, of: int) -> None:
            tasks.append(progress.add_task(what, total=of or None))
            if not err.is_terminal:
                err.print(f"  {what}{f' ({of:,})' if of else ''}", markup=False, highlight=False)

        def told(done: int) -> None:
            progress.update(tasks[-1], completed=done)

        yield step, told
