"""Every process of every service is replaced while requests and events keep coming: nobody notices."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

import httpx
import pytest

from contracts import events
from contracts.fact import fact_id
from contracts.regions import Directory
from lab.keys import commitment_settings, webhook_settings
from lab.parts import Part
from tests.acting import key
from tests.faults.ground import Ground, a_ground, running
from tests.faults.portal import Ledger, Portal
from tests.faults.violations import no_violations
from tests.listening import hears_of_everything
from tests.notify.office import Endpoint, listening
from tests.ops import roll

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

SERVICES = ("assessment", "scoring", "commitment", "notify")
CODES = [region.code for region in Directory.load() if region.code.startswith("32.")]
CYCLE = "spbe-2024"
EVERY_S = 0.1
TYPES = {"submitted": events.ASSESSMENT_SUBMITTED, "reopened": events.ASSESSMENT_REOPENED}
SETTLES_WITHIN_S = 90.0


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncGenerator[Ground]:
    async with a_ground(tmp_path / "ground") as fresh:
        yield fresh


@dataclass
class Load:
    """Requests at their times, whatever became of those before."""

    ended: bool = False
    answers: Counter[str] = field(default_factory=Counter[str])
    jobs: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])

    def count(self, answer: httpx.Response) -> None:
        self.answers[str(answer.status_code)] += 1

    async def run(self, jobs: Callable[[int], Awaitable[httpx.Response]]) -> None:
        """Begin one every EVERY_S until it is ended, then wait for all of them."""
        begun, number = monotonic(), 0
        while not self.ended:
            self.jobs.append(asyncio.create_task(self._one(jobs(number))))
            number += 1
            await asyncio.sleep(max(0.0, begun + number * EVERY_S - monotonic()))
        await asyncio.gather(*self.jobs)

    async def _one(self, job: Awaitable[httpx.Response]) -> None:
        try:
            self.count(await job)
        except httpx.TransportError as failure:
            self.answers[repr(failure)] += 1


READ = (
    "/assessment/v1/assessments/{cycle}:{code}/progress",
    "/scoring/v1/scores/{cycle}:{code}",
    "/commitment/v1/commitments",
    "/notify/v1/webhook-keys",
    "/commitment/v1/followups",
)


async def hand_over(portal: Portal, load: Load) -> httpx.Response:
    """What was submitted is taken back, what was taken back is submitted: each request once, whatever comes of it."""
    address = f"{portal.addresses[0]}/assessment/v1/assessments/{portal.id}"
    facts = portal.ledger.facts[portal.id]
    submitted = facts[max(facts)][0] == "submitted"
    for what in ("reopening",) if submitted else ("minutes", "submission"):
        seen = await portal.http.get(f"{address}/progress", headers=portal.headers)
        load.count(seen)
        tagged = portal.headers | key() | {"If-Match": seen.headers["ETag"]}
        answer = await portal.http.post(f"{address}/{what}", headers=tagged)
        if what != "minutes" and answer.status_code == 200:
            portal.acknowledge(answer)
        load.count(answer)
    return await portal.http.get(f"{address}/progress", headers=portal.headers)


async def test_every_service_is_replaced_while_regions_report(ground: Ground, tmp_path: Path) -> None:
    ledger, load = Ledger(), Load()
    own = {
        "notify": webhook_settings(tmp_path / "notify-keys"),
        "commitment": commitment_settings(tmp_path / "commitment-keys", pki=None),
    }

    def process(name: str, role: str, generation: int) -> Part:
        return ground.service(name, label=f"{name}-{role}-{generation}", ROLE=role, **own.get(name, {}))

    now = {(name, role): process(name, role, 1) for name in SERVICES for role in ("api", "worker")}
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
        endpoint = await stack.enter_async_context(listening(Endpoint()))
        await stack.enter_async_context(running(*now.values()))
        apis = {name: part for (name, role), part in now.items() if role == "api"}
        front = await stack.enter_async_context(roll.fronted(tmp_path / "caddy", apis))
        endpoint.secret = await hears_of_everything(http, front.address, ground.tokens, endpoint.url)
        portals = [
            Portal(
                code,
                CYCLE,
                ground.tokens(code, "penanggung-jawab", "koordinator-spbe"),
                [front.address],
                http,
                ledger,
                Random(code),
            )
            for code in CODES
        ]
        for portal in portals:
            await portal.portray()
        reading = [ground.tokens(code, "penanggung-jawab") for code in CODES]

        async def job(number: int) -> httpx.Response:
            """Every third: a region hands over or takes back; the others read, of each service in turn."""
            if number % 3 == 0:
                return await hand_over(portals[(number // 3) % len(portals)], load)
            code = CODES[number % len(CODES)]
            path = READ[number % len(READ)].format(code=code, cycle=CYCLE)
            return await http.get(f"{front.address}{path}", headers=reading[number % len(CODES)])

        loading = asyncio.create_task(load.run(job))
        for name in SERVICES:
            for role in ("api", "worker"):
                before, after = now[name, role], process(name, role, 2)
                await stack.enter_async_context(running(after))
                if role == "api":
                    await front.lead_to(name, after)
                await roll.end(before)
        load.ended = True
        await loading
        await no_violations(ground, ledger)
        wanted = {
            str(fact_id(aggregate=name, revision=revision, rule=0, type=TYPES[status].type))
            for name, facts in ledger.facts.items()
            for revision, (status, _) in facts.items()
        }
        deadline = monotonic() + SETTLES_WITHIN_S
        while missing := wanted - set(endpoint.taken):
            assert monotonic() < deadline, f"{len(missing)} events did not reach the ministry"
            await asyncio.sleep(0.1)
    refused = {said: count for said, count in load.answers.items() if said != "200"}
    assert not refused, refused
    repeated = sum(count > 1 for count in endpoint.times().values())
    print(
        f"\n{len(now)} processes replaced under load: {load.answers['200']} requests answered, 0 failed; "
        f"{len(wanted)} events reached the ministry, {repeated} of them more than once, violations 0"
    )
