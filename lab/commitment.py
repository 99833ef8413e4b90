"""The West Java commitment of 12 July 2023, acted over HTTP: visits, nine signatures, pledges, follow-ups, the answer.

Who signed, when and where is as reported (contracts/data/groups.json). The rest is made: the text, the visits, the
follow-ups and their evidence; the certificates are of the lab's own authority, carry offices only, and are not for law.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

from contracts.regions import Directory
from contracts.roles import Role
from lab.errors import LabError
from lab.pki import passphrase
from lab.region import Access, Refused, Visitor, fresh_key

GROUP, PROVINCE, HOST = "jabar-2023", "32", "32.11"
SIGNED_ON, UNTIL = "2023-07-12", "2028-07-12"
OFFICE = "Sekretaris Daerah"
TARGET = "3.50"
MADE = "Simulasi: dibuat untuk peragaan."
EVIDENCE = b"%PDF-1.7\n% simulasi: bukti yang dibuat untuk peragaan\n"
FOLLOWED_UP = {
    "32.05": "Menyusun arsitektur SPBE kabupaten",
    "32.09": "Membentuk tim koordinasi SPBE",
    "32.10": "Menerapkan manajemen keamanan informasi",
}
ADOPTER = "32.08"
STEPS = ("study_visit", "memorandum", "agreement", "handover", "training", "live", "reported")
WITHIN_S = 60.0
POLL_S = 0.1
TRIES_MAX = 60


@dataclass(frozen=True, slots=True)
class Signed:
    """The document as it was sealed, and what anybody finds who verifies it."""

    commitment: str
    file: Path
    verified: Mapping[str, Any]
    changed: Mapping[str, Any]
    """The verdict on a copy with something added."""
    pdfsig: Sequence[str] | None
    """What poppler's tool says, a line per signature; None where it is not installed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of it."""

    pledges: Mapping[str, str]
    """Region → what became of its pledge."""
    followups: Sequence[str]
    funnel: Mapping[str, Any]
    visitors: Mapping[str, Any]
    """The same of all who came to the host."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Those who act on commitments in this lab."""

    access: Access
    pki: Path

    async def secretary(self, region: str) -> Visitor:
        """Of a region, freshly signed in."""
        return await self.access.sign_in(region, Role.COORDINATOR)

    def url(self, path: str) -> str:
        """Of the commitment service."""
        return self.access.url("commitment", path)

    async def make(self, who: Visitor, path: str, **body: Any) -> Any:
        """Something new; as it was answered. Raises Refused."""
        return (await who.send("POST", self.url(path), json=body, headers=fresh_key())).json()

    async def act(self, who: Visitor, path: str, what: str, body: object = None) -> Any:
        """A command on what is there now. Raises Refused."""
        seen = await who.send("GET", self.url(path))
        headers = {**fresh_key(), "If-Match": seen.headers["etag"]}
        return (await who.send("POST", self.url(f"{path}/{what}"), json=body, headers=headers)).json()


async def sign(acting: Acting, folder: Path) -> Signed:
    """Eight study visits; drafted by the province, signed by nine at once, sealed, verified. Raises LabError."""
    members = sorted(Directory.load().group(GROUP))
    for region in members:
        if region != HOST:
            visitor = await acting.secretary(region)
            visit = {"organization": region, "host": HOST, "visited_on": "2022-10-05", "subject": f"SPBE. {MADE}"}
            await acting.make(visitor, "visits", **visit)
    province = await acting.secretary(PROVINCE)
    commitment = await _opened(acting, province, members)
    address = f"commitments/{commitment['commitment']}"
    async with asyncio.TaskGroup() as signing:
        for region in members:
            signing.create_task(_sign(acting, region, address, commitment["text_sha256"]))
    await _until(acting, address, lambda now: all(paper["sealed"] for paper in now["papers"]), "sealed")
    anybody = Visitor(acting.access.http)
    pdf: bytes = (await anybody.send("GET", acting.url(f"{address}/document"))).content
    file = await asyncio.to_thread(_written, folder / "komitmen-jawa-barat.pdf", pdf)
    verified = (await anybody.send("GET", acting.url(f"verifications/{commitment['commitment']}"))).json()
    changed = await anybody.send(
        "POST",
        acting.url("verifications"),
        content=pdf + b"\n% diubah\n",
        headers={"Content-Type": "application/pdf"},
    )
    for region in members:
        await _pledge(acting, region, commitment["commitment"])
    return Signed(commitment["commitment"], file, verified["documents"][0], changed.json(), await _pdfsig(file))


async def follow_up(acting: Acting, commitment: str) -> Answered:
    """Actions with evidence, one of them an adoption from Sumedang; then what became of it all. Raises LabError."""
    ministry = await acting.access.sign_in("kemendagri", Role.SUPERVISOR)
    titles: list[str] = []
    for region, title in FOLLOWED_UP.items():
        one = await _begin(acting, region, commitment, title=title)
        await _shown(acting, one, ministry)
        await acting.act(one.who, one.path, "completion", {"done_on": "2024-06-28"})
        titles.append(f"{region} {title}")
    adoption = {"kind": "adoption", "source": HOST, "programme": "e-Office", "version": "2.1"}
    one = await _begin(acting, ADOPTER, commitment, title="Memasang e-Office", adoption=adoption)
    for month, step in enumerate(STEPS, start=1):
        taken: dict[str, Any] = {"step": step, "on": f"2024-{month:02}-15"}
        if step in ("memorandum", "agreement"):
            taken["agreement"] = {"number": f"SIMULASI/{month:02}/2024", "signed_on": taken["on"]}
        await acting.act(one.who, one.path, "steps", taken)
    await _shown(acting, one, ministry)
    titles.append(f"{ADOPTER} adopsi e-Office dari {HOST}")
    anybody = Visitor(acting.access.http)
    deadline = monotonic() + WITHIN_S
    while True:
        page = (await anybody.send("GET", acting.url("pledges"), params={"commitment": commitment})).json()
        pledges = {one["region"]: one["status"] for one in page["items"]}
        funnel = await _funnel(acting, anybody, commitment=commitment)
        steps = {step["stage"]: step["count"] for step in funnel["steps"]}
        if "fulfilled" in pledges.values() and steps["acted"] == len(titles) and steps["reached_target"]:
            return Answered(pledges, titles, funnel, await _funnel(acting, anybody, host=HOST))
        if monotonic() > deadline:
            raise LabError(f"the answer is not there after {WITHIN_S:.0f} s: {steps}, pledges {pledges}")
        await asyncio.sleep(POLL_S)


async def _opened(acting: Acting, province: Visitor, members: Sequence[str]) -> Any:
    found = (await province.send("GET", acting.url("commitment-templates"))).json()["items"]
    template = next(one for one in found if one["template"] == "komitmen-bersama")
    text = {name: template[name] for name in ("title", "preamble", "legal_basis", "clauses")}
    text |= {"place": "Bandung (rapat daring)", "dated": SIGNED_ON, "period_from": SIGNED_ON, "period_to": UNTIL}
    target = {"instrument": "spbe-2020", "index": {"value": "3.5", "shown": TARGET}, "predicate": None}
    drafted = await acting.make(
        province,
        "commitments",
        text=text,
        initiator=PROVINCE,
        facilitator="kemendagri",
        reserved=0,
        target=target,
        target_by=UNTIL,
    )
    address = f"commitments/{drafted['commitment']}"
    for region in members:
        role = "inisiator" if region == PROVINCE else "pihak"
        named = await acting.act(province, address, "parties", {"organization": region, "role": role})
        block = named["parties"][-1]["block"]
        signatory = {"name": OFFICE, "office": OFFICE, "authority_from": "2020-01-01"}
        await acting.make(await acting.secretary(region), f"{address}/parties/{block}/signatory", **signatory)
    return await acting.act(province, address, "opening")


async def _sign(acting: Acting, region: str, address: str, text_sha256: str) -> None:
    """As a portal does: whoever is told that another signs comes again, with the same key."""
    secretary = await acting.secretary(region)
    body = {"provider": "local", "text_sha256": text_sha256, "passphrase": passphrase(acting.pki, region, OFFICE)}
    headers = fresh_key()
    for _ in range(TRIES_MAX):
        try:
            await secretary.send("POST", acting.url(f"{address}/signatures"), json=body, headers=headers)
        except Refused as refused:
            if "turn_taken" not in str(refused):
                raise
            await asyncio.sleep(1)
        else:
            return
    raise LabError(f"{region} never came to sign")


async def _pledge(acting: Acting, region: str, commitment: str) -> None:
    pledge = {"region": region, "commitment": commitment, "clause": 1, "instrument": "spbe-2020", "index": TARGET}
    secretary = await acting.secretary(region)
    await acting.make(secretary, "pledges", **pledge, pledged_on=SIGNED_ON, due=UNTIL)


@dataclass(frozen=True, slots=True)
class _FollowUp:
    path: str
    who: Visitor


async def _begin(acting: Acting, region: str, commitment: str, **asked: Any) -> _FollowUp:
    who = await acting.access.sign_in(region, Role.RESPONSIBLE)
    unit = "Dinas Komunikasi dan Informatika"
    plan = {"unit": unit, "funds": "apbd", "due": "2027-12-31"}
    made = await acting.make(who, "followups", region=region, commitment=commitment, clause=5, **plan, **asked)
    return _FollowUp(f"followups/{made['followup']}", who)


async def _shown(acting: Acting, one: _FollowUp, ministry: Visitor) -> None:
    """Its evidence, handed in by the region and accepted by Kemendagri."""
    headers = {**fresh_key(), "Content-Type": "application/pdf"}
    file = (await one.who.send("POST", acting.url("files"), content=EVIDENCE, headers=headers)).json()
    evidence = {"title": MADE, "file": file["file"], "sha256": sha256(EVIDENCE).hexdigest()}
    shown = await acting.act(one.who, one.path, "evidence", evidence)
    seen = await ministry.send("GET", acting.url(one.path))
    judgement = acting.url(f"{one.path}/evidence/{shown['evidence'][0]['evidence']}/judgement")
    named = {**fresh_key(), "If-Match": seen.headers["etag"]}
    await ministry.send("POST", judgement, json={"judgement": "accepted"}, headers=named)


async def _funnel(acting: Acting, anybody: Visitor, **asked: str) -> Any:
    return (await anybody.send("GET", acting.url("funnel"), params=asked)).json()


async def _until(acting: Acting, path: str, is_so: Callable[[Any], bool], what: str) -> None:
    deadline = monotonic() + WITHIN_S
    anybody = Visitor(acting.access.http)
    while not is_so((await anybody.send("GET", acting.url(path))).json()):
        if monotonic() > deadline:
            raise LabError(f"{path} is not {what} after {WITHIN_S:.0f} s")
        await asyncio.sleep(POLL_S)


def _written(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


async def _pdfsig(file: Path) -> Sequence[str] | None:
    if (tool := shutil.which("pdfsig")) is None:
        return None
    # -nocert: no certificate store of this machine knows the lab's authority.
    # stderr: it says of the document time stamp that it cannot check that kind.
    out, ignored = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    running = await asyncio.create_subprocess_exec(tool, "-nocert", str(file), stdout=out, stderr=ignored)
    said, _ = await running.communicate()
    return [line.strip() for line in said.decode().splitlines() if "Signature Validation" in line or "Total" in line]
