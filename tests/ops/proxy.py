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
    port, admin_port, _ = ports(directory, 3)
    leading = {name.upper(): address for name, address in upstreams.items()}
    with process(directory, CADDYFILE, {**environment(directory), **leading}, "--adapter", "caddyfile"):
        yield Proxy(port, admin_port)


def environment(directory: Path) -> dict[str, str]:
    """What the Caddyfile reads beside its upstreams, for a Caddy in this directory."""
    port, admin_port, health_port = ports(directory, 3)
    return {
        "SITE": f"http://:{port}",
        "ADMIN_PORT": str(admin_port),
        "HEALTH_PORT": str(health_port),
        "XDG_DATA_HOME": str(directory / "data"),
        "XDG_CONFIG_HOME": str(directory / "config"),
    }


def process(directory: Path, config: Path, told: Mapping[str, str], *arguments: str) -> Part:
    """A Caddy with this configuration, not started yet; `told` is its environment."""
    health = f"http://127.0.0.1:{told['HEALTH_PORT']}/livez"

    def missing() -> str | None:
        try:
            answer = httpx.get(health, timeout=2, trust_env=False)
        except httpx.TransportError as failure:
            return f"no answer on {health} ({failure})"
        return None if answer.is_success else f"{health} answers {answer.status_code}"

    port = int(told["SITE"].rpartition(":")[2])
    return Part(
        "caddy",
        address=f"http://127.0.0.1:{port}",
        port=port,
        command=[str(tools.go_tool(CADDY)), "run", "--config", str(config), *arguments],
        directory=directory,
        probe=missing,
        env=told,
    )
