"""Kafka's jars: fetched once, checked always."""

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from maven_artifact.artifact import Artifact
from maven_artifact.downloader import Downloader
from rich.console import Console
from rich.progress import Progress
from tenacity import (
    retry,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from lab.errors import LabError

KAFKA_VERSION = "4.3.1"
CACHE = Path.home() / ".cache" / "livinglab"
LIST = Path(__file__).resolve().parents[1] / "kafka-jars.txt"
PARALLEL = 8
READ_TIMEOUT_S = 60
SHOW_PROGRESS_AFTER_S = 1.0


class JarsMissing(LabError):
    """Kafka's jars could not be had. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the list."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        """As Maven names it."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def listed(text: str) -> list[Jar]:
    """The jars in a list of lines `group:artifact:version sha256:HEX SIZE`; lines with # are comments."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [Jar(coordinates=line[0], sha256=line[1].removeprefix("sha256:")) for line in lines]


def fetch(directory: Path = CACHE / f"kafka-{KAFKA_VERSION}") -> list[Path]:
    """The paths of all jars, each with the listed SHA-256, fetched where absent.

    Two processes may do this at once: a jar appears whole or not at all. Raises JarsMissing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    jars = listed(LIST.read_text())
    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(_provide, jar, directory) for jar in jars]
        try:
            _wait(futures)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [directory / jar.file_name for jar in jars]


def _wait(futures: Sequence[Future[None]]) -> None:
    """Wait for all, with a progress bar from the moment that it takes over a second."""
    began = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True, auto_refresh=True, disable=True) as progress:
        task = progress.add_task(f"Kafka {KAFKA_VERSION}, once", total=len(futures))
        for future in as_completed(futures):
            future.result()
            progress.advance(task)
            if progress.disable and time.monotonic() - began > SHOW_PROGRESS_AFTER_S:
                progress.disable = False
                progress.start()


def _provide(jar: Jar, directory: Path) -> None:
    target = directory / jar.file_name
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == jar.sha256:
        return
    try:
        content = _download(jar.coordinates)
    except requests.RequestException as failure:
        raise JarsMissing(
            f"Kafka's jar {jar.coordinates} can't be fetched: {failure}\n"
            "Check the network and try again, set KAFKA_BOOTSTRAP_SERVERS to a broker that you have, "
            "or take the small one for a first look: --broker embedded"
        ) from failure
    if (found := hashlib.sha256(content).hexdigest()) != jar.sha256:
        raise JarsMissing(f"{jar.coordinates} has SHA-256 {found}, expected {jar.sha256}: fetched but not used")
    handle, partial = tempfile.mkstemp(dir=directory, prefix=jar.file_name, suffix=".partial")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(partial).replace(target)


@retry(
    retry=retry_if_exception_type(requests.RequestException),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=0.3, max=5),
    reraise=True,
)
def _download(coordinates: str) -> bytes:
    downloader: Any = Downloader()
    address = downloader.resolver.uri_for_artifact(Artifact.parse(coordinates))
    # Not Downloader.download: it prints, and checks MD5.
    response: requests.Response = downloader.requestor.request(address, None, timeout=READ_TIMEOUT_S)
    return response.content
