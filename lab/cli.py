"""The `livinglab` command. Each command is a few lines here; the work is in the modules beside."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from contracts.roles import Role
from lab import system, topics
from lab.errors import LabError
from lab.state import Broker

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="The Living Lab on your machine: real Kafka, real MongoDB, every service a process of its own.",
    epilog="Try: `livinglab up`, then `livinglab token --org 32.11 --role operator`, then `livinglab down`.",
)
topics_app = typer.Typer(no_args_is_help=True, help="Kafka topics, as the contracts say.")
app.add_typer(topics_app, name="topics")

out = Console()
err = Console(stderr=True)


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
def reporting(title: str) -> Generator[system.Report]:
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


@app.command()
def up(
    broker: Annotated[
        Broker,
        typer.Option(help="jvm: real Apache Kafka. embedded: a first look without Java, keeps nothing."),
    ] = "jvm",
) -> None:
    """Start everything and wait until it is ready. Harmless to repeat; data is kept in `.livinglab/`.

    An address in the environment wins over the local part:

    `KAFKA_BOOTSTRAP_SERVERS=kafka.example:9092 livinglab up`
    """
    # `kill` must clean up as ^C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with in_words(), reporting("Starting") as report:
        running = system.up(broker=broker, report=report)
    table = Table("what", "where", title="The lab is up", title_justify="left")
    for name, address in {**running.services, **running.environment}.items():
        table.add_row(name, address.rpartition("@")[2])  # no password on the screen
    out.print(table)
    out.print(
        "Next: TOKEN=$(livinglab token --org 32.11 --role operator)",
        highlight=False,
        markup=False,
    )


@app.command()
def down() -> None:
    """Stop everything that `up` started. Data and logs stay in `.livinglab/`; delete it to begin afresh."""
    with in_words(), reporting("Stopping") as report:
        if not system.down(report=report):
            err.print("Nothing was up.")


@app.command()
def status() -> None:
    """Show what runs and where; exit status 1 unless all of it does.

    `livinglab status && make bench`
    """
    with in_words():
        parts = system.status()
    if not parts:
        err.print("Nothing is up. Start it: livinglab up", highlight=False)
        raise typer.Exit(1)
    table = Table("part", "pid", Column("address", overflow="fold"), Column("log", overflow="fold"))
    for part in parts:
        table.add_row(part.name, str(part.pid or "[red]ended[/red]"), part.address, str(part.log))
    out.print(table)
    if any(part.pid is None for part in parts):
        raise typer.Exit(1)


@app.command()
def token(
    org: Annotated[str, typer.Option(help="Region code (32.11) or institution (kemenpanrb).")],
    role: Annotated[list[Role], typer.Option(help="May be given several times.")],
) -> None:
    """Print an access token of the development issuer, good for eight hours.

    `curl -H "Authorization: Bearer $(livinglab token --org 32.11 --role operator)" …`
    """
    with in_words():
        issuer = system.address_of("oidc")
        try:
            answer = httpx.post(
                f"{issuer}/token",
                data={"organization": org, "role": list(role)},
                trust_env=False,
            )
            answer.raise_for_status()
        except httpx.HTTPError as failure:
            raise LabError(
                f"{issuer} gives no token: {failure}\nOnly the lab's own issuer can; at another provider sign in there"
            ) from failure
    out.print(answer.json()["access_token"], soft_wrap=True, markup=False, highlight=False)


@topics_app.command("list")
def list_topics() -> None:
    """Compare the broker's topics with the contracts'; exit status 1 if one is missing or has other partitions."""
    with in_words():
        found = topics.provisioned(system.address_of("kafka"))
    table = Table(Column("topic", no_wrap=True), "partitions", "keyed by", "kept", "what")
    for entry in found:
        there = str(entry.partitions) if entry.right else f"[red]{entry.partitions}, not {entry.topic.partitions}[/red]"
        kept = "newest per key" if entry.topic.compacted else "all"
        table.add_row(entry.topic.name, there, entry.topic.key, kept, entry.topic.about)
    out.print(table)
    if not all(entry.right for entry in found):
        err.print("Create what is missing: livinglab topics create", highlight=False)
        raise typer.Exit(1)


@topics_app.command("create")
def create_topics() -> None:
    """Create the topics that are missing; change none. Safe to repeat."""
    with in_words():
        created = topics.create_missing(system.address_of("kafka"))
    out.print("\n".join(created) or "All topics are there.", highlight=False)


if __name__ == "__main__":
    app()
