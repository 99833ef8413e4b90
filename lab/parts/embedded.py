"""The broker inside the confluent-kafka wheel, in a process of its own: for a first look, never for faults.

It speaks the real protocol but keeps nothing, trims its logs and creates topics (4 partitions) when asked for them.
`python -m lab.parts.embedded FILE` serves until it is ended and writes its address to FILE.
"""

import signal
import sys
from pathlib import Path

from confluent_kafka import Producer

from lab.parts.broker import broker_probe
from lab.parts.process import Part


def embedded_kafka(directory: Path, *, outlives_parent: bool = False) -> Part:
    """A broker without Java. Address and port are known once it is ready, and are others after each start."""
    published = directory / "address"

    def missing() -> str | None:
        if not published.exists():
            return "it has not said its address yet"
        part.address = published.read_text()
        part.port = int(part.address.rpartition(":")[2])
        return broker_probe(part.address)()

    part = Part(
        "kafka",
        address="",
        port=0,
        command=[sys.executable, "-m", "lab.parts.embedded", str(published)],
        directory=directory,
        probe=missing,
        outlives_parent=outlives_parent,
    )
    return part


def serve(published: Path) -> None:
    """Run the broker until SIGTERM."""
    published.unlink(missing_ok=True)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    host = Producer({"test.mock.num.brokers": 1, "log_level": 3})
    broker = host.list_topics(timeout=10).brokers[1]
    partial = published.with_suffix(".partial")
    partial.write_text(f"{broker.host}:{broker.port}")
    partial.replace(published)
    signal.sigwait(signals)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
