"""The real collector and the real Jaeger, each under the configuration that is deployed."""

from pathlib import Path

import httpx

from lab.parts import Part
from lab.parts.process import ports
from tests.ops import tools

OBSERVABILITY = Path(__file__).resolve().parents[2] / "deploy" / "observability"


def collector(directory: Path, *, traces_to: str, **changed: str) -> Part:
    """Its address takes traces. `changed`: variables of its configuration."""
    otlp, health, metrics, spanmetrics = ports(directory, 4)
    env = _addresses(otlp, health, metrics) | {
        "SPANMETRICS_ENDPOINT": f"127.0.0.1:{spanmetrics}",
        "TRACES_ADDRESS": traces_to,
    }
    return _part("collector", tools.collector(), directory, port=otlp, env=env | changed)


def logs(directory: Path, *, containers: Path, logs_to: str) -> Part:
    """The one that reads what containers wrote."""
    health, metrics = ports(directory, 2)
    env = _addresses(0, health, metrics) | {"CONTAINERS": str(containers), "LOGS_ADDRESS": logs_to}
    return _part("logs", tools.collector(), directory, port=health, env=env)


def jaeger(directory: Path) -> Part:
    """Its address answers queries; `otlp` says where it takes traces."""
    otlp, health, metrics, query, grpc = ports(directory, 5)
    env = _addresses(otlp, health, metrics) | {
        "QUERY_ENDPOINT": f"127.0.0.1:{query}",
        "QUERY_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
        "DATA": str(directory / "badger"),
        "OTEL_TRACES_SAMPLER": "always_off",  # else it traces itself, to an address where nobody is
    }
    return _part("jaeger", tools.jaeger(), directory, port=query, env=env)


def otlp(part: Part) -> str:
    """Where one of these takes traces."""
    return f"http://{part.env['OTLP_ENDPOINT']}"


def _addresses(otlp: int, health: int, metrics: int) -> dict[str, str]:
    return {
        "OTLP_ENDPOINT": f"127.0.0.1:{otlp}",
        "HEALTH_ENDPOINT": f"127.0.0.1:{health}",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(metrics),
    }


def _part(name: str, program: Path, directory: Path, *, port: int, env: dict[str, str]) -> Part:
    def unready() -> str | None:
        try:
            answer = httpx.get(f"http://{env['HEALTH_ENDPOINT']}/", timeout=2, trust_env=False)
        except httpx.TransportError as failure:
            return f"no answer ({failure})"
        return None if answer.is_success else f"health {answer.status_code}"

    return Part(
        name,
        address=f"http://127.0.0.1:{port}",
        port=port,
        command=[str(program), f"--config={OBSERVABILITY / f'{name}.yaml'}"],
        directory=directory / "process",
        probe=unready,
        env=env,
    )
