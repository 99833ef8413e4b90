"""The `livinglab` command. Each command is a few lines here; the work is in the modules beside."""

import asyncio
import re
import shutil
import signal
import sys
from pathlib import Path
from time import monotonic
from typing import Annotated

import httpx
import typer
from rich.table import Column, Table

from contracts.roles import Role
from lab import demo as main_job
from lab import operate, system, waterfall
from lab import score as scoring
from lab.errors import LabError
from lab.listen import Behaviour, Receiver
from lab.listen import listen as receive
from lab.screen import At, err, in_words, out, quiet_libraries, reporting
from lab.state import Broker

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="The Living Lab on your machine: real Kafka, real MongoDB, every service a process of its own.",
    epilog="Try: `livinglab up`, then `livinglab token --org 32.11 --role operator`, then `livinglab down`.",
)
app.add_typer(operate.topics_app, name="topics")
app.add_typer(operate.letters_app, name="dead-letters")
app.add_typer(operate.audit_app, name="audit")
app.command("republish")(operate.republish_topic)


@app.callback()
def livinglab() -> None:
    """Before every command."""
    quiet_libraries()


@app.command()
def up(
    broker: Annotated[
        Broker,
        typer.Option(help="jvm: real Apache Kafka. embedded: a first look without Java, keeps nothing."),
    ] = "jvm",
    directory: At = system.DIRECTORY,
) -> None:
    """Start everything and wait until it is ready. Harmless to repeat; data is kept in `.livinglab/`.

    An address in the environment wins over the local part:

    `KAFKA_BOOTSTRAP_SERVERS=kafka.example:9092 livinglab up`
    """
    # `kill` must clean up as ^C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with in_words(), reporting("Starting") as report:
        running = system.up(directory, broker=broker, report=report)
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
def down(directory: At = system.DIRECTORY) -> None:
    """Stop everything that `up`, or `demo --keep`, started. Data and logs stay in `.livinglab/`."""
    with in_words(), reporting("Stopping") as report:
        stopped = system.down(directory, report=report)
        if (directory / main_job.FOLDER).exists():
            stopped += system.down(directory / main_job.FOLDER, report=report)
    if not stopped:
        err.print("Nothing was up.")


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up, to look around.")] = False,
) -> None:
    """Start everything on fresh data; 528 regions report; compare each score with the published one; stop everything.

    Exit status 1 with the reason if anything is not as it should be. `livinglab up` and its data are not touched.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = monotonic()
    with in_words():
        try:
            with reporting("Starting") as report:
                running = main_job.start(keep=keep, report=report)
            main_job.run(running, out)
        finally:
            if not keep:
                with reporting("Stopping") as report:
                    system.down(main_job.DIRECTORY, report=report)
    out.print(f"\nDone in {monotonic() - began:.0f} s.", highlight=False)
    if keep:
        _show_kept(running)


@app.command()
def status(directory: At = system.DIRECTORY) -> None:
    """Show what runs and where; exit status 1 unless all of it does.

    `livinglab status && make bench`
    """
    with in_words():
        parts = system.status(directory)
    if not parts:
        err.print("Nothing is up. Start it: livinglab up", highlight=False)
        raise typer.Exit(1)
    table = Table("part", "pid", Column("address", overflow="fold"), Column("log", overflow="fold"))
    for part in parts:
        table.add_row(part.name, str(part.pid or "[red]ended[/red]"), part.address, str(part.log))
    out.print(table)
    if any(part.pid is None for part in parts):
        raise typer.Exit(1)


def _show_kept(running: system.System) -> None:
    command = "livinglab" if shutil.which("livinglab") else sys.argv[0]
    lines = [
        "Left up · dibiarkan berjalan:",
        *(f"  {name:<12} {address}/{name}/v1/" for name, address in running.services.items()),
        *(f"  {n:<12} {running.environment[key].rpartition('@')[2]}" for n, key in system.ADDRESS_VARIABLES.items()),
        "Try · coba:",
        f"  export LIVINGLAB_DIRECTORY={running.directory}",
        f"  TOKEN=$({command} token --org 32.11 --role {Role.RESPONSIBLE})",
        f'  curl -H "Authorization: Bearer $TOKEN" {running.services["scoring"]}/scoring/v1/scores/spbe-2023:32.11',
        f"  {command} status; {command} down",
    ]
    out.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


@app.command()
def listen(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="On 127.0.0.1.")] = 8090,
    secret: Annotated[list[str], typer.Option(help="`whsec_…`, shown when you subscribed; may be repeated.")] = [],  # noqa: B006 -- typer copies it
    key: Annotated[list[str], typer.Option(help="`whpk_…` of the Lab, instead of a secret.")] = [],  # noqa: B006
    behaviour: Annotated[
        Behaviour, typer.Option(help="What it does with a message; to watch what the Lab does then.")
    ] = Behaviour.TAKE,
) -> None:
    """Receive webhooks as a ministry's system would: agree to the handshake, check signatures, take each event once.

    Tell a running one otherwise: `curl -X PUT localhost:8090/told --json '{"behaviour": "fail"}'`
    """
    receiver = Receiver(secret, key, behaviour)
    with in_words():
        asyncio.run(receive(receiver, port=port, out=out))


@app.command()
def score(
    file: Annotated[
        Path | None,
        typer.Argument(dir_okay=False, allow_dash=True, help="JSON lines; left out: standard input."),
    ] = None,
) -> None:
    """Score sets of levels, without a server: a JSON line in, a JSON line out. Exit status 1 if any has no score.

    `echo '{"instrument": "spbe-2020", "period": 2023, "levels": {"1": 3, "2": "4"}}' | livinglab score`
    """
    try:
        source = sys.stdin.buffer if file is None or str(file) == "-" else file.open("rb")
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from error
    if source.isatty():
        err.print("Reading JSON lines from the keyboard; Ctrl-D ends.")
    failed = False
    with source:
        for answer, scored in scoring.score_lines(source):
            typer.echo(answer)
            failed = failed or not scored
    if failed:
        raise typer.Exit(1)


@app.command()
def env(directory: At = system.DIRECTORY) -> None:
    """Print where everything is, for a shell: ASSESSMENT=…, SCORING=…, NOTIFY=…, and ISSUER=…, KAFKA=… for integrators.

    `eval "$(livinglab env)"`
    """
    with in_words():
        # Not under the names of ADDRESS_VARIABLES: a later `up` in the same shell would take them for parts of yours.
        parts = {**{name: name for name in system.SERVICES}, "issuer": "oidc", "kafka": "kafka"}
        for name, part in parts.items():
            address = system.address_of(part, directory)
            out.print(f"export {name.upper()}={address}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def trace(
    trace_id: Annotated[
        str, typer.Argument(metavar="ID", help="32 hex digits: `trace_id` of a problem or a log line.")
    ],
    jaeger: Annotated[str | None, typer.Option(help="Address of Jaeger's query API; left out: the lab's sink.")] = None,
    directory: At = system.DIRECTORY,
) -> None:
    """Show a trace as a waterfall: who did what, when, caused by what.

    `livinglab trace 4bf92f3577b34da6a3ce929d0e0e4736 --jaeger http://localhost:16686`
    """
    if not re.fullmatch(r"[0-9a-f]{32}", trace_id.lower()):
        raise typer.BadParameter("32 hex digits, as in `trace_id` of a problem", param_hint="ID")
    with in_words():
        address = jaeger or system.address_of("otlp", directory)
        spans = waterfall.fetch(trace_id.lower(), address, jaeger=jaeger is not None)
        out.print(waterfall.table(spans, width=out.width))


@app.command()
def token(
    org: Annotated[str, typer.Option(help="Region code (32.11) or institution (kemenpanrb).")],
    role: Annotated[list[Role], typer.Option(help="May be given several times.")],
    directory: At = system.DIRECTORY,
) -> None:
    """Print an access token of the development issuer, good for eight hours.

    `curl -H "Authorization: Bearer $(livinglab token --org 32.11 --role operator)" …`
    """
    with in_words():
        issuer = system.address_of("oidc", directory)
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


if __name__ == "__main__":
    app()
