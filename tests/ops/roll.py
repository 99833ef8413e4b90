"""What an orchestrator does when it replaces processes, with the real Caddy in front: each new one is ready before the
old one is told to stop, and no request is sent to the old one any more by then.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from lab.parts import Part
from lab.parts.process import ports
from tests.faults.ground import died, terminate
from tests.ops import proxy, tools

IN_ORDER = {0, -15}
LEAVES_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Front:
    """Caddy under the deployed Caddyfile, whose upstreams can be exchanged while it serves.

    Each is read from a file at every request. Loading another configuration would drop connections: Caddy 2.10.2
    lost 74 of 9,358 requests over 60 such loads, and an orchestrator's services are exchanged without any.
    """

    address: str
    _admin: httpx.AsyncClient
    _leading: Path

    async def lead_to(self, name: str, part: Part) -> None:
        """From now on; returns once nothing that was begun before is under way to where it led until now."""
        _lead(self._leading / name, part)
        async with asyncio.timeout(LEAVES_WITHIN_S):
            while await self._under_way(name):
                await asyncio.sleep(0.01)

    async def _under_way(self, name: str) -> int:
        upstreams = (await self._admin.get("/reverse_proxy/upstreams")).json()
        (count,) = (one["num_requests"] for one in upstreams if one["address"] == _upstream(self._leading / name))
        return count


@asynccontextmanager
async def fronted(directory: Path, parts: Mapping[str, Part]) -> AsyncGenerator[Front]:
    """Leading to these: service → process."""
    (control_port,) = ports(directory / "control", 1)
    program = await asyncio.to_thread(tools.go_tool, proxy.CADDY)
    told, leading = proxy.environment(directory), directory / "leading"
    leading.mkdir()
    environment = {**os.environ, **told, **{name.upper(): f"{name}:8000" for name in parts}}
    config = tools.run([program, "adapt", "--config", proxy.CADDYFILE], environment=environment).stdout
    for name, part in parts.items():
        _lead(leading / name, part)
        config = config.replace(json.dumps(f"{name}:8000"), json.dumps(_upstream(leading / name)))
    file = directory / "caddy.json"
    file.write_text(json.dumps(json.loads(config) | {"admin": {"listen": f"127.0.0.1:{control_port}"}}))
    with proxy.process(directory, file, told) as part:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{control_port}", trust_env=False) as admin:
            yield Front(part.address, admin, leading)


def _upstream(file: Path) -> str:
    return f"{{file.{file}}}"


def _lead(file: Path, part: Part) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(part.address.removeprefix("http://"))
    fresh.rename(file)  # whole at every moment


async def end(part: Part) -> None:
    """Tell it to stop, as orchestrators do. Raises AssertionError unless it ends in order."""
    terminate(part)
    status = await died(part)
    assert status in IN_ORDER, f"{part.name} ended with {status}:\n{part.log_tail()}"
