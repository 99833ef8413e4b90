"""Everything at once, at random: sixty regions act while processes, broker and database are killed and suspended.

`FAULT_SEED=7 make test-faults` draws the same actions and faults again; only the machine's own timing differs.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from random import Random, SystemRandom
from typing import Any

import pytest

from lab.parts import Part
from tests.faults.ground import SESSION_TIMEOUT_MS, Ground, restart, running
from tests.faults.portal import Ledger, Portal
from tests.faults.violations import no_violations
from tests.faults.watch import watching

pytestmark = [pytest.mark.faults, pytest.mark.timeout(420)]

Portals = Callable[..., list[Portal]]
Fault = Callable[[], Coroutine[Any, Any, None]]
REGIONS = 60
CLIENTS = 4
FAULTS_AT_LEAST = 14


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("FAULT_SEED") or SystemRandom().randrange(1_000_000))


async def test_whatever_happens_nothing_is_lost_and_nothing_happens_twice(
    seed: int, ground: Ground, portals: Portals, ledger: Ledger
) -> None:
    print(f"\nFAULT_SEED={seed}")
    rng = Random(seed)
    assessments = [ground.service("assessment", label=f"assessment-{n}") for n in (1, 2)]
    scorings = [ground.service("scoring", label=f"scoring-{n}") for n in (1, 2)]
    faults = drawn(rng, catalogue_of(rng, ground, [*assessments, *scorings]))
    async with running(*assessments, *scorings), watching(ground) as watch:
        over = asyncio.Event()
        crowd = portals(REGIONS, *assessments, seed=seed)
        clients = [asyncio.create_task(act(crowd[n::CLIENTS], Random(f"{seed}/{n}"), over)) for n in range(CLIENTS)]
        traffic = asyncio.gather(*clients)
        for _, fault in faults:
            await asyncio.wait([traffic], timeout=rng.uniform(0.2, 1.5))
            await fault()
        over.set()
        await traffic
        await no_violations(ground, ledger, within_s=120)
    print(
        f"seed {seed}: {ledger.commands} commands acknowledged, faults {dict(Counter(kind for kind, _ in faults))}, "
        f"{ledger.unanswered()} requests refused or cut ({dict(ledger.answers)}), {watch.looks} looks at the views, "
        f"violations 0"
    )


async def act(mine: Sequence[Portal], rng: Random, over: asyncio.Event) -> None:
    """Take one region after the other a step on, until it is over; each is left submitted at least once."""
    steps: dict[str, int] = {}
    for portal in mine:
        await step(portal, rng, steps)
    while not over.is_set():
        await step(rng.choice(mine), rng, steps)


async def step(portal: Portal, rng: Random, steps: dict[str, int]) -> None:
    """The next thing that this region does: a whole portrait at first, then reopening and submitting in turn."""
    done = steps.get(portal.id, 0)
    if done == 0:
        await portal.portray()
    elif done % 2:
        await portal.reopen()
    else:
        if rng.random() < 0.8:
            await portal.fill()
        await portal.submit()
    steps[portal.id] = done + 1


def catalogue_of(rng: Random, ground: Ground, services: Sequence[Part]) -> Mapping[str, Fault]:
    """Every fault by its name. Each ends with all parts there again."""

    async def kill(part: Part, gone_s: float) -> None:
        await asyncio.to_thread(part.kill)
        await pause(gone_s)
        await restart(part)

    async def suspend(part: Part) -> None:
        part.suspend()
        await pause(rng.uniform(0.5, 2.5) * SESSION_TIMEOUT_MS / 1000)
        part.resume()

    faults: dict[str, Fault] = {
        "kill kafka": lambda: kill(ground.kafka, rng.uniform(0, 4)),
        "kill mongod": lambda: kill(ground.mongod, rng.uniform(0, 5)),
    }
    for service in services:
        label = service.directory.name
        faults[f"kill {label}"] = partial(kill, service, 0)
        faults[f"suspend {label}"] = partial(suspend, service)
    return faults


def drawn(rng: Random, faults: Mapping[str, Fault]) -> list[tuple[str, Fault]]:
    """Each kind once and others at random, in random order."""
    kinds = list(faults)
    kinds += rng.choices(kinds, k=FAULTS_AT_LEAST - len(kinds))
    rng.shuffle(kinds)
    return [(kind, faults[kind]) for kind in kinds]


async def pause(seconds: float) -> None:
    """A fault lasts; the clients go on meanwhile."""
    await asyncio.wait([asyncio.create_task(asyncio.sleep(seconds))])
