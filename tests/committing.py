"""Those who draft, sign and follow a commitment over HTTP in a test, as portals do."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from lab.pki import passphrase
from tests.acting import Headers, SignIn, key

SEKDA = "Sekretaris Daerah"
PDF = b"%PDF-1.7\n% evidence, made for a test\n"


@dataclass(frozen=True, slots=True)
class Committing:
    """One commitment: its initiator, its parties, and how each of them acts."""

    client: httpx.AsyncClient
    tokens: SignIn
    pki: Path
    initiator: str
    id: str = ""

    @property
    def address(self) -> str:
        """Of the commitment."""
        return f"/commitments/{self.id}"

    def sekda(self, organization: str) -> Headers:
        """Whoever signs for an organization, as a token."""
        return self.tokens(organization, "koordinator-spbe", subject=f"sekda-{organization}")

    @property
    def manager(self) -> Headers:
        """Who drafts and manages it."""
        return self.sekda(self.initiator)

    @property
    def facilitator(self) -> Headers:
        """Kemendagri, as its facilitator."""
        return self.tokens("kemendagri", "pembina")

    async def get(self, who: Headers | None = None) -> dict[str, Any]:
        """The commitment."""
        answer = await self.client.get(self.address, headers=who or self.manager)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def act(self, what: str, json: object = None, who: Headers | None = None) -> httpx.Response:
        """A command on it as it is now; read again where a worker was faster, as a portal does."""
        who = who or self.manager
        while True:
            tag = (await self.client.get(self.address, headers=who)).headers["ETag"]
            headers = who | key() | {"If-Match": tag}
            answer = await self.client.post(f"{self.address}/{what}", json=json, headers=headers)
            if answer.status_code != 412:
                return answer

    async def name(self, organization: str, **asked: Any) -> str:
        """A party, with its secretary as signatory; its block."""
        named = await self.act("parties", {"organization": organization, **asked})
        assert named.status_code == 200, named.text
        block = next(p["block"] for p in named.json()["parties"] if p["organization"] == organization)
        who = self.manager if asked.get("on_paper") else self.sekda(organization)
        answer = await self.client.post(
            f"{self.address}/parties/{block}/signatory", json=signatory(organization), headers=who | key()
        )
        assert answer.status_code == 200, answer.text
        return block

    async def open(self) -> dict[str, Any]:
        """Set it, to be signed."""
        answer = await self.act("opening")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def sign(
        self, organization: str, *, text_sha256: str, idempotency: Headers | None = None, **asked: Any
    ) -> httpx.Response:
        """By its secretary, with the passphrase of the office."""
        body = {
            "provider": "local",
            "text_sha256": text_sha256,
            "passphrase": passphrase(self.pki, organization, SEKDA),
            **asked,
        }
        headers = self.sekda(organization) | (idempotency or key())
        return await self.client.post(f"{self.address}/signatures", json=body, headers=headers, timeout=60)

    async def follow_up(self, region: str, **header: str) -> None:
        """Something under its first clause is done and shown, and accepted by the facilitator.

        header: sent with each of these commands.
        """
        who, client = self.tokens(region, "penanggung-jawab"), self.client
        asked = {"region": region, "commitment": self.id, "clause": 1, "title": "Arsitektur", "unit": "Bappeda"}
        made = await client.post("/followups", json=asked | {"due": "2030-01-01"}, headers=who | key())
        assert made.status_code == 201, made.text
        address = f"/followups/{made.json()['followup']}"
        file = await client.post("/files", content=PDF, headers=who | key() | {"Content-Type": "application/pdf"})

        async def act(what: str, json: object, who: Headers) -> dict[str, Any]:
            tag = (await client.get(address, headers=who)).headers["ETag"]
            headers = who | key() | {"If-Match": tag} | header
            answer = await client.post(f"{address}/{what}", json=json, headers=headers)
            assert answer.status_code == 200, answer.text
            return answer.json()

        shown = {"title": "Foto", "file": file.json()["file"], "sha256": sha256(PDF).hexdigest()}
        after = await act("evidence", shown, who)
        await act("completion", {"done_on": "2024-02-01"}, who)
        evidence = after["evidence"][0]["evidence"]
        await act(f"evidence/{evidence}/judgement", {"judgement": "accepted"}, self.facilitator)


def signatory(organization: str) -> dict[str, Any]:
    """The secretary of a region: an office, nobody's name."""
    return {"name": f"{SEKDA} {organization}", "office": SEKDA, "authority_from": "2020-01-01"}


def text(**changed: Any) -> dict[str, Any]:
    """A text, made for tests."""
    return {
        "title": "Komitmen Bersama Uji",
        "place": "Bandung",
        "dated": "2023-07-12",
        "preamble": "Kami yang bertanda tangan di bawah ini:",
        "legal_basis": ["Peraturan Presiden Nomor 95 Tahun 2018;"],
        "clauses": [{"title": "Sasaran", "text": "Indeks sekurang-kurangnya 3,50."}],
        "period_from": "2023-07-12",
        "period_to": "2099-07-12",
        **changed,
    }


async def drafted(
    client: httpx.AsyncClient,
    tokens: SignIn,
    pki: Path,
    initiator: str,
    parties: Sequence[str],
    *,
    reserved: int = 0,
    **asked: Any,
) -> Committing:
    """A commitment of these parties, with their signatories, not opened."""
    begun = Committing(client, tokens, pki, initiator)
    body = {"text": text(), "initiator": initiator, "facilitator": "kemendagri", "reserved": reserved, **asked}
    made = await client.post("/commitments", json=body, headers=begun.manager | key())
    assert made.status_code == 201, made.text
    commitment = Committing(client, tokens, pki, initiator, made.json()["commitment"])
    for party in parties:
        await commitment.name(party)
    return commitment
