"""Part's life cycle on a child that needs no server."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from lab.parts import NotReady, Part
from lab.parts.process import find, ports

WAITS = "import time; print('hello', flush=True); time.sleep(600)"
IGNORES_TERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('hello', flush=True); time.sleep(600)"
)
# Several threads with memory to give back: the first one is a zombie before the last has let go of the port.
HOLDS_PORT = (
    "import socket, threading, time; s = socket.create_server(('127.0.0.1', {port})); ballast = b'x' * 80_000_000; "
    "[threading.Thread(target=time.sleep, args=(600,)).start() for _ in range(200)]; print('hello', flush=True)"
)

MakePart = Callable[[str], Part]


@pytest.fixture
def make_part(tmp_path: Path) -> Generator[MakePart]:
    made: list[Part] = []

    def make(code: str) -> Part:
        part = Part(
            "child",
            address="",
            port=0,
            command=[sys.executable, "-c", code],
            directory=tmp_path,
            probe=lambda: None if "hello" in part.log_tail() else "it has not said hello",
            ready_within_s=5,
            stops_within_s=0.3,
        )
        made.append(part)
        return part

    yield make
    for part in made:
        part.kill()


def test_a_stopped_part_is_gone_and_starts_again(make_part: MakePart) -> None:
    part = make_part(WAITS)
    part.start()
    first = part.pid
    part.stop()
    assert part.pid is None
    part.start()
    assert part.pid not in (None, first)


def test_a_part_that_ignores_the_request_to_end_is_killed(make_part: MakePart) -> None:
    part = make_part(IGNORES_TERM)
    part.start()
    part.stop()
    assert not part.running


def test_a_suspended_part_runs_and_can_be_stopped(make_part: MakePart) -> None:
    part = make_part(WAITS)
    part.start()
    part.suspend()
    assert part.running
    part.stop()
    assert not part.running


def test_a_part_that_ends_while_starting_says_why(make_part: MakePart) -> None:
    part = make_part("raise SystemExit('no disk')")
    with pytest.raises(NotReady, match=r"(?s)child ended while starting \(exit status 1\).*no disk"):
        part.start()


def test_a_part_that_is_never_ready_says_what_is_missing_and_leaves_nothing_behind(make_part: MakePart) -> None:
    part = make_part("import time; time.sleep(600)")
    part.launch()
    with pytest.raises(NotReady, match="it has not said hello"):
        part.wait_ready(timeout_s=0.1)


def test_a_part_outlives_the_thread_that_started_it(make_part: MakePart) -> None:
    part = make_part(WAITS)
    thread = threading.Thread(target=part.start)
    thread.start()
    thread.join()
    with pytest.raises(NotReady):  # no event tells that nothing happens: give the signal time to arrive
        _until(lambda: not part.running, within_s=0.2)


def test_a_part_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from lab.parts import Part\n"
        f"p = Part('c', address='', port=0, command=[sys.executable, '-c', {WAITS!r}], "
        f"directory=Path({str(tmp_path)!r}), probe=lambda: None)\n"
        "p.start(); print(p.pid, p.started_at, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, started_at = parent.stdout.readline().split()
        assert find(int(pid), started_at=float(started_at)) is not None
        os.kill(parent.pid, signal.SIGKILL)
    _until(lambda: find(int(pid), started_at=float(started_at)) is None, within_s=5)


def test_the_port_of_a_killed_part_is_free_at_once(make_part: MakePart, tmp_path: Path) -> None:
    kept = ports(tmp_path, 1)
    part = make_part(HOLDS_PORT.format(port=kept[0]))
    for _ in range(5):
        part.start()
        part.kill()
        assert ports(tmp_path, 1) == kept


def test_a_process_id_given_to_another_process_is_not_ours() -> None:
    assert find(os.getpid(), started_at=time.time() - 86_400) is None


def test_ports_are_the_same_for_the_same_directory(tmp_path: Path) -> None:
    assert ports(tmp_path / "a", 2) == ports(tmp_path / "a", 2)


def _until(condition: Callable[[], bool], *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise NotReady("it did not happen")
        time.sleep(0.02)
