"""What `livinglab up` started: one file, so that `down` and `status` find it from any terminal."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import LabError
from lab.parts import Part, process

Broker = Literal["jvm", "embedded"]


class Running(BaseModel):
    """A process of the lab. Id and start name it for ever: another process that got its id is never signalled."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started_at: float
    """Seconds since 1970."""
    address: str
    log: Path
    env: dict[str, str]
    """What it was told beyond our own environment."""

    @classmethod
    def of(cls, part: Part) -> "Running":
        """The record of a part that was just launched. Raises NotReady if it is over already."""
        pid, started_at = part.pid, part.started_at
        if pid is None or started_at is None:
            part.wait_ready(timeout_s=0)
            raise LabError(f"{part.name} ended at once; its log is {part.log}")
        return cls(
            pid=pid,
            started_at=started_at,
            address=part.address,
            log=part.log,
            env=part.env,
        )

    def process(self) -> psutil.Process | None:
        """The process, None if it is over."""
        return process.find(self.pid, started_at=self.started_at)


class State(BaseModel):
    """The state file's content."""

    broker: Broker = "jvm"
    parts: dict[str, Running] = {}


def load(directory: Path) -> State:
    """The state in this directory; an empty one if there is none. Raises LabError if the file is damaged."""
    path = directory / "state.json"
    if not path.exists():
        return State()
    try:
        return State.model_validate_json(path.read_bytes())
    except ValidationError as failure:
        raise LabError(
            f"{path} can't be read: {failure}\nEnd the lab's processes by hand and delete the file"
        ) from failure


def save(state: State, directory: Path) -> None:
    """Write the state file; a reader sees the old one or the new one, whole."""
    directory.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=directory, prefix="state", delete=False) as file:
        file.write(state.model_dump_json(indent=2))
    Path(file.name).replace(directory / "state.json")


@contextmanager
def alone(directory: Path) -> Generator[None]:
    """Only one command at a time starts or stops parts here; the next one waits."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
