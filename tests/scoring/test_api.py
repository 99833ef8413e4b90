"""Reads of the scoring service over HTTP, on the real parts."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from tests.acting import DEADLINE_S, Region, Tokens

pytestmark = pytest.mark.real

WEST_JAVA = {"32.11": 4, "32.05": 3, "32.04": 3, "32.10": 2}
"""Regencies of West Java → the level of all their indicators, in a cycle that no other test scores."""
CYCLE = "spbe-2025"


@pytest.fixture(scope="module")
async def west_java(tokens: Tokens, assessment: httpx.AsyncClient, scoring: httpx.AsyncClient) -> Sequence[Region]:
    regions = [
        Region(code, CYCLE, tokens(code, "penanggung-jawab", "koordinator-spbe"), assessment, scoring)
        for code in [*WEST_JAVA, "32.73"]
    ]
    for region in regions:
        await region.open()
        await region.fill(WEST_JAVA.get(region.code, 5))
        assert (await region.submit()).status_code == 200
    for region in regions:
        await region.score()
    return regions


@pytest.fixture
def nation(tokens: Tokens) -> dict[str, str]:
    return tokens("kemenpanrb", "pembina")


Summary = Callable[..., Any]


@pytest.fixture
def summary(scoring: httpx.AsyncClient) -> Summary:
    async def ask(headers: dict[str, str], *, until: int, **scope: str) -> dict[str, Any]:
        """The summary, once it counts so many regions: it follows its scores a second later."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(DEADLINE_S):
            while sum(part["count"] for part in found.get("kinds", {}).values()) != until:
                found = (await scoring.get(f"/summaries/{CYCLE}", params=scope, headers=headers)).json()
                await asyncio.sleep(0.05)
        return found

    return ask


async def test_standings_rank_inside_one_kind_with_equal_indices_sharing_a_rank(
    west_java: Sequence[Region], scoring: httpx.AsyncClient, nation: dict[str, str]
) -> None:
    asked = {"cycle": CYCLE, "kind": "regency", "province": "32"}
    rows = (await scoring.get("/standings", params=asked, headers=nation)).json()["items"]
    assert [(r["rank"], r["region"], r["index"]["shown"]) for r in rows] == [
        (1, "32.11", "4.00"),
        (2, "32.04", "3.00"),
        (2, "32.05", "3.00"),
        (4, "32.10", "2.00"),
    ]
    cities = (await scoring.get("/standings", params=asked | {"kind": "city"}, headers=nation)).json()["items"]
    assert [(r["rank"], r["name"], r["predicate"]) for r in cities] == [(1, "Kota Bandung", "Memuaskan")]


async def test_pages_of_standings_continue_ranks(
    west_java: Sequence[Region], scoring: httpx.AsyncClient, nation: dict[str, str]
) -> None:
    asked: dict[str, Any] = {"cycle": CYCLE, "kind": "regency", "province": "32", "limit": 1}
    ranks: list[tuple[int, str]] = []
    while True:
        page = (await scoring.get("/standings", params=asked, headers=nation)).json()
        ranks += [(r["rank"], r["region"]) for r in page["items"]]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert ranks == [(1, "32.11"), (2, "32.04"), (2, "32.05"), (4, "32.10")]


ODD = [
    urlsafe_b64encode(place.encode()).decode()
    for place in (
        '["5","x",1e308,1]',
        '["5","x",18446744073709551615,1]',
        '["5","x",-5,-9]',
        '["\u0663","x",1,1]',
        "null",
    )
]


@pytest.mark.parametrize(
    "cursor", ["x", "WyJ4Il0=", "WzEsMiwzLDRd", "e30=", "bnVsbA==", "WyJOYU4iLCJhIiwxLDFd", "%00", *ODD]
)
async def test_a_cursor_that_no_page_gave_is_refused(
    cursor: str, scoring: httpx.AsyncClient, nation: dict[str, str]
) -> None:
    asked = {"cycle": CYCLE, "kind": "regency", "cursor": cursor}
    refused = await scoring.get("/standings", params=asked, headers=nation)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize(("scope", "field"), [({"province": "32.11"}, "province"), ({"group": "nowhere"}, "group")])
async def test_an_unknown_scope_is_refused_with_its_field(
    scope: dict[str, str], field: str, scoring: httpx.AsyncClient, nation: dict[str, str]
) -> None:
    for address in (f"/summaries/{CYCLE}", f"/standings?cycle={CYCLE}&kind=regency"):
        refused = await scoring.get(httpx.URL(address).copy_merge_params(scope), headers=nation)
        assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (422, "unknown_scope", field)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("/summaries/spbe-1999", "unknown_cycle"),
        ("/standings?cycle=spbe-1999&kind=city", "unknown_cycle"),
        ("/scores?region=99.99", "unknown_region"),
    ],
)
async def test_what_does_not_exist_is_not_taken_for_what_has_no_scores_yet(
    address: str, code: str, scoring: httpx.AsyncClient, nation: dict[str, str]
) -> None:
    refused = await scoring.get(address, headers=nation)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["field"]) == (422, code, code.removeprefix("unknown_"))


async def test_a_mistyped_parameter_is_refused_rather_than_ignored(scoring: httpx.AsyncClient) -> None:
    refused = await scoring.get("/standings", params={"cycle": CYCLE, "kind": "city", "bases": "official"})
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["field"]) == (422, "unknown_parameter", "bases")
    assert "basis, cursor, cycle, group, kind, limit, province" in problem["detail"]
    twice = await scoring.get(f"/standings?cycle={CYCLE}&kind=city&basis=self&basis=official")
    assert (twice.status_code, twice.json()["field"]) == (422, "basis")


async def test_a_summary_is_of_one_scope(scoring: httpx.AsyncClient, nation: dict[str, str]) -> None:
    both = {"province": "11", "group": "jabar-2023"}
    refused = await scoring.get(f"/summaries/{CYCLE}", params=both, headers=nation)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_scope")


async def test_summaries_of_nation_province_and_group_are_exact(
    west_java: Sequence[Region], summary: Summary, nation: dict[str, str]
) -> None:
    for scope in ({}, {"province": "32"}):
        found = await summary(nation, until=5, **scope)
        regencies = found["kinds"]["regency"]
        assert (regencies["count"], regencies["mean"]["shown"], regencies["median"]["shown"]) == (4, "3.00", "3.00")
        assert regencies["predicates"] == {"Sangat Baik": 1, "Baik": 2, "Cukup": 1}
        assert regencies["histogram"] == {"2.00": 1, "3.00": 2, "4.00": 1}
        assert found["kinds"]["city"]["predicates"] == {"Memuaskan": 1}
    # 32.04, 32.05, 32.10 and 32.11 are of the nine of 12 Jul 2023; Kota Bandung (32.73) is not.
    group = await summary(nation, until=4, group="jabar-2023")
    assert {kind for kind, part in group["kinds"].items() if part["count"]} == {"regency"}
    assert (group["all"]["count"], group["all"]["missing"]) == (4, 5)


async def test_a_province_sees_all_of_its_own_and_of_others_what_is_public(
    west_java: Sequence[Region], summary: Summary, scoring: httpx.AsyncClient, tokens: Tokens
) -> None:
    province = tokens("32", "pembina")
    assert (await summary(province, until=5, province="32"))["kinds"]["regency"]["count"] == 4
    for scope in ({}, {"province": "33"}):
        public = (await scoring.get(f"/summaries/{CYCLE}", params=scope, headers=province)).json()
        assert (public["audience"], public["all"]["count"], public["as_of"]) == ("public", 0, None)


async def test_history_keeps_every_revision_and_the_view_the_newest(region: Region) -> None:
    await region.open()
    await region.fill(2)
    await region.submit()
    await region.score(revision=1)
    await region.reopen()
    await region.fill({1: 5})
    await region.submit()
    newest = await region.score(revision=3)
    history = (await region.scoring.get(f"/scores/{region.id}/history", headers=region.headers)).json()["items"]
    assert [item["revision"] for item in history] == [3, 2, 1]
    assert history[0] == newest
    assert [item["scores"]["self"]["index"]["value"] for item in history] == ["2.039", "2", "2"]
    assert [item["status"] for item in history] == ["submitted", "reopened", "submitted"]


async def test_a_correction_moves_the_summary(
    west_java: Sequence[Region], summary: Summary, nation: dict[str, str]
) -> None:
    await summary(nation, until=5)
    city = west_java[-1]
    await city.reopen()
    await city.fill(1)
    await city.submit()
    await city.score(revision=3)
    async with asyncio.timeout(DEADLINE_S):
        while (await summary(nation, until=5))["kinds"]["city"]["predicates"] != {"Kurang": 1}:
            await asyncio.sleep(0.05)


async def test_an_unchanged_score_is_not_sent_again(region: Region) -> None:
    await region.open()
    await region.fill(3)
    await region.submit()
    await region.score()
    first = await region.scoring.get(f"/scores/{region.id}", headers=region.headers)
    again = await region.scoring.get(
        f"/scores/{region.id}", headers=region.headers | {"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
