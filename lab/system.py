"""The whole system on this machine: Kafka, MongoDB, issuer, mail, signing authority, trace sink, services; up, down."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab import state, topics
from lab.errors import LabError
from lab.keys import commitment_settings, webhook_settings
from lab.parts import Part, authority, embedded_kafka, http_server, kafka, mail_server, mongod, service
from lab.parts.process import ports, repository_root, terminate
from lab.state import Broker, Running, State

SERVICES = ("assessment", "scoring", "commitment", "notify")
DIRECTORY = repository_root() / ".livinglab"
STOPS_WITHIN_S = 15

# Which part gives which address. One that is in the environment already wins, and the part is not started.
ADDRESS_VARIABLES = {
    "mongod": "MONGODB_URI",
    "oidc": "OIDC_ISSUER",
    "otlp": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "kafka": "KAFKA_BOOTSTRAP_SERVERS",
    "smtp": "SMTP_URI",
    "pki": "TSA_URL",
}

Report = Callable[[str, str], None]
"""Hears (part, what happened to it): for progress on a screen."""


def _silent(part: str, event: str) -> None:
    """For callers without a screen."""


@dataclass(frozen=True, slots=True)
class System:
    """A system that is up."""

    directory: Path
    environment: Mapping[str, str]
    """What the services were told: addresses of Kafka, MongoDB, issuer, mail server, authority and trace sink."""
    services: Mapping[str, str]
    """Name → base URL."""
    parts: Mapping[str, Part]
    """Those that this very call started, to be killed or suspended by tests."""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One line of `livinglab status`."""

    name: str
    address: str
    pid: int | None
    """None: it should run and does not."""
    log: Path


def up(
    directory: Path = DIRECTORY,
    *,
    broker: Broker = "jvm",
    services: Sequence[str] = SERVICES,
    report: Report = _silent,
    outlives_parent: bool = True,
) -> System:
    """Start what does not run yet, create the topics, and return once everything is ready.

    Safe to repeat. Data in `directory` is kept from one time to the next. Raises LabError with the reason, after
    stopping what this call started; so does an interrupt.
    """
    with state.alone(directory):
        before = state.load(directory)
        kept = {name: running for name, running in before.parts.items() if running.process()}
        if "kafka" in kept and before.broker != broker:
            raise LabError(
                f"The {before.broker} broker is running. To change to {broker}: livinglab down, then up again"
            )
        starting = _Starting(directory, State(broker=broker, parts=kept), report, outlives_parent)
        try:
            environment = starting.infrastructure()
            urls = starting.services(services, environment)
        except BaseException:  # also ^C
            starting.undo()
            raise
        return System(directory, environment, urls, starting.parts)


def down(directory: Path = DIRECTORY, *, report: Report = _silent) -> list[str]:
    """Stop everything that `up` started, services first, and return the names. Data and logs stay."""
    with state.alone(directory):
        known = state.load(directory).parts
        local = [name for name in known if name in ADDRESS_VARIABLES]
        stopped: list[str] = []
        # Services first: they hand over what they hold while broker and database still answer.
        for group in ([name for name in known if name not in ADDRESS_VARIABLES], local):
            stopped += _stop_side_by_side({name: known[name] for name in group}, report)
        (directory / "state.json").unlink(missing_ok=True)
        return stopped


def status(directory: Path = DIRECTORY) -> list[PartStatus]:
    """What `up` started and whether it still runs; empty if nothing is up."""
    return [
        PartStatus(
            name,
            running.address,
            running.pid if running.process() else None,
            running.log,
        )
        for name, running in state.load(directory).parts.items()
    ]


def address_of(part: str, directory: Path = DIRECTORY) -> str:
    """Where a part is: as the environment says, else as `up` started it. Raises LabError if neither."""
    variable = ADDRESS_VARIABLES.get(part)
    if variable and os.environ.get(variable):
        return os.environ[variable]
    running = state.load(directory).parts.get(part)
    if running is None or running.process() is None:
        instead = f", or set {variable}" if variable else ""
        raise LabError(f"{part} is not running. Start the lab first: livinglab up{instead}")
    return running.address


def delete_data(directory: Path = DIRECTORY) -> None:
    """Begin afresh: remove data and logs. Raises LabError while something runs on them."""
    with state.alone(directory):
        if any(running.process() for running in state.load(directory).parts.values()):
            raise LabError(f"The lab in {directory} is running. Stop it first: livinglab down")
        for entry in directory.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
        (directory / "state.json").unlink(missing_ok=True)


class _Starting:
    """One `up` on its way: what it has started so far, written down at once so that nothing is ever lost sight of."""

    def __init__(self, directory: Path, current: State, report: Report, outlives_parent: bool) -> None:
        self.parts: dict[str, Part] = {}
        self._directory = directory
        self._state = current
        self._report = report
        self._outlives_parent = outlives_parent

    def infrastructure(self) -> dict[str, str]:
        """Bring up what services need, side by side, and create the topics; returns the addresses as environment."""
        make = {
            "mongod": partial(mongod, outlives_parent=self._outlives_parent),
            "oidc": partial(_issuer, outlives_parent=self._outlives_parent),
            "otlp": partial(_trace_sink, outlives_parent=self._outlives_parent),
            "smtp": partial(mail_server, outlives_parent=self._outlives_parent),
            "pki": partial(authority, outlives_parent=self._outlives_parent),
            "kafka": partial(
                kafka if self._state.broker == "jvm" else embedded_kafka,
                outlives_parent=self._outlives_parent,
            ),
        }
        outside = {name: os.environ[key] for name, key in ADDRESS_VARIABLES.items() if os.environ.get(key)}
        launched: list[Part] = []
        for name, make_part in make.items():
            if name in outside:
                self._report(name, f"yours, {outside[name].rpartition('@')[2]}")
            elif name in self._state.parts:
                self._report(name, "already running")
            else:
                self._report(name, "starting")
                launched.append(self._launch(make_part(self._directory / name)))
        self._wait(launched)
        addresses = {name: self._state.parts[name].address for name in make if name not in outside} | outside
        if self._state.broker == "jvm" or "kafka" in outside:  # the embedded one makes topics when asked for them
            topics.create_missing(addresses["kafka"])
        return {ADDRESS_VARIABLES[name]: address for name, address in addresses.items()}

    def services(self, names: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
        """Bring up the services, side by side; returns their base URLs."""
        # A lab has few requests and wants to see each of them.
        shared = {
            "TRACES_SAMPLE_RATIO": os.environ.get("TRACES_SAMPLE_RATIO", "1"),
            **environment,
        }
        launched: list[Part] = []
        for name in names:
            env = {**shared, **self._own_settings(name)}
            running = self._state.parts.get(name)
            if running and env.items() <= running.env.items():
                self._report(name, "already running")
                continue
            if running:  # it was told other addresses
                _stop_side_by_side({name: running}, self._report)
            self._report(name, "starting")
            launched.append(
                self._launch(
                    service(
                        self._directory / name,
                        name,
                        env,
                        outlives_parent=self._outlives_parent,
                    )
                )
            )
        self._wait(launched)
        return {name: self._state.parts[name].address for name in names}

    def _own_settings(self, name: str) -> dict[str, str]:
        directory = self._directory / name
        if name == "notify":
            return webhook_settings(directory)
        if name == "commitment":
            return commitment_settings(directory, pki=self._directory / "pki" if "pki" in self._state.parts else None)
        return {}

    def undo(self) -> None:
        """Stop what this `up` started; what ran before goes on."""
        for name, part in reversed(self.parts.items()):
            part.stop()
            self._state.parts.pop(name, None)
            self._report(name, "stopped")
        state.save(self._state, self._directory)

    def _launch(self, part: Part) -> Part:
        part.launch()
        self.parts[part.name] = part
        self._record(part)
        return part

    def _wait(self, launched: Sequence[Part]) -> None:
        for part in launched:
            part.wait_ready()
            self._record(part)  # again: the embedded broker knows its address only now
            self._report(part.name, "ready")

    def _record(self, part: Part) -> None:
        self._state.parts[part.name] = Running.of(part)
        state.save(self._state, self._directory)


def _stop_side_by_side(parts: Mapping[str, Running], report: Report) -> list[str]:
    def stop(running: Running) -> bool:
        process = running.process()
        if process is None:
            return False
        terminate(process, deadline_s=STOPS_WITHIN_S)
        return True

    with ThreadPoolExecutor() as pool:
        outcomes = dict(zip(parts, pool.map(stop, parts.values()), strict=True))
    stopped = [name for name, ran in outcomes.items() if ran]
    for name in stopped:
        report(name, "stopped")
    return stopped


def _issuer(directory: Path, *, outlives_parent: bool) -> Part:
    (port,) = ports(directory, 1)
    return http_server(
        "oidc",
        factory="lab.oidc:create_app",
        directory=directory,
        port=port,
        ready_path="/.well-known/openid-configuration",
        env={
            "LAB_OIDC_ISSUER": f"http://127.0.0.1:{port}",
            "LAB_OIDC_KEY": str(directory / "key.json"),
        },
        outlives_parent=outlives_parent,
    )


def _trace_sink(directory: Path, *, outlives_parent: bool) -> Part:
    (port,) = ports(directory, 1)
    return http_server(
        "otlp",
        factory="lab.otlp:create_app",
        directory=directory,
        port=port,
        ready_path="/traces",
        env={},
        outlives_parent=outlives_parent,
    )
