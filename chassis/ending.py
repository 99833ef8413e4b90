"""When this process is to end, told at once to whoever holds a response open for ever.

uvicorn waits for every open response before it ends the application's lifespan, so that an endless one would learn of
the end only after its own.
"""

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ending(asyncio.Event):
    """Set when the process was told to end."""


@contextmanager
def told_by_signals(ending: Ending) -> Generator[None]:
    """Set it at the signals that the server listens to, before the server does what it does at them.

    Where nobody listens (a test that runs the application without a server) nothing is changed.
    """
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    listening = {number: handler for number, handler in handlers.items() if callable(handler)}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(ending.set)
        listening[signal.Signals(number)](number, frame)

    if threading.current_thread() is not threading.main_thread():  # no signal reaches another one
        listening.clear()
    for number in listening:
        signal.signal(number, heard)
    try:
        yield
    finally:
        ending.set()
        for number, handler in listening.items():
            signal.signal(number, handler)
