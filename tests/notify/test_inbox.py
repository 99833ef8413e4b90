"""The inbox of a role: what came, in the words of people; read by one, read for all; judged again when it is read."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.viewer import Viewer, viewer_of
from contracts.roles import Role, TokenClaims
from services.notify.domain.right import PUBLIC, Kind, Right
from services.notify.domain.subscription import Channel, Language, Subscription, paused, resumed
from services.notify.usecases.inbox import Desk, Page
from tests.notify.office import DIRECTORY, Office, state
from tests.notify.test_dispatch import only

pytestmark = pytest.mark.real
Furnish = Callable[..., Awaitable[Office]]
CODES = ["32.11", "32.12", "32.13"]


def somebody(organization: str = "kemendagri", *roles: str) -> Viewer:
    claims = TokenClaims(sub="reader", organization=organization, roles=roles or (Role.SUPERVISOR.value,))
    return viewer_of(claims, DIRECTORY)


async def subscribe(office: Office, **changes: Any) -> Subscription:
    fields = {"id": "i1", "channel": Channel.INBOX, "role": Role.SUPERVISOR, "secrets": ()}
    return await office.subscribe(None, **(fields | changes))


def desk(office: Office, viewer: Viewer) -> Desk:
    return Desk(viewer, None, office.inbox, office.judge, DIRECTORY)


async def look(
    office: Office,
    viewer: Viewer,
    *,
    unread: bool = False,
    limit: int = 50,
    before: tuple[datetime, str] | None = None,
) -> Page:
    return await desk(office, viewer).look(unread=unread, before=before, limit=limit)


async def mark(office: Office, viewer: Viewer, *items: str, read: bool = True) -> int:
    return await desk(office, viewer).mark(items=items, until=None, read=read)


async def test_what_came_is_there_for_all_of_the_role_and_for_nobody_else(office: Office) -> None:
    await subscribe(office)
    async with office.open():
        await office.hear(*(state(code, 1) for code in CODES))
        await office.until(only(delivered=3))
    page = await look(office, somebody())
    assert page.unread == 3
    assert {item.line[Language.INDONESIAN] for item in page.items} == {
        "Kabupaten Sumedang: Penilaian mandiri disampaikan",
        "Kabupaten Indramayu: Penilaian mandiri disampaikan",
        "Kabupaten Subang: Penilaian mandiri disampaikan",
    }
    assert {item.event["region"] for item in page.items} == set(CODES)
    for other in (somebody("kemenpanrb"), somebody("kemendagri", "administrator"), somebody("32", "pembina")):
        nothing = await look(office, other)
        assert (nothing.items, nothing.unread) == ([], 0)


async def test_what_one_has_read_all_have_read_and_nobody_marks_what_is_not_theirs(office: Office) -> None:
    await subscribe(office)
    async with office.open():
        await office.hear(*(state(code, 1) for code in CODES))
        await office.until(only(delivered=3))
    first, second, third = [item.id for item in (await look(office, somebody())).items]
    assert await mark(office, somebody("kemenpanrb"), first) == 0
    assert [await mark(office, somebody(), first, second) for _ in range(2)] == [2, 0]
    page = await look(office, somebody(), unread=True)
    assert ([item.id for item in page.items], page.unread) == ([third], 1)
    assert await mark(office, somebody(), second, read=False) == 1
    page = await look(office, somebody())
    assert ([item.read_at is None for item in page.items], page.unread) == ([False, True, True], 2)
    until = page.items[1].came_at
    assert await desk(office, somebody()).mark(items=None, until=until, read=True) >= 1


async def test_pages_hold_each_item_once(office: Office) -> None:
    await subscribe(office)
    async with office.open():
        await office.hear(*(state(code, revision) for code in CODES for revision in (1, 2, 3)))
        await office.until(only(delivered=9))
    seen: list[str] = []
    before = None
    while True:
        page = await look(office, somebody(), limit=2, before=before)
        seen += [item.id for item in page.items]
        before = page.last
        if before is None:
            break
    assert len(seen) == len(set(seen)) == 9


async def test_a_right_that_was_withdrawn_hides_what_is_there_already(office: Office) -> None:
    await subscribe(office)
    async with office.open():
        await office.hear(state("32.11", 1), state("31.71", 1), state("32.12", 1, public=True))
        await office.until(only(delivered=3))
    assert len((await look(office, somebody())).items) == 3
    await office.grant("kemendagri", Right(Kind.REGIONS, roots=("31",)))
    assert {item.event["region"] for item in (await look(office, somebody())).items} == {"31.71", "32.12"}
    await office.grant("kemendagri", PUBLIC)
    assert {item.event["region"] for item in (await look(office, somebody())).items} == {"32.12"}


async def test_what_a_reader_may_not_see_is_neither_counted_nor_read_by_them(office: Office) -> None:
    """An assessor has the role of a colleague to whom the region was assigned, and not the region."""
    await subscribe(office, role=Role.EXTERNAL_ASSESSOR)
    async with office.open():
        await office.hear(*(state(code, 1) for code in CODES))
        await office.until(only(delivered=3))
    assessor = somebody("kemendagri", Role.EXTERNAL_ASSESSOR.value)
    page = await look(office, assessor)
    assert (page.items, page.unread) == ([], 0)
    items = [one["_id"] for one in await office.deliveries()]
    assert await mark(office, assessor, *items) == 0
    assert await desk(office, assessor).mark(items=None, until=datetime.now(UTC), read=True) == 0


async def test_a_paused_one_waits_and_a_replay_comes_too(office: Office) -> None:
    made = await subscribe(office)
    change = office.stores.subscriptions.change
    await change(made.id, viewer=somebody(), what="paused", decide=paused)
    async with office.open():
        await office.hear(state("32.11", 1))
        await office.until(only(pending=1))
        await change(made.id, viewer=somebody(), what="resumed", decide=resumed)
        await office.stores.lanes.wake(made.id)
        await office.until(only(delivered=1))
    assert (await look(office, somebody())).unread == 1


async def test_it_is_found_by_its_index(office: Office) -> None:
    await subscribe(office)
    async with office.open():
        await office.hear(*(state(code, 1) for code in CODES))
        await office.until(only(delivered=3))
    deliveries = office.parts.collection("deliveries")
    where = {"organization": "kemendagri", "inbox": {"$in": ["pembina"]}, "status": "delivered"}
    for asked in (where, {"$and": [where, {"read_at": None}]}):
        plan = await deliveries.find(asked).sort([("created_at", -1), ("_id", -1)]).limit(5).explain()
        assert plan["queryPlanner"]["winningPlan"] and "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
        assert "inbox" in str(plan["queryPlanner"]["winningPlan"])
