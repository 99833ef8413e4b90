"""The real Caddy on loopback, with the very Caddyfile that compose mounts."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from lab.parts.process import Part, ports, repository_root
from tests.ops import tools

CADDY = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2"
CADDYFILE = repository_root() / "deploy" / "proxy" / "Caddyfile"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it listens."""

    port: int
    admin_port: int

    @property
    def address(self) -> str:
        """The one address of all services."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_address(self) -> str:
        """Keycloak's console."""
        return f"http://127.0.0.1:{self.admin_port}"


def places(directory: Path) -> Proxy:
    """The ports that a Caddy in this directory will have: others may need its address before it runs."""
    port, admin_port, _ = ports(directory, 3)
    return Proxy(port, admin_port)


@contextmanager
def caddy(directory: Path, upstreams: Mapping[str, str]) -> Generator[Proxy]:
    """Caddy, ready, leading to these upstreams (name → host:port)."""
    port, admin_port, health_port = ports(directory, 3)
    health = f"http://127.0.0.1:{health_port}/livez"

    def missing() -> str | None:
        try:
            answer = httpx.get(health, timeout=2, trust_env=False)
        except httpx.TransportError as failure:
            return f"no answer on {health} ({failure})"
        return None if answer.is_success else f"{health} answers {answer.status_code}"

    environment = {
        "SITE": f"http://:{port}",
        "ADMIN_PORT": str(admin_port),
        "HEALTH_PORT": str(health_port),
        "XDG_DATA_HOME": str(directory / "data"),
        "XDG_CONFIG_HOME": str(directory / "config"),
    }
    part = Part(
        "caddy",
        address=f"http://127.0.0.1:{port}",
        port=port,
        command=[str(tools.go_tool(CADDY)), "run", "--adapter", "caddyfile", "--config", str(CADDYFILE)],
        directory=directory,
        probe=missing,
        env=environment | {name.upper(): address for name, address in upstreams.items()},
    )
    with part:
        yield Proxy(port, admin_port)
