"""Who listens during the demo: two ministries and a province, each at a receiver of its own, as they would."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic, time
from typing import Any

from contracts.roles import Role
from lab import system
from lab.errors import LabError
from lab.listen import delay_s
from lab.parts import Part, http_server
from lab.parts.process import ports
from lab.region import Access, Refused, Visitor, fresh_key

WITHIN_S = 90.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an organization asks for, and how far administrators let it be told."""

    organization: str
    role: Role
    types: tuple[str, ...]
    province: str | None = None
    """None: the nation."""

    @property
    def right(self) -> dict[str, Any]:
        """As far as it asks."""
        return {"reach": "regions", "regions": [self.province]} if self.province else {"reach": "national"}

    def is_of_it(self, region: str) -> bool:
        """Whether it is told of this region."""
        return self.province in (None, region.partition(".")[0])

    def misses(self, seen: Mapping[str, Any], regions: Iterable[str]) -> bool:
        """Whether it has not heard yet of each report of these regions, by every type that it asked for."""
        heard = {(event["type"], event.get("region")) for event in seen["events"]}
        wanted = {(f"id.livinglab.{type}.v1", code) for type in self.types for code in regions if self.is_of_it(code)}
        return not wanted <= heard


AUDIENCE = (
    Wanted("kemendagri", Role.SUPERVISOR, ("assessment.submitted", "score.recalculated")),
    Wanted("kemenpanrb", Role.REVIEWER, ("assessment.submitted",)),
    Wanted("32", Role.SUPERVISOR, ("assessment.submitted", "score.recalculated"), province="32"),
)


@dataclass(slots=True)
class Listener:
    """One of them: its receiver, a process of its own, and its subscription."""

    wanted: Wanted
    part: Part
    visitor: Visitor
    subscription: str = ""
    secret: str = ""

    async def told(self, **asked: Any) -> None:
        """Command its receiver."""
        await Visitor(self.visitor.http).send("PUT", f"{self.part.address}/told", json=asked)

    async def received(self) -> Mapping[str, Any]:
        """What its receiver has taken, and refused."""
        return (await Visitor(self.visitor.http).send("GET", f"{self.part.address}/received")).json()

    async def until_heard_of(self, regions: Sequence[str]) -> Mapping[str, Any]:
        """What it has received, once each of these regions that it asked for is in it. Raises LabError."""
        deadline = monotonic() + WITHIN_S
        while self.wanted.misses(seen := await self.received(), regions):
            if monotonic() > deadline:
                raise LabError(f"{self.wanted.organization} has {len(seen['events'])} events after {WITHIN_S:.0f} s")
            await asyncio.sleep(POLL_S)
        return seen

    def go_down(self) -> None:
        """Its receiver ends; what it took is forgotten."""
        self.part.stop()

    async def come_back(self) -> None:
        """Its receiver is there again, at the same address."""
        self.part.launch()
        await asyncio.to_thread(self.part.wait_ready)
        await self.told(secrets=[self.secret])


@dataclass(frozen=True, slots=True)
class Heard:
    """What one of them received: how many events, how often more than once, and the waits of submissions in seconds."""

    organization: str
    events: int
    repeated: int
    refused: int
    waits: Sequence[float]


def heard(listener: Listener, seen: Mapping[str, Any]) -> Heard:
    """For the screen."""
    submitted = [event for event in seen["events"] if event["type"].endswith("assessment.submitted.v1")]
    return Heard(
        listener.wanted.organization,
        events=len(seen["events"]),
        repeated=sum(event["times"] > 1 for event in seen["events"]),
        refused=seen["refused"],
        waits=[delay_s(event, event["received_at"]) for event in submitted],
    )


@asynccontextmanager
async def gathered(running: system.System, access: Access) -> AsyncGenerator[list[Listener]]:
    """All of AUDIENCE listen: rights set, subscribed, their endpoints proved. Raises LabError."""
    listeners: list[Listener] = []
    try:
        administrator = await access.sign_in("kemenpanrb", Role.ADMINISTRATOR)
        for wanted in AUDIENCE:
            name = f"listener-{wanted.organization}"
            (port,) = ports(running.directory / name, 1)
            env = {
                "LISTEN_NAME": wanted.organization,
                "OTEL_EXPORTER_OTLP_ENDPOINT": running.environment["OTEL_EXPORTER_OTLP_ENDPOINT"],
            }
            part = http_server(
                name,
                factory="lab.listen:create_app",
                directory=running.directory / name,
                port=port,
                ready_path="/received",
                env=env,
            )
            part.launch()
            listeners.append(Listener(wanted, part, await access.sign_in(wanted.organization, wanted.role)))
        for listener in listeners:
            await asyncio.to_thread(listener.part.wait_ready)
            right = access.url("notify", f"rights/{listener.wanted.organization}")
            await administrator.send("PUT", right, json=listener.wanted.right)
            await _subscribe(access, listener)
        yield listeners
    finally:
        for listener in listeners:
            listener.part.stop()


async def _subscribe(access: Access, listener: Listener) -> None:
    wanted = listener.wanted
    asked = {
        "name": "Peragaan",
        "url": f"{listener.part.address}/",
        "types": wanted.types,
        "regions": [wanted.province] if wanted.province else [],
    }
    made = await listener.visitor.send("POST", access.url("notify", "subscriptions"), json=asked, headers=fresh_key())
    listener.subscription, listener.secret = made.json()["subscription"], made.json()["secret"]
    await listener.told(secrets=[listener.secret])
    verification = access.url("notify", f"subscriptions/{listener.subscription}/verification")
    headers = {**fresh_key(), "If-Match": made.headers["etag"]}
    await listener.visitor.send("POST", verification, headers=headers)


async def forge(listener: Listener) -> None:
    """Somebody else sends it a message, signed with another secret. Raises LabError if it is taken."""
    signed = {"webhook-id": "forged", "webhook-timestamp": str(int(time())), "webhook-signature": "v1,Zm9yZ2Vk"}
    try:
        await Visitor(listener.visitor.http).send("POST", f"{listener.part.address}/", content=b"{}", headers=signed)
    except Refused:
        return
    raise LabError(f"{listener.wanted.organization} took a message that was not signed by the Lab")
