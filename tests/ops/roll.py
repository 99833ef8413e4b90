"""What an orchestrator does when it replaces processes, with the real Caddy in front: each new one is ready before the
old one is told to stop, and no request is sent to the old one any more by then.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lab.parts import Part
from lab.parts.process import ports
from tests.faults.ground import died, terminate
from tests.ops import proxy, tools

IN_ORDER = {0, -15}
LEAVES_WITHIN_S = 30.0


@dataclass
class Front:
    """Caddy under the deployed Caddyfile, whose upstreams can be exchanged while it serves."""

    address: str
    _admin: httpx.AsyncClient
    _config: Callable[[Mapping[str, str]], dict[str, Any]]
    upstreams: dict[str, str]

    async def lead_to(self, name: str, part: Part) -> None:
        """From now on; returns once nothing that was begun before is under way to where it led until now."""
        before = self.upstreams[name]
        self.upstreams[name] = part.address.removeprefix("http://")
        (await self._admin.post("/load", json=self._config(self.upstreams))).raise_for_status()
        async with asyncio.timeout(LEAVES_WITHIN_S):
            while before in [one["address"] for one in (await self._admin.get("/reverse_proxy/upstreams")).json()]:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def fronted(directory: Path, parts: Mapping[str, Part]) -> AsyncGenerator[Front]:
    """Leading to these: service → process."""
    (control_port,) = ports(directory / "control", 1)
    program = await asyncio.to_thread(tools.go_tool, proxy.CADDY)
    told = proxy.environment(directory)

    def config(leading: Mapping[str, str]) -> dict[str, Any]:
        environment = {**os.environ, **told, **{name.upper(): address for name, address in leading.items()}}
        done = tools.run([program, "adapt", "--config", proxy.CADDYFILE], environment=environment)
        return json.loads(done.stdout) | {"admin": {"listen": f"127.0.0.1:{control_port}"}}

    upstreams = {name: part.address.removeprefix("http://") for name, part in parts.items()}
    first = directory / "caddy.json"
    first.write_text(json.dumps(config(upstreams)))
    with proxy.process(directory, first, told) as part:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{control_port}", trust_env=False) as admin:
            yield Front(part.address, admin, config, upstreams)


async def end(part: Part) -> None:
    """Tell it to stop, as orchestrators do. Raises AssertionError unless it ends in order."""
    terminate(part)
    status = await died(part)
    assert status in IN_ORDER, f"{part.name} ended with {status}:\n{part.log_tail()}"
