"""What children are sent to do in tests. Imports little: each child does it anew."""

import logging
import os
import resource
import signal
import time
from pathlib import Path

from services.commitment.papers.child import MEMORY_BYTES

LOOKS_EVERY_S = 0.01


def double(number: int, *, and_add: int = 0) -> int:
    return 2 * number + and_add


def pid() -> int:
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(gate: Path) -> str:
    """Until somebody makes this file; that it waits is told by another beside it."""
    waits(gate).touch()
    while not gate.exists():
        time.sleep(LOOKS_EVERY_S)
    return gate.name


def waits(gate: Path) -> Path:
    return gate.with_suffix(".waits")


def take_memory() -> int:
    return len(bytearray(MEMORY_BYTES))


def limits() -> list[int]:
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)
    return [resource.getrlimit(kind)[1] for kind in kinds]


def write(path: Path) -> None:
    path.write_bytes(b"x")


def loudness() -> list[int]:
    return [logging.getLogger(name).getEffectiveLevel() for name in ("pyhanko.sign", "pyhanko_certvalidator.context")]
