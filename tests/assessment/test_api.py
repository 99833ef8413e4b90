"""The assessment service over HTTP, on the real parts: what a portal meets."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.acting import Region, Tokens, key

pytestmark = pytest.mark.real
RegionIn = Callable[[str], Region]


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def answer(region: Region, number: int, level: object, **headers: str) -> httpx.Response:
    address = f"{region.address}/answers/{number}"
    if not headers:
        headers = {"If-Match": (await region.assessment.get(address, headers=region.headers)).headers["ETag"]}
    return await region.assessment.put(address, json={"level": level}, headers=region.headers | headers)


async def test_every_refusal_is_a_problem_with_both_languages(region: Region) -> None:
    refused = await region.assessment.get("/assessments/spbe-2022:00.00", headers=region.headers)
    assert refused.headers["content-type"].startswith("application/problem+json")
    problem = refused.json()
    assert problem.keys() >= {"type", "title", "status", "code", "detail", "detail_id", "trace_id"}
    assert problem["type"] == f"/problems/{problem['code']}"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"region": "99.99", "cycle": "spbe-2022"}, (422, "unknown_region")),
        ({"region": "32.11", "cycle": "spbe-1999"}, (422, "unknown_cycle")),
        ({"region": 3211, "cycle": "spbe-2022"}, (422, "invalid_request")),
        ({"region": "32.11"}, (422, "invalid_request")),
        ({"region": "32.11", "cycle": "spbe-2022", "more": 1}, (422, "invalid_request")),
    ],
)
async def test_opening_what_does_not_exist_is_refused(
    region: Region, asked: dict[str, object], expected: tuple[int, str]
) -> None:
    refused = await region.assessment.post("/assessments", json=asked, headers=region.headers | key())
    assert code_of(refused) == expected
    assert "field" in refused.json() or refused.json()["errors"]


async def test_jakartas_parts_have_no_assessment_of_their_own(assessment: httpx.AsyncClient, tokens: Tokens) -> None:
    headers = tokens("31.71", "penanggung-jawab") | key()
    refused = await assessment.post("/assessments", json={"region": "31.71", "cycle": "spbe-2022"}, headers=headers)
    assert code_of(refused) == (422, "not_self_governing")


async def test_a_second_assessment_of_a_region_and_cycle_is_refused_with_the_first_ones_address(region: Region) -> None:
    assert (await region.open()).status_code == 201
    refused = await region.open()
    assert code_of(refused) == (409, "assessment_exists")
    assert refused.json()["assessment"] == region.id


async def test_twenty_equal_posts_with_one_key_have_one_effect(region: Region) -> None:
    one_key = key()
    asked = {"region": region.code, "cycle": region.cycle}
    answers = await asyncio.gather(
        *(region.assessment.post("/assessments", json=asked, headers=region.headers | one_key) for _ in range(20))
    )
    assert {a.status_code for a in answers} == {201}
    assert len({a.text for a in answers}) == 1
    await region.fill(3)
    sent = region.headers | key() | await region.tag()
    submitted = await asyncio.gather(
        *(region.assessment.post(f"{region.address}/submission", headers=sent) for _ in range(20))
    )
    assert {a.status_code for a in submitted} == {200}
    assert {a.json()["revision"] for a in submitted} == {1}
    assert sum("idempotent-replayed" in a.headers for a in submitted) == 19


async def test_a_key_of_another_request_is_refused(region: Region) -> None:
    await region.open()
    await region.fill(3)
    one_key = key()
    sent = region.headers | one_key | await region.tag()
    assert (await region.assessment.post(f"{region.address}/submission", headers=sent)).status_code == 200
    refused = await region.assessment.post(f"{region.address}/reopening", headers=sent)
    assert code_of(refused) == (422, "idempotency_key_reused")


async def test_submitting_an_incomplete_assessment_lists_what_is_missing(region: Region) -> None:
    await region.open()
    await region.fill(dict.fromkeys(range(1, 47), 3))
    refused = await region.submit()
    assert code_of(refused) == (409, "incomplete")
    assert refused.json()["missing"] == [47]


@pytest.mark.parametrize(
    ("number", "level", "expected"),
    [
        (1, 6, (422, "level_off_scale")),
        (1, 0, (422, "level_off_scale")),
        (1, -1, (422, "level_off_scale")),
        (1, 3.5, (422, "level_not_whole")),
        (1, "3.5", (422, "level_not_whole")),
        (1, True, (422, "invalid_request")),
        (1, None, (422, "invalid_request")),
        (1, "three", (422, "invalid_request")),
        (1, "٣", (422, "invalid_request")),
        (48, 3, (404, "unknown_indicator")),
        (0, 3, (404, "unknown_indicator")),
    ],
)
async def test_a_level_that_is_none_is_refused_with_its_field(
    region: Region, number: int, level: object, expected: tuple[int, str]
) -> None:
    await region.open()
    refused = await answer(region, number, level, **{"If-Match": '"anything"'})
    assert code_of(refused) == expected
    assert "field" in refused.json() or refused.json()["errors"]
    assert (await region.read())["progress"]["answered"] == 0


@pytest.mark.parametrize("number", ["01", "+1", "1.0", "%201", "1%0a", "1_0", "x"])
async def test_an_answer_has_one_address(region: Region, number: str) -> None:
    await region.open()
    found = await region.assessment.get(f"{region.address}/answers/{number}", headers=region.headers)
    assert code_of(found) == (422, "invalid_request")


async def test_who_sees_more_from_now_on_is_shown_it(region: Region, tokens: Tokens) -> None:
    """An ETag of levels alone is not that of the texts."""
    await region.open()
    await region.fill({1: 3})
    pembina, address = tokens("kemendagri", "pembina"), f"{region.address}/answers/1"
    levels = await region.assessment.get(address, headers=pembina)
    known = {"If-None-Match": levels.headers["ETag"]}
    assert (await region.assessment.get(address, headers=region.headers | known)).json()["fakta"] is not None
    unchanged = await region.assessment.get(address, headers=pembina | known)
    assert unchanged.status_code == 304
    assert "Authorization" in unchanged.headers["Vary"]


async def test_a_period_that_no_cycle_can_have_is_refused(region: Region) -> None:
    refused = await region.assessment.get("/assessments", params={"period": 2**63}, headers=region.headers)
    assert code_of(refused) == (422, "invalid_request")


async def test_decimals_are_taken_exactly_where_the_instrument_has_them(region_in: RegionIn) -> None:
    region = region_in("pemdi-2026")
    await region.open()
    for number, (given, kept) in enumerate([(2.75, "2.75"), ("3.10", "3.1"), (4, "4"), ("5.0", "5")], start=1):
        put = await answer(region, number, given)
        assert (put.status_code, put.json()["level"]) == (200, kept)


async def test_three_clients_fill_one_assessment_at_once(region: Region) -> None:
    await region.open()
    units = [range(1, 17), range(17, 33), range(33, 48)]

    async def fill(numbers: range) -> list[int]:
        return [(await answer(region, number, 1 + number % 5)).status_code for number in numbers]

    statuses = await asyncio.gather(*(fill(numbers) for numbers in units))
    assert {status for unit in statuses for status in unit} == {200}
    levels = {a["number"]: a["level"] for a in (await region.read())["answers"]}
    assert levels == {number: str(1 + number % 5) for number in range(1, 48)}


async def test_the_second_writer_of_one_answer_is_told_it_is_stale(region: Region) -> None:
    await region.open()
    tag = (await region.assessment.get(f"{region.address}/answers/7", headers=region.headers)).headers["ETag"]
    assert (await answer(region, 7, 2, **{"If-Match": tag})).status_code == 200
    assert code_of(await answer(region, 7, 4, **{"If-Match": tag})) == (412, "stale")
    assert (await region.read())["answers"][6]["level"] == "2"


async def test_changes_need_the_state_they_change(region: Region) -> None:
    await region.open()
    missing = await region.assessment.put(f"{region.address}/answers/1", json={"level": 3}, headers=region.headers)
    assert code_of(missing) == (428, "precondition_required")
    unnamed = await region.assessment.patch(
        f"{region.address}/answers", json={"answers": [{"number": 1, "level": 3}]}, headers=region.headers
    )
    assert (*code_of(unnamed), unnamed.json()["field"]) == (428, "precondition_required", "answers.0.etag")
    no_key = await region.assessment.post(f"{region.address}/submission", headers=region.headers | {"If-Match": '"x"'})
    assert code_of(no_key) == (400, "idempotency_key_required")
    await region.fill(3)
    assert code_of(await region.submit(**{"If-Match": '"x"'})) == (412, "stale")


async def test_many_answers_are_taken_all_or_none(region: Region) -> None:
    await region.open()
    answers = (await region.read())["answers"]
    mixed = [
        {"number": 1, "etag": answers[0]["etag"], "level": 3},
        {"number": 2, "etag": answers[1]["etag"], "level": 9},
    ]
    refused = await region.assessment.patch(
        f"{region.address}/answers", json={"answers": mixed}, headers=region.headers
    )
    assert (*code_of(refused), refused.json()["field"]) == (422, "level_off_scale", "answers.1.level")
    beyond = [mixed[0], {**mixed[1], "number": 48, "level": 3}]
    refused = await region.assessment.patch(
        f"{region.address}/answers", json={"answers": beyond}, headers=region.headers
    )
    assert (*code_of(refused), refused.json()["field"]) == (422, "unknown_indicator", "answers.1.number")
    twice = [mixed[0], mixed[0]]
    refused = await region.assessment.patch(
        f"{region.address}/answers", json={"answers": twice}, headers=region.headers
    )
    assert code_of(refused) == (422, "answered_twice")
    assert (await region.read())["progress"]["answered"] == 0


async def test_a_submitted_assessment_is_closed_until_it_is_reopened(region: Region) -> None:
    await region.open()
    await region.fill(3)
    await region.submit()
    assert code_of(await answer(region, 1, 4)) == (409, "wrong_status")
    assert code_of(await region.submit()) == (409, "wrong_status")
    reopened = await region.reopen()
    assert reopened.json() == {"assessment": region.id, "status": "reopened", "revision": 2}
    assert (await answer(region, 1, 4)).status_code == 200
    assert (await region.submit()).json()["revision"] == 3
    assert (await region.score(revision=3))["scores"]["self"]["aspects"]["1"]["value"] == "3.1"


async def test_what_supports_a_level_is_kept_and_read_back(region: Region) -> None:
    await region.open()
    address = f"{region.address}/answers/45"
    tag = (await region.assessment.get(address, headers=region.headers)).headers["ETag"]
    said: dict[str, Any] = {
        "level": 4, "fakta": "Perbup 12/2023 ps. 3", "analisis": "Terpadu.", "service_name": "Wargi Sumedang"
    }  # fmt: skip
    put = await region.assessment.put(address, json=said, headers=region.headers | {"If-Match": tag})
    read = await region.assessment.get(address, headers=region.headers)
    assert read.json() == put.json()
    assert read.json() | said | {"level": "4"} == read.json()
    assert read.headers["ETag"] == put.headers["ETag"] != tag
    unchanged = await region.assessment.get(address, headers=region.headers | {"If-None-Match": read.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")


BODIES: list[tuple[bytes, tuple[int, str]]] = [
    (b"{" + b'"a":' * 300_000, (413, "too_large")),
    (b"[" * 40 + b"]" * 40, (400, "too_deep")),
    (b'{"level": NaN}', (400, "not_a_number")),
    (b'{"level": 1e999}', (400, "not_a_number")),
    (b'{"level": 3, "level": 4}', (400, "duplicate_key")),
    (b'{"level": 3, "$set": {"status": "verified"}}', (400, "forbidden_key")),
    (b'{"level": 3', (400, "invalid_json")),
    (b"\xff\xfe", (400, "invalid_json")),
]


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=[e[1] + str(i) for i, (_, e) in enumerate(BODIES)])
async def test_a_body_that_is_not_strict_json_is_refused(
    region: Region, body: bytes, expected: tuple[int, str]
) -> None:
    sent = region.headers | {"If-Match": '"x"', "Content-Type": "application/json"}
    refused = await region.assessment.put(f"{region.address}/answers/1", content=body, headers=sent)
    assert code_of(refused) == expected


async def test_other_media_types_methods_and_addresses_are_problems_too(region: Region) -> None:
    sent = region.headers | {"If-Match": '"x"', "Content-Type": "text/xml"}
    assert code_of(await region.assessment.put(f"{region.address}/answers/1", content=b"<a/>", headers=sent)) == (
        415,
        "unsupported_media_type",
    )
    assert code_of(await region.assessment.delete("/assessments", headers=region.headers)) == (
        405,
        "method_not_allowed",
    )
    assert code_of(await region.assessment.get("/nothing-here", headers=region.headers)) == (404, "not_found")


async def test_lists_page_by_cursor_and_filter(region_in: RegionIn, tokens: Tokens) -> None:
    regions = [region_in("spbe-2019") for _ in range(5)]
    for region in regions:
        await region.open()
    nation = tokens("kemendagri", "pembina")
    client, seen, cursor = regions[0].assessment, list[str](), None
    while True:
        asked: dict[str, Any] = {"period": 2019, "status": "draft", "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/assessments", params=asked, headers=nation)).json()
        seen += [item["assessment"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert seen == sorted(seen)
    assert set(seen) >= {region.id for region in regions}
    own = (await client.get("/assessments", params={"period": 2019}, headers=regions[0].headers)).json()
    assert {item["region"] for item in own["items"]} == {regions[0].code}
    assert (await client.get("/assessments", params={"period": 2019})).json()["items"] == [], "none is public"


async def test_instruments_and_cycles_are_public(assessment: httpx.AsyncClient) -> None:
    assert (await assessment.get("/instruments")).json() == ["pemdi-2026", "spbe-2018", "spbe-2020"]
    spbe = await assessment.get("/instruments/spbe-2020")
    assert len(spbe.json()["indicators"]) == 47
    again = await assessment.get("/instruments/spbe-2020", headers={"If-None-Match": spbe.headers["ETag"]})
    assert again.status_code == 304
    assert code_of(await assessment.get("/instruments/spbe-1999")) == (404, "not_found")
    cycles = (await assessment.get("/cycles")).json()
    assert [c["period"] for c in cycles if c["cycle"] != "simulasi-2026"] == list(range(2018, 2027))
    assert all(c["unknown"][field] for c in cycles for field in ("stages", "routes", "aims") if c[field] is None)
