"""A server as a child process: started, waited for, stopped, killed, suspended, started again."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

import psutil

from lab.errors import LabError

POLL_S = 0.03
LOG_TAIL_LINES = 25
PR_SET_PDEATHSIG = 1  # linux/prctl.h

Probe = Callable[[], str | None]
"""Asks once whether a part can be used: None if it can, else what is missing, in words."""


class NotReady(LabError):
    """A part did not come up. The message says which, why, and ends with the tail of its log."""


class Part:
    """One server process on a loopback port, with its data directory and log.

    `start` after `kill` or `stop` uses the same port and the same data. All methods may be called from any thread.
    Unless `outlives_parent`, the process is killed when this one ends, however it ends (on Linux).
    """

    def __init__(
        self,
        name: str,
        *,
        address: str,
        port: int,
        command: Sequence[str],
        directory: Path,
        probe: Probe,
        env: Mapping[str, str] | None = None,
        ready_within_s: float = 30,
        stops_within_s: float = 15,
        outlives_parent: bool = False,
    ) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.directory = directory
        self.log = directory / "log"
        self.env = dict(env or {})
        self._command = list(command)
        self._probe = probe
        self._ready_within_s = ready_within_s
        self._stops_within_s = stops_within_s
        self._outlives_parent = outlives_parent
        self._log_start = 0
        self._process: psutil.Process | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id, None while it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def started_at(self) -> float | None:
        """When the process began, in seconds since 1970: with the pid it names one process for ever."""
        return self._process.create_time() if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process is there; a suspended one is."""
        return self._process is not None and not ended(self._process)

    def start(self) -> None:
        """Launch and wait until ready. Raises NotReady, leaving nothing behind."""
        self.launch()
        try:
            self.wait_ready()
        except BaseException:  # also ^C while waiting
            self.stop()
            raise

    def launch(self) -> None:
        """Begin without waiting, so that several parts come up side by side. Does nothing if it runs already."""
        if self.running:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        child = _spawner().submit(self._spawn).result()
        self._process = psutil.Process(child.pid)
        # psutil waits for this process from here on; Popen would warn that nobody does.
        child.returncode = 0

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Return once the part answers. Raises NotReady if the process ends or the time-out (seconds) passes."""
        deadline = time.monotonic() + (self._ready_within_s if timeout_s is None else timeout_s)
        while (missing := self._probe()) is not None:
            if self._process is None or ended(self._process):
                status = self._process.wait(timeout=0) if self._process is not None else None
                raise NotReady(self._failure(f"ended while starting (exit status {status})"))
            if time.monotonic() > deadline:
                raise NotReady(self._failure(f"is not ready: {missing}"))
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and kill it if it has not after its deadline. Does nothing if it does not run."""
        if self._process is not None:
            terminate(self._process, deadline_s=self._stops_within_s)

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would; returns when it is gone."""
        if self._process is not None:
            signal_group(self._process, signal.SIGKILL)
            _wait_ended(self._process, deadline_s=10)

    def suspend(self) -> None:
        """Freeze it (SIGSTOP): alive to the kernel, silent to everybody else."""
        if self._process is not None:
            signal_group(self._process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended process go on (SIGCONT)."""
        if self._process is not None:
            signal_group(self._process, signal.SIGCONT)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines that it wrote since its latest start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _failure(self, what: str) -> str:
        return f"{self.name} {what}\nIts log, {self.log}, ends with:\n{self.log_tail() or '(nothing)'}"

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                cwd=repository_root(),
                # Its own session: ^C in the terminal reaches the lab, which then stops its parts in order.
                start_new_session=True,
                # Unsafe only for what takes locks; ours is one system call.
                preexec_fn=None if self._outlives_parent else _die_with_parent(),  # noqa: PLW1509
            )


def repository_root() -> Path:
    """Where `services`, `chassis` and `contracts` lie: the directory that children run in."""
    return Path(__file__).resolve().parents[2]


BELOW_EPHEMERAL = range(16_000, 32_000)
"""What the kernel gives to outgoing connections begins at 32768: a slow starter (Keycloak, 20 s) lost its port so."""


def ports(directory: Path, count: int) -> list[int]:
    """`count` loopback ports, the same ones for the same directory as long as they are free."""
    remembered = directory / "ports"
    if remembered.exists():
        kept = [int(port) for port in remembered.read_text().split()]
        if len(kept) == count and all(map(_is_free, kept)):
            return kept
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.SystemRandom().choice(BELOW_EPHEMERAL)  # never one that a test has seeded
        if port not in chosen and _is_free(port):
            chosen.append(port)
    directory.mkdir(parents=True, exist_ok=True)
    remembered.write_text(" ".join(map(str, chosen)))
    return chosen


def find(pid: int, *, started_at: float) -> psutil.Process | None:
    """The process with this id, unless it ended and the id now belongs to another."""
    try:
        process = psutil.Process(pid)
        # The start is counted from the boot time, which moves a little when the clock is set.
        same = abs(process.create_time() - started_at) < 2
    except psutil.NoSuchProcess:
        return None
    return process if same and not ended(process) else None


def terminate(process: psutil.Process, *, deadline_s: float) -> None:
    """SIGTERM, also to a suspended process; SIGKILL if it is still there after the deadline in seconds."""
    signal_group(process, signal.SIGTERM)
    signal_group(process, signal.SIGCONT)
    if not _wait_ended(process, deadline_s=deadline_s):
        signal_group(process, signal.SIGKILL)
        _wait_ended(process, deadline_s=10)


def signal_group(process: psutil.Process, number: signal.Signals) -> None:
    """Signal the process and what it started; a process that ended is left alone, also if its id was given away."""
    if process.is_running():
        with suppress(ProcessLookupError):  # it ended this very moment
            os.killpg(process.pid, number)


def ended(process: psutil.Process) -> bool:
    """Whether it is over; a zombie that only its parent can bury counts as over."""
    try:
        process.wait(timeout=0)
    except psutil.TimeoutExpired:
        try:
            # The first thread may be a zombie while others still hold the port: measured, every second time.
            return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        except psutil.NoSuchProcess:
            return True
    return True


def _wait_ended(process: psutil.Process, *, deadline_s: float) -> bool:
    deadline = time.monotonic() + deadline_s
    while not (over := ended(process)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return over


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@cache
def _spawner() -> ThreadPoolExecutor:
    """One thread starts every child and lives as long as we do.

    The kernel sends the parent-death signal when the *thread* that forked ends: a part started from a pool's
    passing thread would die with it.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="parts")


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded here: after the fork as little as possible is done
    parent = os.getpid()

    def between_fork_and_exec() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return between_fork_and_exec
