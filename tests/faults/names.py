"""The notify service where some names lead where a test says, another way each time; all else is as it ever is."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from fastapi import FastAPI

from services.notify.app import create_app as create_notify

PLAN = "STAND_IN_NAMES"
Answers = Mapping[str, Sequence[Sequence[str]]]
"""Name → the addresses of each look-up in turn, and then from the start again."""


def create_app() -> FastAPI:
    """For uvicorn. In the place of getaddrinfo, which is where this process meets DNS: what is behind it is real."""
    answers: Answers = json.loads(os.environ[PLAN])
    turns = {name: cycle(addresses) for name, addresses in answers.items()}
    real = socket.getaddrinfo

    def stand_in(host: Any, port: Any, *rest: Any, **named: Any) -> list[Any]:
        if host not in turns:
            return list(real(host, port, *rest, **named))
        return [_found(address, int(port)) for address in next(turns[host])]

    setattr(socket, "getaddrinfo", stand_in)  # noqa: B010 -- its own type is overloaded beyond what a stand-in has
    return create_notify()


def _found(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
