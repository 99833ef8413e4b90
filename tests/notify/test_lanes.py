"""A lane that is given back is looked at again for all that waits in it, whatever came meanwhile."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chassis.clock import now
from tests.notify.office import Office

pytestmark = pytest.mark.real
LANE = {"s1": {"subscription": "s1", "ordered": False, "mail": False}}
LEASE_S = 30.0


async def claimed(office: Office, *, limit: int = 10) -> list[dict[str, Any]]:
    return await office.stores.lanes.claim(mail=False, limit=limit, lease_s=LEASE_S)


async def test_of_two_who_claim_one_gets_it(office: Office) -> None:
    await office.stores.lanes.put(LANE)
    [lane] = await claimed(office)
    assert lane["_id"] == "s1"
    assert await claimed(office) == []


@pytest.mark.parametrize("limits", [(1, 1, 1, 1), (1, 10, 1, 10), (10, 10, 10, 10)])
async def test_of_many_who_claim_at_once_each_lane_goes_to_one(office: Office, limits: tuple[int, ...]) -> None:
    lanes = {f"s{n}": {"subscription": f"s{n}", "ordered": False, "mail": n == 9} for n in range(10)}
    await office.stores.lanes.put(lanes)
    names: list[str] = []
    while True:
        found = await asyncio.gather(*(claimed(office, limit=limit) for limit in limits))
        if not any(found):
            break
        names += [lane["_id"] for some in found for lane in some]
    assert sorted(names) == [f"s{n}" for n in range(9)], "all but the one that goes by mail"


async def test_what_comes_while_a_lane_is_served_makes_it_due(office: Office) -> None:
    lanes = office.stores.lanes
    await lanes.put(LANE)
    [lane] = await claimed(office)
    await lanes.put(LANE)
    assert await claimed(office) == []  # not before it is given back
    await lanes.leave(lane)
    [again] = await claimed(office)
    await lanes.leave(again)
    assert await claimed(office) == []
    assert await office.lanes_in_use() == 0


async def test_what_is_put_off_comes_up_in_its_time_and_for_what_comes_before(office: Office) -> None:
    lanes = office.stores.lanes
    await lanes.put(LANE)
    [lane] = await claimed(office)
    await lanes.put_off(lane, now() + timedelta(hours=1))
    assert await claimed(office) == []
    await lanes.put(LANE)
    [again] = await claimed(office)
    await lanes.put_off(again, now() - timedelta(seconds=1))
    assert len(await claimed(office)) == 1


async def test_a_claim_that_was_outlived_changes_nothing(office: Office) -> None:
    lanes = office.stores.lanes
    await lanes.put(LANE)
    [late] = await lanes.claim(mail=False, limit=10, lease_s=0)
    [lane] = await claimed(office)
    await lanes.leave(late)
    assert await office.lanes_in_use() == 1
    await lanes.leave(lane)
    assert await office.lanes_in_use() == 0


async def test_a_paused_lane_waits_until_it_is_woken(office: Office) -> None:
    lanes = office.stores.lanes
    await lanes.put(LANE)
    [lane] = await claimed(office)
    await lanes.put_off(lane, None)
    assert await claimed(office) == []
    await lanes.wake("s1")
    assert len(await claimed(office)) == 1


@pytest.mark.parametrize("turn", range(20))
async def test_a_lane_that_is_given_back_while_it_is_woken_comes_up(office: Office, turn: int) -> None:
    """Seen once in seven runs of a test: its two writes passed by a lane that was given back between them."""
    lanes = office.stores.lanes
    await lanes.put(LANE)
    [lane] = await claimed(office)

    async def give_back() -> None:
        await asyncio.sleep(turn * 0.0003)
        await lanes.put_off(lane, None)

    await asyncio.gather(lanes.wake("s1"), give_back())
    assert len(await claimed(office)) == 1
