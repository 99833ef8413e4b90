"""A region is renumbered and another is split: made, for the committed list has none. What they did follows them.

The list is changed as docs/operations.md says: who is no more keeps a row, with its last day.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.regions import DATA
from lab.keys import commitment_settings
from tests.acting import Headers, Region, Tokens, eventually, key
from tests.committing import Committing, drafted
from tests.faults.ground import Ground, a_ground, running

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

NAMES = ("assessment", "scoring", "commitment")
LAST, FIRST = "2024-06-30", "2024-07-01"
OLD, NEW = "32.11", "32.91"
SPLIT, PARTS = "32.08", ("32.92", "32.93")
OTHER = "32.73"


@dataclass
class Lab:
    """Three services over a list of regions, and who speaks to them."""

    ground: Ground
    regions: Path
    keys: dict[str, str]
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict[str, httpx.AsyncClient])

    @property
    def tokens(self) -> Tokens:
        return self.ground.tokens

    def officer(self, code: str) -> Headers:
        """Whoever answers for a region, in every role that this takes."""
        return self.tokens(code, "penanggung-jawab", "koordinator-spbe")

    def region(self, code: str, cycle: str) -> Region:
        return Region(code, cycle, self.officer(code), self.clients["assessment"], self.clients["scoring"])

    async def get(self, service: str, path: str, code: str, **params: str) -> Any:
        """What an officer of this region reads."""
        answer = await self.clients[service].get(path, headers=self.officer(code), params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncGenerator[Ground]:
    async with a_ground(tmp_path / "ground") as fresh:
        yield fresh


class Running(AsyncExitStack):
    """The services of a lab, started with the list as it is."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab = lab

    async def __aenter__(self) -> "Running":
        await super().__aenter__()
        own = {"commitment": self.lab.keys}
        told = {"REGIONS_FILE": str(self.lab.regions)}
        parts = {name: self.lab.ground.service(name, **told, **own.get(name, {})) for name in NAMES}
        await self.enter_async_context(running(*parts.values()))
        for name, part in parts.items():
            client = httpx.AsyncClient(base_url=f"{part.address}/{name}/v1", timeout=20, trust_env=False)
            self.lab.clients[name] = await self.enter_async_context(client)
        return self


def changed(rows: Sequence[str]) -> list[str]:
    """One region goes on under another code; one ends, and two come of it."""
    after: list[str] = []
    for row in rows:
        code = row.partition(",")[0]
        if code not in (OLD, SPLIT):
            after.append(row)
            continue
        name, *rest = row.split(",")[1:-3]
        after.append(",".join([code, name, *rest, "", LAST, ""]))
        for became in (NEW,) if code == OLD else PARTS:
            after.append(",".join([became, name, *rest, FIRST, "", code]))
    return after


async def test_what_they_did_follows_them(ground: Ground, tmp_path: Path) -> None:
    committed = (DATA / "regions.csv").read_text(encoding="utf-8").splitlines()
    lab = Lab(ground, tmp_path / "regions.csv", commitment_settings(tmp_path / "keys", pki=None))
    lab.regions.write_text("\n".join(committed), encoding="utf-8")
    async with Running(lab):
        for code, level in ((OLD, 3), (SPLIT, 2)):
            region = lab.region(code, "spbe-2023")
            await region.open()
            await region.fill(level)
            assert (await region.submit()).status_code == 200
            await region.score()
        one = await drafted(lab.clients["commitment"], lab.tokens, tmp_path, OTHER, [OTHER, OLD])
        await one.open()
        await one.follow_up(OLD)
        pledge = await pledged(lab, one)
    lab.regions.write_text("\n".join(changed(committed)), encoding="utf-8")
    async with Running(lab):
        await it_is_the_same_region(lab, Committing(lab.clients["commitment"], lab.tokens, tmp_path, OTHER, one.id))
        await its_pledge_is_kept(lab, pledge)
        await it_is_counted_once(lab)
        await the_parts_see_what_was_and_change_nothing(lab)


async def pledged(lab: Lab, one: Committing) -> str:
    """By the region under its old code: an index of 3.50."""
    asked = {"region": OLD, "instrument": "spbe-2020", "index": "3.50", "pledged_on": "2024-01-01", "due": "2099-01-01"}
    under = {"commitment": one.id, "clause": 1}
    headers = lab.tokens(OLD, "kepala-daerah") | key()
    made = await lab.clients["commitment"].post("/pledges", json=asked | under, headers=headers)
    assert made.status_code == 201, made.text
    return made.json()["pledge"]


async def it_is_the_same_region(lab: Lab, one: Committing) -> None:
    portrait = await lab.get("scoring", f"/regions/{NEW}", NEW)
    assert [cycle["cycle"] for cycle in portrait["cycles"]] == ["spbe-2023"]
    assert (await lab.get("assessment", f"/assessments/spbe-2023:{OLD}", NEW))["region"] == OLD
    compared = await lab.get("scoring", "/comparison", NEW, cycle="spbe-2023", region=NEW)
    assert [row["region"] for row in compared["regions"]] == [NEW]
    await one.follow_up(NEW)
    followups = (await lab.get("commitment", "/followups", NEW, region=NEW))["items"]
    assert {followup["region"] for followup in followups} == {OLD, NEW}
    timeline = await lab.get("commitment", f"/regions/{NEW}/timeline", NEW)
    assert len([entry for entry in timeline["items"] if entry["about"] in {f["followup"] for f in followups}]) >= 2


async def its_pledge_is_kept(lab: Lab, pledge: str) -> None:
    """A score under the new code counts for it, and its officers may withdraw it."""
    refused = await Region(OLD, "spbe-2024", lab.officer(NEW), lab.clients["assessment"], lab.clients["scoring"]).open()
    assert (refused.status_code, refused.json()["code"]) == (422, "not_self_governing"), "it would count twice"
    begun = await lab.region(NEW, "spbe-2023").open()
    assert (begun.status_code, begun.json()["assessment"]) == (409, f"spbe-2023:{OLD}"), "it has one in this cycle"
    region = lab.region(NEW, "spbe-2024")
    await region.open()
    await region.fill(4)
    assert (await region.submit()).status_code == 200

    async def counted() -> httpx.Response:
        answer = await lab.clients["commitment"].get(f"/pledges/{pledge}", headers=lab.officer(NEW))
        told = answer.json()["declared"]
        return answer if told and told["index"]["shown"] == "4.00" else httpx.Response(404)

    seen = await eventually(counted)
    headers = lab.tokens(NEW, "kepala-daerah") | key() | {"If-Match": seen.headers["ETag"]}
    ended = await lab.clients["commitment"].post(f"/pledges/{pledge}/withdrawal", headers=headers)
    assert (ended.status_code, ended.json()["region"]) == (200, OLD), ended.text


async def it_is_counted_once(lab: Lab) -> None:
    paths = (await lab.get("commitment", "/funnel/organizations", NEW))["items"]
    assert [path["organization"] for path in paths if path["organization"] in (OLD, NEW)] == [NEW]
    headers = lab.tokens("kemenpanrb", "peninjau")
    for cycle, count, expected in (("spbe-2023", 2, 415), ("spbe-2024", 1, 416)):  # of one that was split, two came

        async def counted(cycle: str = cycle, told: tuple[int, int] = (count, expected - count)) -> httpx.Response:
            answer = await lab.clients["scoring"].get(f"/summaries/{cycle}", headers=headers, params={"basis": "self"})
            regencies = answer.json()["kinds"]["regency"]
            return (
                answer if (regencies["count"], regencies["missing"]) == told else httpx.Response(404, text=answer.text)
            )

        await eventually(counted)
    for cycle, absent in (("spbe-2023", {NEW, OLD, *PARTS}), ("spbe-2024", {NEW, OLD, SPLIT})):
        params = {"kind": "regency", "province": "32", "limit": "100"}
        answer = await lab.clients["scoring"].get(f"/summaries/{cycle}/missing", headers=headers, params=params)
        assert answer.status_code == 200, answer.text
        assert {one["region"] for one in answer.json()["items"]} & absent == set()


async def the_parts_see_what_was_and_change_nothing(lab: Lab) -> None:
    address = f"/assessments/spbe-2023:{SPLIT}"
    for part in PARTS:
        assert (await lab.get("assessment", address, part))["region"] == SPLIT
        assert [c["cycle"] for c in (await lab.get("scoring", f"/regions/{SPLIT}", part))["cycles"]] == ["spbe-2023"]
        tag = (
            await lab.clients["assessment"].get(f"/assessments/spbe-2023:{SPLIT}/progress", headers=lab.officer(part))
        ).headers
        headers = lab.officer(part) | key() | {"If-Match": tag["ETag"]}
        reopened = await lab.clients["assessment"].post(f"/assessments/spbe-2023:{SPLIT}/reopening", headers=headers)
        assert reopened.status_code == 403, reopened.text
    gone = lab.tokens(SPLIT, "kepala-daerah") | key()
    asked = {
        "region": SPLIT,
        "instrument": "spbe-2020",
        "index": "3.50",
        "pledged_on": "2024-01-01",
        "due": "2099-01-01",
    }
    assert (await lab.clients["commitment"].post("/pledges", json=asked, headers=gone)).status_code == 403
    stranger = lab.officer(OTHER)
    assert (await lab.clients["assessment"].get(address, headers=stranger)).status_code == 404
