"""HTTP servers of ours: the services, and the lab's own stand-ins."""

import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from lab.parts.process import Part, ports

PROBE_TIMEOUT_S = 2.0


def service(
    directory: Path,
    name: str,
    env: Mapping[str, str],
    *,
    outlives_parent: bool = False,
) -> Part:
    """One service as a process, ready when `GET /readyz` answers 200; its address is its base URL.

    `env` is added to our environment. Its metrics are on the port `part.env["METRICS_PORT"]`.
    """
    port, metrics_port = ports(directory, 2)
    return http_server(
        name,
        factory=f"services.{name}.app:create_app",
        directory=directory,
        port=port,
        ready_path="/readyz",
        env={"METRICS_PORT": str(metrics_port), **env},
        outlives_parent=outlives_parent,
    )


def http_server(
    name: str,
    *,
    factory: str,
    directory: Path,
    port: int,
    ready_path: str,
    env: Mapping[str, str],
    outlives_parent: bool = False,
) -> Part:
    """An ASGI app under uvicorn on a loopback port, ready when `ready_path` answers 200."""
    address = f"http://127.0.0.1:{port}"

    def missing() -> str | None:
        try:
            answer = httpx.get(f"{address}{ready_path}", timeout=PROBE_TIMEOUT_S, trust_env=False)
        except httpx.TransportError as failure:
            return f"no answer on {address}{ready_path} ({failure})"
        return None if answer.is_success else f"{ready_path} answers {answer.status_code}: {answer.text[:500]}"

    return Part(
        name,
        address=address,
        port=port,
        command=[
            *(sys.executable, "-m", "uvicorn", "--factory", factory),
            *("--host", "127.0.0.1", "--port", str(port), "--no-access-log"),
            *("--timeout-graceful-shutdown", "10"),  # an open stream holds up no stop
        ],
        directory=directory,
        probe=missing,
        env=env,
        outlives_parent=outlives_parent,
    )
