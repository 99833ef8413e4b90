"""Official results and what everybody may read, over HTTP and Kafka on the real parts. The results here are made."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from chassis.producer import client_options
from chassis.settings import Settings
from contracts import topics
from lab import publication, system
from lab.region import Access
from tests.acting import DEADLINE_S, Headers, Region, Tokens, key
from tests.conftest import LIMITS

pytestmark = pytest.mark.real

CYCLE, OTHER_CYCLE = "spbe-2021", "spbe-2019"
DECREE = {"cycle": CYCLE, "decree": "Keputusan Menteri PANRB Nomor 1503 Tahun 2021", "decree_date": "2021-12-30"}
HEADING = "code,name,kind,domain_1,index,predicate"
ROWS = [
    "73.02,Kabupaten Bulukumba,kabupaten,2.00,2.61,Baik",
    "73.03,Kabupaten Bantaeng,kabupaten,3.00,3.40,Baik",
    "73.04,Kabupaten Jeneponto,kabupaten,1.00,1.79,Kurang",
    "73.71,Kota Makassar,kota,4.00,4.20,Memuaskan",
    "nasional,Indeks SPBE Nasional,,,2.24,",
]


@pytest.fixture(scope="module")
def ministry(tokens: Tokens) -> Headers:
    return tokens("kemenpanrb", "peninjau")


async def send(
    scoring: httpx.AsyncClient, headers: Headers, *rows: str, content: bytes | None = None, **asked: Any
) -> httpx.Response:
    table = content if content is not None else "\n".join([HEADING, *rows]).encode()
    sent = {"Content-Type": "text/csv"} | key() | headers
    return await scoring.post("/official/imports", params=DECREE | asked, content=table, headers=sent)


async def carried(scoring: httpx.AsyncClient, headers: Headers, accepted: httpx.Response) -> None:
    """Until every region has its result."""
    address = accepted.headers["Location"].removeprefix("/scoring/v1")
    async with asyncio.timeout(DEADLINE_S):
        while (await scoring.get(address, headers=headers)).json()["status"] != "carried":
            await asyncio.sleep(0.05)


async def summary(scoring: httpx.AsyncClient, *, until: int, **asked: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with asyncio.timeout(DEADLINE_S):
        while found.get("all", {}).get("count") != until:
            found = (await scoring.get(f"/summaries/{CYCLE}", params=asked)).json()
            await asyncio.sleep(0.05)
    return found


@pytest.fixture(scope="module")
async def imported(scoring: httpx.AsyncClient, ministry: Headers) -> httpx.Response:
    accepted = await send(scoring, ministry, *ROWS)
    assert accepted.status_code == 202, accepted.text
    await carried(scoring, ministry, accepted)
    return accepted


async def test_a_dry_run_judges_and_writes_nothing(scoring: httpx.AsyncClient, ministry: Headers) -> None:
    tried = await send(scoring, ministry, "11.05,,,,2.00,Kurang", dry_run=True)
    told = tried.json()
    assert (tried.status_code, told["id"], told["rows"], told["new"]) == (200, None, 1, 1)
    assert [(w["line"], w["column"], w["code"]) for w in told["warnings"]] == [(2, 6, "predicate_differs")]
    assert (await scoring.get("/scores", params={"region": "11.05"})).json()["items"] == []


async def test_results_are_public_at_once_with_decree_and_as_published(
    imported: httpx.Response, scoring: httpx.AsyncClient
) -> None:
    found = (await scoring.get(f"/scores/{CYCLE}:73.04:official")).json()
    official = found["scores"]["official"]
    assert (official["index"]["shown"], official["predicate"], official["predicate_stated"]) == ("1.79", "Kurang", True)
    assert (official["decree"], official["decree_date"]) == (DECREE["decree"], DECREE["decree_date"])
    page = (await scoring.get("/standings", params={"cycle": CYCLE, "kind": "regency", "basis": "official"})).json()
    assert [(row["rank"], row["region"], row["index"]["shown"], row["decree"]) for row in page["items"]] == [
        (1, "73.03", "3.40", DECREE["decree"]),
        (2, "73.02", "2.61", DECREE["decree"]),
        (3, "73.04", "1.79", DECREE["decree"]),
    ]


async def test_a_summary_counts_what_is_there_and_lists_what_is_missing(
    imported: httpx.Response, scoring: httpx.AsyncClient
) -> None:
    nation = await summary(scoring, until=4, basis="official")
    assert nation["published_averages"] == [
        {"kind": None, "index": "2.24", "decree": DECREE["decree"], "decree_date": DECREE["decree_date"]}
    ]
    assert (nation["all"]["mean"]["value"], nation["all"]["missing"]) == ("3", 542)
    regencies = nation["kinds"]["regency"]
    assert (regencies["mean"]["shown"], regencies["median"]["shown"], regencies["missing"]) == ("2.60", "2.61", 412)
    city = await summary(scoring, until=4, basis="official", province="73")
    assert (city["kinds"]["city"]["count"], city["kinds"]["city"]["missing"]) == (1, 2)
    asked = {"kind": "city", "basis": "official", "province": "73"}
    listed = (await scoring.get(f"/summaries/{CYCLE}/missing", params=asked)).json()
    assert ([one["region"] for one in listed["items"]], listed["next"]) == (["73.72", "73.73"], None)


async def test_pages_of_missing_regions_walk_all_of_them(imported: httpx.Response, scoring: httpx.AsyncClient) -> None:
    asked: dict[str, Any] = {"kind": "regency", "basis": "official", "limit": 150}
    codes: list[str] = []
    while True:
        page = (await scoring.get(f"/summaries/{CYCLE}/missing", params=asked)).json()
        codes += [one["region"] for one in page["items"]]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert (len(codes), len(set(codes)), "73.02" in codes) == (412, 412, False)


async def test_a_repeat_changes_nothing_and_a_correction_is_a_new_revision(
    imported: httpx.Response, scoring: httpx.AsyncClient, ministry: Headers
) -> None:
    again = await send(scoring, ministry, *ROWS)
    assert (again.status_code, again.json()["unchanged"], again.json()["new"]) == (202, 4, 0)
    await carried(scoring, ministry, again)
    name = f"{CYCLE}:73.02:official"
    assert (await scoring.get(f"/scores/{name}")).json()["revision"] == 1
    corrected = await send(scoring, ministry, "73.02,,,,2.60,Baik", decree="Keputusan ralat (simulasi)")
    assert corrected.json()["changed"] == 1
    await carried(scoring, ministry, corrected)
    async with asyncio.timeout(DEADLINE_S):
        while len(history := (await scoring.get(f"/scores/{name}/history")).json()["items"]) < 2:
            await asyncio.sleep(0.05)
    told = [
        (h["revision"], h["scores"]["official"]["index"]["shown"], h["scores"]["official"]["decree"]) for h in history
    ]
    assert told == [(2, "2.60", "Keputusan ralat (simulasi)"), (1, "2.61", DECREE["decree"])]
    await carried(scoring, ministry, await send(scoring, ministry, ROWS[0]))  # back to what was decreed


async def test_an_import_is_accepted_once_per_key(scoring: httpx.AsyncClient, ministry: Headers) -> None:
    same = ministry | key()
    first = await send(scoring, same, "73.05,,,,2.00,Cukup", cycle=OTHER_CYCLE)
    repeat = await send(scoring, same, "73.05,,,,2.00,Cukup", cycle=OTHER_CYCLE)
    assert (first.status_code, repeat.status_code, repeat.json()) == (202, 202, first.json())
    assert repeat.headers["Idempotent-Replayed"] == "true"
    other = await send(scoring, same, "73.05,,,,2.10,Cukup", cycle=OTHER_CYCLE)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("content", "asked", "place"),
    [
        (b"code;index\r\n73.06;2\x92\r\n", {}, (2, 2, "not_utf8")),
        (b"code,index\n73.06,2.5\n", {"decree_date": "2099-01-01"}, (None, None, "in_the_future")),
        (b"code,index\n73.06,2.5\n73.07,7\n", {}, (3, 2, "not_a_figure")),
        (b"code,index\n" + b"73.06,2.5\n" * 4_000_000, {}, (3, 1, "repeated")),
    ],
    ids=["windows-1252", "decree in the future", "one bad row", "40 MB"],
)
async def test_a_fault_keeps_everything_from_being_written(
    content: bytes, asked: dict[str, str], place: Any, scoring: httpx.AsyncClient, ministry: Headers
) -> None:
    refused = await send(scoring, ministry, content=content, **asked)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, "import_refused"), refused.text[:300]
    first = problem["errors"][0]
    assert (first.get("line"), first.get("column"), first["code"]) == place
    assert (await scoring.get("/scores", params={"region": "73.06"})).json()["items"] == []


async def test_records_of_the_national_api_are_taken_too(
    scoring: httpx.AsyncClient, ministry: Headers, tokens: Tokens
) -> None:
    nilai = {"D2001": 2.1234567891, "indeks": 2.6612345679}
    record = {"kode": "73.08", "tahun": 2019, "nama_instansi": "Kabupaten Bone", "kategori": "Kabupaten",
              "daerah": "Sulawesi Selatan", "nilai": nilai}  # fmt: skip
    asked = DECREE | {"cycle": OTHER_CYCLE}
    accepted = await scoring.post("/official/imports", params=asked, json=[record], headers=ministry | key())
    assert accepted.status_code == 202, accepted.text
    await carried(scoring, ministry, accepted)
    official = (await scoring.get(f"/scores/{OTHER_CYCLE}:73.08:official")).json()["scores"]["official"]
    assert (official["index"]["value"], official["domains"]["1"]["value"]) == ("2.6612345679", "2.1234567891")
    assert (official["predicate"], official["predicate_stated"]) == ("Baik", False)
    operator = await scoring.post(
        "/official/imports", params=asked, json=[{}], headers=tokens("32.11", "operator") | key()
    )
    assert (operator.status_code, operator.json()["code"]) == (403, "forbidden"), "before anything is made of it"
    many = await scoring.post("/official/imports", params=asked, json=[{}] * 2_001, headers=ministry | key())
    assert (many.status_code, len(many.json()["errors"])) == (422, 1), "it is not read beyond its limit"
    bad = await scoring.post("/official/imports", params=asked, json=[{"kode": 1}], headers=ministry | key())
    assert (bad.status_code, bad.json()["code"]) == (422, "invalid_request")


@pytest.fixture
async def outsider(settings: Settings) -> AsyncGenerator[AIOKafkaConsumer]:
    """Somebody who reads livinglab.public from its beginning."""
    consumer = AIOKafkaConsumer(topics.PUBLIC.name, **client_options(settings), auto_offset_reset="earliest")
    await consumer.start()
    yield consumer
    await consumer.stop()


async def told_of(outsider: AIOKafkaConsumer, score: str, *, wait_s: float) -> list[dict[str, Any]]:
    """The public facts about a score, read until there is one or the time is over."""
    found: list[dict[str, Any]] = []
    end = asyncio.get_running_loop().time() + wait_s
    while not found and asyncio.get_running_loop().time() < end:
        for records in (await outsider.getmany(timeout_ms=200)).values():
            bodies = [json.loads(record.value or b"{}") for record in records]
            found += [body for body in bodies if body.get("score") == score]
    return found


async def test_official_results_are_told_on_the_public_topic(
    imported: httpx.Response, outsider: AIOKafkaConsumer
) -> None:
    (told, *_) = await told_of(outsider, f"{CYCLE}:73.03:official", wait_s=DEADLINE_S)
    assert (told["official"]["index"]["shown"], told["scores"], told["status"]) == ("3.40", {}, "published")


async def rows_of(scoring: httpx.AsyncClient, cycle: str) -> list[dict[str, str]]:
    answer = await scoring.get(f"/exports/{cycle}.csv")
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_exports_hold_the_same_as_csv_and_json_lines_with_every_column_described(
    imported: httpx.Response, scoring: httpx.AsyncClient
) -> None:
    rows = await rows_of(scoring, CYCLE)
    lines = [json.loads(line) for line in (await scoring.get(f"/exports/{CYCLE}.jsonl")).text.splitlines()]
    described = await scoring.get(f"/exports/{CYCLE}.csv-metadata.json")
    schema = described.json()["tableSchema"]
    assert [column["name"] for column in schema["columns"]] == list(rows[0])
    assert all({said["@language"] for said in column["dc:description"]} == {"id", "en"} for column in schema["columns"])
    assert described.json()["dc:license"]["@id"].startswith("https://creativecommons.org/")
    assert [{k: str(v) for k, v in line.items() if v} for line in lines] == [
        {k: v for k, v in row.items() if v} for row in rows
    ]
    (average,) = [row for row in rows if row["region"] == "nasional"]
    assert (average["index"], average["decree"], average["basis"]) == ("2.24", DECREE["decree"], "official")
    (bantaeng,) = [row for row in rows if row["region"] == "73.03"]
    assert (bantaeng["basis"], bantaeng["index"], bantaeng["domain_1"], bantaeng["decree"]) == (
        "official", "3.4", "3", DECREE["decree"],
    )  # fmt: skip


async def test_portrait_and_comparison_and_leaders_of_what_was_published(
    imported: httpx.Response,
    living_lab: system.System,
    tokens: Tokens,
    assessment: httpx.AsyncClient,
    scoring: httpx.AsyncClient,
) -> None:
    """Bantaeng assesses itself, is published, and disagrees with its decree; nothing is seen before."""
    code = "73.03"
    region = Region(code, CYCLE, tokens(code, "penanggung-jawab", "koordinator-spbe"), assessment, scoring)
    await region.open()
    await region.fill(3)
    assert (await region.submit()).status_code == 200
    await region.score()

    async def public() -> dict[str, Any]:
        asked = {"cycle": CYCLE, "region": [code, "73.71"]}
        leaders = {"kind": "regency", "indicator": 1, "at_least": 3}
        addresses: dict[str, dict[str, Any]] = {
            f"/regions/{code}": {},
            "/comparison": asked,
            "/standings": {"cycle": CYCLE, "kind": "regency"},
            f"/summaries/{CYCLE}": {},
            f"/summaries/{CYCLE}?province=73": {},
            f"/leaders/{CYCLE}": leaders,
            f"/exports/{CYCLE}.jsonl": {},
        }
        return {
            address: await scoring.get(address, params=params) if params else await scoring.get(address)
            for address, params in addresses.items()
        }

    supervised = (await scoring.get(f"/regions/{code}", headers=region.headers)).json()
    assert supervised["cycles"][0]["scores"].keys() == {"self", "official"}
    before = await public()
    assert before[f"/regions/{code}"].json()["cycles"][0]["scores"].keys() == {"official"}
    assert before["/comparison"].json()["regions"] == []
    assert before[f"/summaries/{CYCLE}"].json()["all"]["count"] == 0
    assert '"self"' not in before[f"/exports/{CYCLE}.jsonl"].text

    # The same again later: nothing that is not public moves an answer, nor its ETag.
    await region.reopen()
    await region.fill({1: 4})
    await region.submit()
    await region.score(revision=3)
    again = await public()
    for address, answer in before.items():
        assert (answer.content, answer.headers.get("etag")) == (
            again[address].content,
            again[address].headers.get("etag"),
        )

    async with httpx.AsyncClient(trust_env=False, limits=LIMITS) as http:
        access = Access(http, living_lab.environment["OIDC_ISSUER"], living_lab.services)
        await publication.walk(access, region.id, region=code, found={1: 4})
    summarised = await summary(scoring, until=1)
    assert (summarised["audience"], summarised["kinds"]["regency"]["mean"]["shown"]) == ("public", "3.01")
    after = await public()
    portrait = after[f"/regions/{code}"].json()["cycles"][0]
    told = portrait["disagreement"]
    assert (told["own"]["shown"], told["official"]["shown"], told["difference"]) == ("3.01", "3.40", "+0.39")
    assert (portrait["levels"]["self"]["1"], portrait["break_before"]) == ("4", False)
    compared = after["/comparison"].json()
    assert ([one["region"] for one in compared["regions"]], compared["missing"]) == ([code], ["73.71"])
    against = compared["regions"][0]["against_first"]
    assert (against["index"], set(against["levels"].values()), len(against["levels"])) == ("0.00", {"0.00"}, 47)
    (indicator,) = after[f"/leaders/{CYCLE}"].json()["items"]
    assert (indicator["count"], indicator["of"], [one["region"] for one in indicator["leaders"]]) == (1, 1, [code])
    assert {"self", "official"} <= {row["basis"] for row in await rows_of(scoring, CYCLE) if row["region"] == code}


async def test_a_comparison_takes_twelve_regions_once_each(scoring: httpx.AsyncClient) -> None:
    thirteen = [f"32.{number:02}" for number in range(1, 14)]
    for regions, code in (
        (thirteen, "invalid_request"),
        (["32.11"] * 2, "compared_twice"),
        (["99.99"], "unknown_region"),
    ):
        refused = await scoring.get("/comparison", params={"cycle": CYCLE, "region": regions})
        assert (refused.status_code, refused.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    "address",
    [f"/standings?cycle={CYCLE}&kind=city&basis=official", "/regions/73.71", f"/summaries/{CYCLE}?basis=official",
     f"/comparison?cycle={CYCLE}&region=73.71&basis=official", f"/leaders/{CYCLE}?kind=city",
     f"/summaries/{CYCLE}/missing?kind=city&basis=official"],
)  # fmt: skip
async def test_an_unchanged_read_is_not_sent_again(
    imported: httpx.Response, scoring: httpx.AsyncClient, address: str
) -> None:
    await summary(scoring, until=4, basis="official")
    first = await scoring.get(address)
    again = await scoring.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
