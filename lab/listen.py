"""A receiving end as a ministry would write it: agrees to the handshake, checks signatures, takes each event once.

It can be told to fail, to hang, to redirect, so that one can watch what the Lab does then. Run it with
`livinglab listen`, or as `LISTEN_SECRETS=whsec_… python -m uvicorn --factory lab.listen:create_app --port P`.
"""

import asyncio
import json
import os
from base64 import b64decode
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from time import time
from typing import Any

import uvicorn
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI, Request, Response
from opentelemetry import trace
from pydantic import BaseModel
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from standardwebhooks import Webhook, WebhookVerificationError

from chassis import telemetry
from chassis.settings import Settings

SHOWN_EVERY_S = 0.25
SHOWN_ROWS = 20
TOLERANCE_S = 300
"""A message signed longer ago is refused: somebody may have recorded it."""


class Behaviour(StrEnum):
    """What it does with a message."""

    TAKE = "take"
    FAIL = "fail"
    HANG = "hang"
    REDIRECT = "redirect"
    GONE = "gone"


class Told(BaseModel):
    """What it is told to do from now on; what is left out stays."""

    secrets: list[str] | None = None
    behaviour: Behaviour | None = None


@dataclass(slots=True)
class Taken:
    """An event, and how often it came."""

    event: dict[str, Any]
    at: float
    times: int = 1


@dataclass(slots=True)
class Receiver:
    """Everything that it knows. Any of `secrets` or `keys` suffices; with none nothing is taken."""

    secrets: Sequence[str] = ()
    keys: Sequence[str] = ()
    behaviour: Behaviour = Behaviour.TAKE
    taken: dict[str, Taken] = field(default_factory=dict[str, Taken])
    refused: int = 0
    failed: int = 0

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Whether the message is the Lab's; then its event is taken, once however often it comes."""
        event = self._verified(body, headers)
        if event is None:
            self.refused += 1
            return False
        known = self.taken.get(event["id"])
        if known is None:
            self.taken[event["id"]] = Taken(event, time())
        else:
            known.times += 1
        return True

    def _verified(self, body: bytes, headers: dict[str, str]) -> dict[str, Any] | None:
        for secret in self.secrets:
            try:
                return Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                continue
        for key in self.keys:
            if _is_signed(body, headers, key):
                return json.loads(body)
        return None


def _is_signed(body: bytes, headers: dict[str, str], key: str) -> bool:
    """By the Lab's own key (`v1a`): for whoever would rather share no secret."""
    public = Ed25519PublicKey.from_public_bytes(b64decode(key.removeprefix("whpk_")))
    message, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not seconds.isdigit() or abs(time() - int(seconds)) > TOLERANCE_S:
        return False
    content = f"{message}.{seconds}.".encode() + body
    for signature in headers.get("webhook-signature", "").split(" "):
        version, _, value = signature.partition(",")
        if version == "v1a":
            try:
                public.verify(b64decode(value), content)
            except (InvalidSignature, ValueError):
                continue
            return True
    return False


def create_app() -> FastAPI:
    """As LISTEN_SECRETS and LISTEN_KEYS say (separated by commas); its name in traces is LISTEN_NAME."""
    receiver = Receiver(_listed("LISTEN_SECRETS"), _listed("LISTEN_KEYS"))
    return receiver_app(receiver, name=os.environ.get("LISTEN_NAME", "receiver"))


def _listed(variable: str) -> list[str]:
    return [one for one in os.environ.get(variable, "").split(",") if one]


def receiver_app(receiver: Receiver, *, name: str) -> FastAPI:
    """`OPTIONS` and `POST /` for the Lab; `GET /received` and `PUT /told` for whoever watches and commands it."""
    watch = telemetry.start(Settings(), service=name)
    app = FastAPI(title="Receiver", docs_url=None, redoc_url=None, openapi_url=None)

    @app.options("/")
    async def handshake(request: Request) -> Response:
        origin = request.headers.get("webhook-request-origin", "")
        return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})

    @app.post("/")
    async def message(request: Request) -> Response:
        match receiver.behaviour:
            case Behaviour.HANG:
                await asyncio.Event().wait()
            case Behaviour.REDIRECT:
                receiver.failed += 1
                return Response(status_code=302, headers={"Location": "http://127.0.0.1:1/"})
            case Behaviour.FAIL | Behaviour.GONE:
                receiver.failed += 1
                return Response(status_code=410 if receiver.behaviour is Behaviour.GONE else 500)
            case Behaviour.TAKE:
                pass
        headers = {key: value for key, value in request.headers.items() if key.startswith("webhook-")}
        context = telemetry.remote(request.headers.get("traceparent"))
        with watch.tracer.start_as_current_span("POST /", context=context, kind=trace.SpanKind.SERVER):
            taken = receiver.take(await request.body(), headers)
        return Response(status_code=204 if taken else 401)

    @app.get("/received")
    async def received() -> dict[str, Any]:
        told = [{**taken.event, "received_at": taken.at, "times": taken.times} for taken in receiver.taken.values()]
        return {"events": told, "refused": receiver.refused, "failed": receiver.failed}

    @app.put("/told")
    async def told(asked: Told) -> dict[str, str]:
        if asked.secrets is not None:
            receiver.secrets = asked.secrets
        if asked.behaviour is not None:
            receiver.behaviour = asked.behaviour
        return {"behaviour": receiver.behaviour.value}

    return app


def delay_s(event: dict[str, Any], received_at: float) -> float:
    """From the event's own time to its receipt."""
    return received_at - datetime.fromisoformat(event["time"]).astimezone(UTC).timestamp()


async def listen(receiver: Receiver, *, port: int, out: Console) -> None:
    """Serve on loopback until interrupted, and show what comes: a live table, in a log a line per event."""
    app = receiver_app(receiver, name="receiver")
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False))
    serving = asyncio.create_task(server.serve())
    printed = 0
    with Live(console=out, auto_refresh=False, transient=True) if out.is_terminal else nullcontext() as live:
        while not serving.done():
            if live is not None:
                live.update(table(receiver), refresh=True)
            else:
                for taken in list(receiver.taken.values())[printed:]:
                    out.print(_line(taken), highlight=False, soft_wrap=True)
                printed = len(receiver.taken)
            await asyncio.wait([serving], timeout=SHOWN_EVERY_S)
    await serving


def table(receiver: Receiver) -> Table:
    """The latest events, and how many were taken and refused."""
    shown = Table("type", "subject", "revision", Column("times", justify="right"), Column("after", justify="right"))
    for taken in list(receiver.taken.values())[-SHOWN_ROWS:]:
        event = taken.event
        after = f"{delay_s(event, taken.at):.2f} s"
        short = event["type"].removeprefix("id.livinglab.")
        shown.add_row(short, event["subject"], str(event.get("revision", "")), str(taken.times), after)
    shown.title = f"{receiver.behaviour.value}: {len(receiver.taken)} taken, {receiver.refused} refused"
    return shown


def _line(taken: Taken) -> str:
    event = taken.event
    return f"{event['type']} {event['subject']} revision {event.get('revision', '-')} id {event['id']}"
