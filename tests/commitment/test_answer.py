"""Over HTTP and Kafka: who came, signed, acted and rose becomes the answer, its list, its table and a timeline."""

import asyncio
import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lab import system
from tests.acting import DEADLINE_S, Tokens, key
from tests.committing import drafted

pytestmark = pytest.mark.real


async def decreed(scoring: httpx.AsyncClient, tokens: Tokens, cycle: str, indices: dict[str, str]) -> None:
    """Official results of a year, as the ministry hands them over."""
    rows = [{"kode": region, "tahun": int(cycle[-4:]), "nilai": {"indeks": float(i)}} for region, i in indices.items()]
    query = {"cycle": cycle, "decree": "Keputusan simulasi", "decree_date": f"{int(cycle[-4:]) + 1}-01-11"}
    who = tokens("kemenpanrb", "peninjau")
    answer = await scoring.post("/official/imports", params=query, json=rows, headers=who | key())
    assert answer.status_code in (200, 201, 202), answer.text


async def test_the_answer_of_a_commitment(
    commitment: httpx.AsyncClient,
    scoring: httpx.AsyncClient,
    tokens: Tokens,
    living_lab: system.System,
    free_regions: Iterator[str],
) -> None:
    three = sorted(next(free_regions) for _ in range(3))
    await decreed(scoring, tokens, "spbe-2022", dict(zip(three, ("2.50", "3.00", "2.00"), strict=True)))
    await decreed(scoring, tokens, "spbe-2023", dict(zip(three, ("2.60", "3.00", "2.00"), strict=True)))
    await decreed(scoring, tokens, "spbe-2024", dict(zip(three, ("3.60", "2.90", "2.40"), strict=True)))
    target = {"instrument": "spbe-2020", "index": {"value": "3.5", "shown": "3.50"}, "predicate": None}
    pki = living_lab.directory / "pki"
    one = await drafted(commitment, tokens, pki, three[0], three, target=target, target_by="2028-07-12")
    sha = (await one.open())["text_sha256"]
    for region in three[:2]:
        assert (await one.sign(region, text_sha256=sha)).status_code == 200
    for region in three[:2]:
        await one.follow_up(region)

    async def asked(path: str = "/funnel", **query: Any) -> httpx.Response:
        return await commitment.get(path, params={"commitment": one.id, **query})

    async with asyncio.timeout(DEADLINE_S):
        while (found := (await asked()).json())["steps"][-1]["count"] < 1:
            await asyncio.sleep(0.2)
    steps = {step["stage"]: (step["count"], step["of"], step["before"]) for step in found["steps"]}
    assert steps == {
        "invited": (3, 3, 3),
        "signed": (2, 3, 3),
        "acted": (2, 3, 2),
        "improved": (1, 2, 2),
        "reached_target": (1, 2, 1),
    }
    assert found["followed_up"]["together"] == {"count": 2, "of": 3}
    assert found["comparison"]["joined"] == {"count": 2, "improved": 1, "mean": "9/20", "mean_shown": "0.45"}
    assert any("2 dari 3" in said for said in found["said_id"])
    assert any("2 of 3" in said for said in found["said_en"])

    rows = {row["organization"]: row for row in (await asked("/funnel/organizations")).json()["items"]}
    assert list(rows) == three
    assert (rows[three[0]]["base_index"], rows[three[0]]["later_index"], rows[three[0]]["change"]) == (
        "2.60", "3.60", "1.00",
    )  # fmt: skip
    assert (rows[three[0]]["reached_target"], rows[three[1]]["reached_target"]) == (True, False)
    table = list(csv.DictReader(io.StringIO((await asked("/funnel/organizations.csv")).text)))
    assert [row["organization"] for row in table] == three

    way = (await commitment.get(f"/regions/{three[0]}/timeline")).json()
    assert [(entry["moment"], entry["said"]) for entry in way["items"] if entry["moment"] == "scored"] == [
        ("scored", "2.50"),
        ("scored", "2.60"),
        ("scored", "3.60"),
    ]
    assert {"signed", "done"} <= {entry["moment"] for entry in way["items"]}

    hidden = await asked(public=False)
    assert (hidden.status_code, hidden.json()["code"]) == (403, "forbidden")
    both = await commitment.get("/funnel", params={"commitment": one.id, "public": False}, headers=one.facilitator)
    assert both.json()["steps"] == found["steps"]


async def test_what_is_asked_wrongly(commitment: httpx.AsyncClient) -> None:
    for query, code in (({"group": "no-such"}, "unknown_group"), ({"province": "98"}, "unknown_region")):
        answer = await commitment.get("/funnel", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    unknown = await commitment.get("/funnel", params={"commitment": "0b9d3f0e-4f0a-5d5e-9f6e-0e5f3f7b8a11"})
    assert unknown.status_code == 404


async def test_a_follow_up_names_a_commitment_that_its_region_takes_part_in(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, free_regions: Iterator[str]
) -> None:
    two, stranger = [next(free_regions), next(free_regions)], next(free_regions)
    one = await drafted(commitment, tokens, living_lab.directory / "pki", two[0], two)
    asked = {"title": "Arsitektur", "unit": "Bappeda", "due": "2030-01-01", "commitment": one.id}

    async def record(region: str, **more: Any) -> tuple[int, str]:
        who = tokens(region, "penanggung-jawab")
        answer = await commitment.post("/followups", json=asked | {"region": region} | more, headers=who | key())
        return answer.status_code, answer.json().get("code", "")

    assert await record(two[0]) == (422, "unknown_commitment"), "a draft"
    await one.open()
    assert await record(two[0]) == (201, "")
    assert await record(two[0], clause=2) == (422, "unknown_clause")
    assert await record(stranger) == (422, "not_a_party")
