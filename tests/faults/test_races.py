"""Two processes of each service, and clients that want the same things at once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import httpx
import pytest

from tests.acting import Headers, key
from tests.faults.ground import Ground, running
from tests.faults.portal import Ledger, Portal
from tests.faults.violations import no_violations
from tests.faults.watch import watching

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

Portals = Callable[..., list[Portal]]
REGIONS = 12
ROUNDS = 4
RIVALS = 3
REPEATS = 3


async def test_rivals_on_two_processes_have_one_effect(ground: Ground, portals: Portals, ledger: Ledger) -> None:
    assessments = [ground.service("assessment", label=f"assessment-{n}") for n in (1, 2)]
    scorings = [ground.service("scoring", label=f"scoring-{n}") for n in (1, 2)]
    async with running(*assessments, *scorings), watching(ground):
        crowd = portals(REGIONS, *assessments)
        refused = sum(await asyncio.gather(*map(fight, crowd)), Counter[int]())
        await no_violations(ground, ledger)
    print(f"\nraces: {ledger.commands} commands acknowledged, rivals refused: {dict(refused)}, violations 0")


async def fight(portal: Portal) -> Counter[int]:
    """A life of an assessment in which every step is asked for by rivals, each repeating itself; the refusals."""
    opening = {"region": portal.code, "cycle": portal.cycle}
    refused = Counter((await one_of(portal, "/assessments", opening, {}))[1])
    portal.ledger.facts[portal.id] = {}
    for _ in range(ROUNDS):
        await units_fill_at_once(portal)
        await portal.sign()
        for step in ("submission", "reopening"):
            won, lost = await one_of(portal, f"/assessments/{portal.id}/{step}", None, await portal.tag())
            refused += Counter(lost)
            revisions = {portal.acknowledge(answer) for answer in won}
            assert len(revisions) == 1, f"one command came to revisions {revisions}"
    return refused


async def one_of(
    portal: Portal, path: str, json: object, headers: Headers
) -> tuple[Sequence[httpx.Response], Sequence[int]]:
    """RIVALS ask at once, each REPEATS times under its own key: all repeats of one are granted, all others refused."""
    names = [key() | headers for _ in range(RIVALS)]
    asked = [(n, portal.ask("POST", path, json=json, **names[n])) for n in range(RIVALS) for _ in range(REPEATS)]
    answers = list(zip((n for n, _ in asked), await asyncio.gather(*(a for _, a in asked)), strict=True))
    won = [(n, answer) for n, answer in answers if answer.is_success]
    lost = [answer.status_code for _, answer in answers if not answer.is_success]
    assert len({n for n, _ in won}) == 1, f"{path}: granted to {len({n for n, _ in won})} of {RIVALS} rivals"
    assert len(won) == REPEATS, f"{path}: {len(won)} of {REPEATS} repeats were granted"
    assert set(lost) <= {409, 412}, f"{path}: refused with {lost}"
    return [answer for _, answer in won], lost


async def units_fill_at_once(portal: Portal) -> None:
    """Three units answer a third of the indicators each, at once; none is told that somebody changed something."""
    answers = (await portal.ask("GET", f"/assessments/{portal.id}")).json()["answers"]
    levels = {a["number"]: str(portal.rng.randint(1, 5)) for a in answers}
    parts = [
        [{"number": a["number"], "etag": a["etag"], "level": levels[a["number"]]} for a in answers[n::3]]
        for n in range(3)
    ]
    path = f"/assessments/{portal.id}/answers"
    said = await asyncio.gather(*(portal.ask("PATCH", path, json={"answers": part}) for part in parts))
    assert [answer.status_code for answer in said] == [200] * 3, [answer.text for answer in said]
    portal.levels |= levels
