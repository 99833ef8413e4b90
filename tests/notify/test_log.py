"""The log shows its reader what they may be told, and does not tell of the rest."""

from datetime import datetime
from typing import Any

import pytest

from chassis.problem import NotFound
from chassis.viewer import Viewer, viewer_of
from contracts.roles import Role, TokenClaims
from services.notify.domain.right import Kind, Right
from services.notify.store.log import Wanted
from services.notify.usecases.log import Page
from services.notify.usecases.log import look as look_at_log
from tests.notify.office import DIRECTORY, Office, manager, state

pytestmark = pytest.mark.real


async def test_the_log_is_for_its_owner(office: Office) -> None:
    await office.subscribe("http://127.0.0.1:1/")
    await office.hear(state("32.11", 1))
    [mine] = await office.deliveries()
    assert await office.deliveries("bssn") == []
    with pytest.raises(NotFound):
        await office.log.get(mine["_id"], viewer=manager("bssn"))


async def test_the_log_shows_nobody_what_only_a_colleague_may_be_told_or_nobody_any_more(office: Office) -> None:
    await office.subscribe("http://127.0.0.1:1/", organization="kemenpanrb")
    await office.hear(state("32.11", 1), state("32.12", 1, public=True))
    claims = TokenClaims(sub="an-assessor", organization="kemenpanrb", roles=(Role.EXTERNAL_ASSESSOR,))
    assessor, reviewer = viewer_of(claims, DIRECTORY), manager("kemenpanrb")

    async def seen(viewer: Viewer) -> set[str]:
        page = await office.log.page(Wanted(), viewer=viewer, before=None, limit=10)
        assert len(page) == 2, "both are of the assessor's organization"
        return {one["region"] for one, _ in await office.judge.tellable(page, viewer=viewer)}

    assert (await seen(reviewer), await seen(assessor)) == ({"32.11", "32.12"}, {"32.12"})
    await office.grant("kemenpanrb", Right(Kind.REGIONS, roots=("31",)))
    assert await seen(reviewer) == {"32.12"}


async def test_a_page_of_the_log_does_not_tell_that_something_is_left_out(office: Office) -> None:
    await office.subscribe("http://127.0.0.1:1/")
    await office.hear(*(state("32.11", revision) for revision in range(1, 6)), state("31.71", 1), state("31.72", 1))
    await office.grant("kemendagri", Right(Kind.REGIONS, roots=("31",)))

    async def look(before: tuple[datetime, str] | None = None, **wanted: str) -> Page:
        asked: dict[str, Any] = {"viewer": manager("kemendagri"), "log": office.log, "judge": office.judge}
        return await look_at_log(Wanted(**wanted), before=before, limit=1, **asked)

    assert await look(region="32.11") == Page([], None)
    first = await look()
    second = await look(first.last)
    assert {one["region"] for page in (first, second) for one in page.items} == {"31.71", "31.72"}
    assert second.last is None
