"""Dead letters for operators: what was set aside and why, tried again or discarded."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Literal

import orjson
from pymongo.errors import PyMongoError
from rich.markup import escape
from rich.table import Column, Table

from chassis.deadletters import DeadLetters
from chassis.settings import Settings
from chassis.store import Document, connect
from chassis.telemetry import Metrics
from lab.errors import LabError

Status = Literal["open", "retry", "done", "discarded"]

LISTED_MAX = 200
PREVIEW_MAX_BYTES = 4_000
RETRIED_WITHIN_S = 15.0
POLL_S = 0.2


@asynccontextmanager
async def letters_of(service: str, settings: Settings) -> AsyncGenerator[DeadLetters]:
    """A service's dead letters. Raises LabError when its database does not answer."""
    client, database = connect(settings, service=service)
    try:
        yield DeadLetters(database, Metrics())
    except PyMongoError as error:
        raise LabError(f"The database of {service} does not do what it was asked: {error}") from error
    finally:
        client.close()


async def one(letters: DeadLetters, letter_id: str) -> Document:
    """Raises LabError when there is none of this id."""
    found = await letters.find(letter_id)
    if found is None:
        raise LabError(f"There is no letter {letter_id}. Those there are: livinglab dead-letters list")
    return found


async def settle(letters: DeadLetters, letter_id: str | None, status: Literal["retry", "discarded"]) -> list[str]:
    """Mark one open letter, or all; their ids. Raises LabError when the one is not there or not open."""
    if letter_id is None:
        ids = [letter["_id"] for letter in await letters.list(status="open", limit=0)]
        await letters.mark(None, status)
        return ids
    if await letters.mark(letter_id, status):
        return [letter_id]
    there = await one(letters, letter_id)
    raise LabError(f"{letter_id} is not open: it is {there['status']}")


async def await_retried(letters: DeadLetters, ids: Sequence[str]) -> list[Document]:
    """The letters once the service has tried each, or after RETRIED_WITHIN_S as they are then."""
    deadline = monotonic() + RETRIED_WITHIN_S
    while True:
        found = [letter for letter_id in ids if (letter := await letters.find(letter_id))]
        if monotonic() > deadline or not any(letter["status"] == "retry" for letter in found):
            return found
        await asyncio.sleep(POLL_S)


def table(letters: Sequence[Document]) -> Table:
    """One line each: reason first, bytes never."""
    shown = Table(Column("letter", overflow="fold"), "since", "group", "status", "tries", "code", "why", box=None)
    for letter in letters:
        shown.add_row(
            escape(printable(letter["_id"])),
            f"{letter['set_aside_at']:%Y-%m-%d %H:%M:%S}Z",
            letter["group"],
            letter["status"],
            str(letter["tries"]),
            letter["code"],
            escape(printable(letter["detail"])),
        )
    return shown


def sheet(letter: Document) -> list[tuple[str, str]]:
    """Everything about one letter, as (name, text); the value at most PREVIEW_MAX_BYTES of it."""
    lines = [
        ("letter", letter["_id"]),
        ("group", letter["group"]),
        ("status", f"{letter['status']}, tried again {letter['tries']} times"),
        ("code", letter["code"]),
        ("why", letter["detail"]),
        ("waits for", letter["reference"] or "nothing"),
        ("recorded at", f"{letter['recorded_at']:%Y-%m-%d %H:%M:%S.%f}Z" if letter["recorded_at"] else "unknown"),
        ("set aside at", f"{letter['set_aside_at']:%Y-%m-%d %H:%M:%S.%f}Z"),
        ("trace", (letter["traceparent"] or "").partition("-")[2].partition("-")[0] or "none"),
        ("key", _text(letter["key"])),
    ]
    lines += [(f"header {name}", _text(value)) for name, value in letter["headers"]]
    lines.append(("value", _preview(letter["value"])))
    return [(printable(name), printable(text)) for name, text in lines]


def printable(text: str) -> str:
    """Text that cannot command a terminal: what is not printable is shown by its code."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _text(value: bytes | None) -> str:
    return "none" if value is None else bytes(value[:PREVIEW_MAX_BYTES]).decode(errors="backslashreplace")


def _preview(value: bytes | None) -> str:
    text = _text(value)
    if value is not None and len(value) <= PREVIEW_MAX_BYTES:
        try:
            text = orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
        except orjson.JSONDecodeError:
            return text
    return text if value is None or len(value) <= PREVIEW_MAX_BYTES else f"{text}\n… of {len(value):,} bytes"
