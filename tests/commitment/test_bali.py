"""64 parties and two witnesses, as in Bali on 21 November 2022: 62 sign at once, two later; one of them by hand.

The list is made: which 62 regions signed in Bali is not known. The authority, and all signatures, are the lab's.
"""

import asyncio
import io
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyhanko.pdf_utils.generic import StreamObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from contracts.regions import Directory
from lab import system
from tests.acting import Headers, Tokens, key
from tests.committing import SEKDA, Committing, drafted, signatory
from tests.ops import tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(480)]

AT_ONCE, LATER, WITNESSES = 62, 2, ("bssn", "bappenas")
SCAN = b"%PDF-1.7\n% a scan, made for a test\n"
SEALED_WITHIN_S = 120.0
PDF = {"Content-Type": "application/pdf"}


@pytest.fixture(scope="module")
def regions() -> list[str]:
    """64 of Sumatra's regencies and cities."""
    found = sorted(r.code for r in Directory.load() if r.self_governing and r.kind != "province")
    return found[: AT_ONCE + LATER]


@pytest.fixture(scope="module")
def pdfsig() -> Callable[[bytes, Path], str]:
    tool = tools.debian_tool("pdfsig", "poppler-utils")

    def look(pdf: bytes, folder: Path) -> str:
        file = folder / "look.pdf"
        file.write_bytes(pdf)
        # -nocert: no store of this machine knows the lab's authority. Its exit status says nothing of the signatures.
        return tools.run([tool, "-nocert", file]).stdout

    return look


def with_a_box_over_the_first_page(pdf: bytes) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    red = StreamObject(stream_data=b"q 1 0 0 1 60 400 cm 1 0 0 rg 0 0 200 60 re f Q")
    writer.add_stream_to_page(0, writer.add_object(red))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


async def signs(one: Committing, region: str, sha: str) -> dict[str, Any]:
    """As a portal does: whoever is told that others sign comes again, with the same key."""
    same = key()
    while True:
        answer = await one.sign(region, text_sha256=sha, idempotency=same)
        if answer.status_code == 200:
            return answer.json()["signature"]
        assert (answer.status_code, answer.json()["code"]) == (409, "turn_taken"), answer.text
        await asyncio.sleep(float(answer.headers["Retry-After"]))


async def by_hand(one: Committing, block: str) -> None:
    who: Headers = one.manager
    file = await one.client.post("/files", content=SCAN, headers=who | key() | PDF)
    body = {
        "block": block,
        "signed_on": "2022-11-21",
        "place": "Bali",
        "witnessed_by": SEKDA,
        "file": file.json()["file"],
        "sha256": sha256(SCAN).hexdigest(),
    }
    answer = await one.client.post(f"{one.address}/signatures-by-hand", json=body, headers=who | key())
    assert answer.status_code == 200, answer.text


async def test_sixty_four_sign_and_every_later_change_is_caught(
    commitment: httpx.AsyncClient,
    tokens: Tokens,
    living_lab: system.System,
    regions: list[str],
    pdfsig: Callable[[bytes, Path], str],
    tmp_path: Path,
) -> None:
    first, later = regions[:AT_ONCE], regions[AT_ONCE:]
    one = await drafted(
        commitment,
        tokens,
        living_lab.directory / "pki",
        first[0],
        first[:-1],
        reserved=LATER,
        opening={"kinds": ["regency", "city"]},
    )
    hand = await one.name(first[-1], on_paper=True)
    witnesses = [await one.name(organization, role="saksi", on_paper=True) for organization in WITNESSES]
    sha = (await one.open())["text_sha256"]

    await asyncio.gather(*(signs(one, region, sha) for region in first[:-1]))
    for block in (hand, *witnesses):
        await by_hand(one, block)
    for region in later:
        joined = await commitment.post(f"{one.address}/accession", headers=one.sekda(region) | key())
        block = next(p["block"] for p in joined.json()["parties"] if p["organization"] == region)
        named = await commitment.post(
            f"{one.address}/parties/{block}/signatory", json=signatory(region), headers=one.sekda(region) | key()
        )
        assert named.status_code == 200, named.text
        await signs(one, region, sha)

    async with asyncio.timeout(SEALED_WITHIN_S):
        while not (found := await one.get())["papers"][0]["sealed"]:
            await asyncio.sleep(0.5)
    assert (found["status"], len(found["parties"]), len(found["signatures"])) == ("in_force", 66, 66)
    assert sum(s["provider"] == "local" for s in found["signatures"]) == 63
    verified = (await commitment.get(f"/verifications/{one.id}", timeout=90)).json()
    (paper,) = verified["documents"]
    assert (paper["verdict"], paper["covers_whole_file"], len(paper["signatures"])) == ("valid", True, 63)
    assert {s["region"] for s in paper["signatures"]} == set(regions) - {first[-1]}
    assert len(verified["by_hand"]) == 3

    pdf = (await commitment.get(f"{one.address}/document")).content
    said = pdfsig(pdf, tmp_path)
    assert said.count("Signature Validation: Signature is Valid.") == 63
    assert "Total document signed" in said
    assert pdf.count(sha.encode("utf-16-be")) + pdf.count(sha.encode()) >= 63, "each signature names the text"

    changed = with_a_box_over_the_first_page(pdf)
    said = pdfsig(changed, tmp_path)
    assert said.count("Signature Validation: Signature is Valid.") == 63, "pdfsig alone calls each of them valid"
    answer = (await commitment.post("/verifications", content=changed, headers=PDF, timeout=90)).json()
    assert (answer["verdict"], answer["kinship"], answer["valid"]) == ("changed_after_signing", "changed", False)
    assert answer["commitment"] == one.id
