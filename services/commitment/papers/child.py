"""A stranger's document is looked at in a child of its own, with little memory and little time."""

import logging
import multiprocessing
import multiprocessing.connection
import os
import resource
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")
MEMORY_BYTES = 600_000_000
"""64 signatures take 113 MB."""
CPU_S = 30
"""63 signatures take 7 s."""
WALL_S = 60.0
CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = ["services.commitment.papers.verify", "services.commitment.papers.sign", "services.commitment.papers.seal"]
"""Imported once, by the fork server: a child begins in 0.1 s instead of 1.1."""


class Overdone(Exception):
    """It took more time or memory than is given, or died of it."""


def confined(function: Callable[..., T], *args: Any) -> T:
    """The result of a call in a fresh child, which is gone afterwards. Blocks. Raises Overdone."""
    CONTEXT.set_forkserver_preload(PRELOADED)
    here, there = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=_limited, args=(there, function, args), daemon=True)
    child.start()
    there.close()
    try:
        if not here.poll(WALL_S):
            raise Overdone("time")
        return here.recv()
    except EOFError as error:
        raise Overdone("died") from error
    finally:
        child.kill()
        child.join()
        here.close()


def begin() -> None:
    """In a child: say nothing, and end when the parent does."""
    # Each change that a policy finds suspicious would be logged with a traceback.
    for name in ("pyhanko", "pyhanko_certvalidator"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    parent = multiprocessing.parent_process()
    assert parent is not None, "called in a child"

    def wait() -> None:
        # After `kill -9` of it, fork server and children would stay for ever.
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def _limited(pipe: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    begin()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    pipe.send(function(*args))
