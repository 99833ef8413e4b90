"""Commands for whoever looks after topics and what could not be handled."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from rich.table import Column, Table

from chassis.deadletters import DeadLetters
from chassis.store import Document
from lab import audit, letters, republish, rights, system, topics
from lab.screen import At, err, in_words, out, stepping
from lab.settings import settings_at

T = TypeVar("T")
topics_app = typer.Typer(no_args_is_help=True, help="Kafka topics, as the contracts say.")
audit_app = typer.Typer(no_args_is_help=True, help="What proves that nothing was rewritten.")
letters_app = typer.Typer(no_args_is_help=True, help="Records that a service could not handle.")

Service = Annotated[Literal["assessment", "scoring", "commitment", "notify"], typer.Option(help="Whose.")]


@audit_app.command("verify")
def verify_audit(
    keys: Annotated[
        Path | None, typer.Option(help="Public keys of checkpoints: the answer of GET /commitment/v1/audit/keys.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Kept elsewhere: answers of GET /commitment/v1/audit/checkpoint.")
    ] = None,
    kafka: Annotated[bool, typer.Option("--kafka", help="Also against every fact that Kafka has.")] = False,
    directory: At = system.DIRECTORY,
) -> None:
    """Look for anything that was edited, deleted, inserted, reordered or cut off in commitments; exit status 1 if so.

    Whoever owns the whole database could rewrite all of it alike: only a checkpoint that was kept elsewhere, or Kafka,
    tells then. Without `--keys` checkpoints are not looked at.
    """
    with in_words():
        audited = asyncio.run(
            audit.verify(
                settings_at(directory),
                keys=audit.public_keys(keys.read_bytes()) if keys else [],
                kept_elsewhere=[audit.kept(path) for path in checkpoint or []],
                kafka=kafka,
            )
        )
    out.print(
        f"{audited.commitments} commitments, {audited.entries} entries, {audited.documents} documents, "
        f"{audited.heads} heads in facts, {audited.checkpoints} checkpoints",
        highlight=False,
    )
    for finding in audited.findings:
        err.print(f"{finding.code}: {finding.about}: {finding.said}", markup=False, highlight=False, soft_wrap=True)
    if audited.findings:
        raise typer.Exit(1)
    out.print("Nothing was rewritten.", highlight=False)


@topics_app.command("list")
def list_topics(directory: At = system.DIRECTORY) -> None:
    """Compare the broker's topics with the contracts'; exit status 1 if one is missing or has other partitions."""
    with in_words():
        found = topics.provisioned(system.address_of("kafka", directory))
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
def create_topics(directory: At = system.DIRECTORY) -> None:
    """Create the topics that are missing; change none. Safe to repeat."""
    with in_words():
        created = topics.create_missing(system.address_of("kafka", directory))
    out.print("\n".join(created) or "All topics are there.", highlight=False)


@topics_app.command("grant")
def grant_rights(
    page: Annotated[Path, typer.Argument(help="YAML of Strimzi's KafkaUsers.", exists=True, dir_okay=False)],
    directory: At = system.DIRECTORY,
) -> None:
    """Give Kafka's users their passwords and rights, and take all other rights from them. Safe to repeat.

    A user's password is KAFKA_PASSWORD_<NAME> of the environment; who has none is left alone. Strimzi does this itself.
    """
    prefix = "KAFKA_PASSWORD_"
    passwords = {
        name.removeprefix(prefix).lower(): told for name, told in os.environ.items() if name.startswith(prefix)
    }
    with in_words():
        granted = rights.grant(system.address_of("kafka", directory), page, passwords)
    out.print(f"As {page} says: {', '.join(granted) or 'nobody, for no password is given'}", highlight=False)


def republish_topic(
    topic: Annotated[str, typer.Argument(help="Such as livinglab.assessment.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    directory: At = system.DIRECTORY,
) -> None:
    """Delete a topic and build it again from what its owner archived, or by running its projection again.

    Facts keep their ids and consumers begin anew; the services may run meanwhile. For a topic that was lost or damaged.
    """
    with in_words():
        settings = settings_at(directory)
        planned = republish.plan(topic)
        archived = asyncio.run(republish.count(planned, settings))
        sources = [f"{archived:,} facts archived by {', '.join(planned.services)}"] if planned.services else []
        sources += [f"running {p.group} over {p.source.name} again" for p in planned.projections]
        err.print(
            f"{topic} on {settings.kafka_bootstrap_servers} will be deleted and built again from: "
            f"{' and '.join(sources)}.\nCommands are accepted meanwhile, and relayed afterwards. Every consumer reads "
            "all of it again; outsiders with their own offsets have to begin at the earliest.",
            highlight=False,
            soft_wrap=True,
        )
        if not yes:
            typer.confirm("Go on?", abort=True, err=True)
        with stepping() as (step, told):
            done = asyncio.run(republish.rebuild(planned, settings, step=step, told=told))
    epochs = ", ".join(f"{epoch} at {service}" for service, epoch in done.epochs.items())
    out.print(f"{topic}: {done.sent:,} facts published from archives; epoch {epochs}.", highlight=False, soft_wrap=True)
    if done.begun:
        out.print(f"Begun anew: {', '.join(done.begun)}", highlight=False)
    if done.idle:
        out.print(f"Not yet, they will when they run: {', '.join(done.idle)}", style="yellow", highlight=False)


@letters_app.command("list")
def list_letters(
    service: Service = "scoring",
    status: Annotated[letters.Status, typer.Option(help="Which ones.")] = "open",
    directory: At = system.DIRECTORY,
) -> None:
    """What was set aside and why, the oldest first."""
    found = asyncio.run(_on_letters(service, directory, lambda at: at.list(status=status, limit=letters.LISTED_MAX)))
    if not found:
        err.print(f"{service} has no {status} letters.")
    else:
        out.print(letters.table(found))
    if len(found) == letters.LISTED_MAX:
        err.print(f"Only the oldest {letters.LISTED_MAX} are shown.")


@letters_app.command("show")
def show_letter(
    letter: Annotated[str, typer.Argument(help="topic/epoch/partition/offset, as listed.")],
    service: Service = "scoring",
    directory: At = system.DIRECTORY,
) -> None:
    """One letter: reason, trace, headers and value."""
    found = asyncio.run(_on_letters(service, directory, lambda at: letters.one(at, letter)))
    for name, text in letters.sheet(found):
        out.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)


@letters_app.command("retry")
def retry_letters(
    letter: Annotated[str | None, typer.Argument(help="topic/epoch/partition/offset; left out: with --all.")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="All open ones.")] = False,
    service: Service = "scoring",
    directory: At = system.DIRECTORY,
) -> None:
    """Hand open letters to the running service again, and tell what came of it; exit status 1 unless all is well."""

    async def retry(at: DeadLetters) -> list[Document]:
        return await letters.await_retried(at, await letters.settle(at, letter, "retry"))

    _one_or_all(letter, all_of_them)
    tried = asyncio.run(_on_letters(service, directory, retry))
    out.print(letters.table(tried) if tried else "There was none to try again.")
    if any(each["status"] != "done" for each in tried):
        raise typer.Exit(1)


@letters_app.command("discard")
def discard_letters(
    letter: Annotated[str | None, typer.Argument(help="topic/epoch/partition/offset; left out: with --all.")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="All open ones.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    service: Service = "scoring",
    directory: At = system.DIRECTORY,
) -> None:
    """Give open letters up for good: they stay listed as discarded, and are never tried again."""
    _one_or_all(letter, all_of_them)
    if all_of_them and not yes:
        typer.confirm(f"Discard every open letter of {service}?", abort=True, err=True)
    ids = asyncio.run(_on_letters(service, directory, lambda at: letters.settle(at, letter, "discarded")))
    out.print(f"Discarded: {len(ids)}", highlight=False)


def _one_or_all(letter: str | None, all_of_them: bool) -> None:
    if (letter is None) != all_of_them:
        raise typer.BadParameter("name one letter, or say --all")


async def _on_letters(service: str, directory: Path, act: Callable[[DeadLetters], Awaitable[T]]) -> T:
    with in_words():
        async with letters.letters_of(service, settings_at(directory)) as at:
            return await act(at)
