"""The bytes of papers, as increments: each signature begins with the bytes before it (ADR 15).

A revision is kept before the commitment's state points to it. One that no state came to point to is swept.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from bson import Binary
from pymongo import IndexModel

from chassis.clock import now
from chassis.service import Parts
from chassis.store import Document, ensure_indexes, insert_once
from services.commitment.domain.signing import Evidence

SWEPT_AFTER = timedelta(days=1)
SWEPT_AT_ONCE = 200


class Damaged(Exception):
    """What is kept does not give the file that the commitment says."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One file: what it adds to the one before."""

    sha256: str
    commitment: str
    paper: str
    previous: str | None
    offset: int
    attempt: str | None
    evidence: Evidence | None
    """Of a signature: what was found in it."""


class Revisions:
    """Increments by the SHA-256 of the whole file that they end."""

    def __init__(self, parts: Parts) -> None:
        self._revisions = parts.collection("revisions")
        self._commitments = parts.collection("commitments")

    async def prepare(self) -> None:
        """Indexes for a paper's increments, an attempt's, and the sweep."""
        await ensure_indexes(
            self._revisions,
            [
                IndexModel([("commitment", 1), ("paper", 1), ("offset", 1)], name="paper"),
                IndexModel("attempt", name="attempt", sparse=True),
                IndexModel([("seen", 1), ("at", 1)], name="sweep"),
            ],
        )

    async def keep(
        self,
        whole: bytes,
        *,
        commitment: str,
        paper: str,
        previous: bytes = b"",
        attempt: str | None = None,
        evidence: Evidence | None = None,
    ) -> str:
        """Keep what `whole`, which begins with `previous`, adds; its SHA-256. A repeat changes nothing."""
        digest = sha256(whole).hexdigest()
        document: Document = {
            "_id": digest,
            "commitment": commitment,
            "paper": paper,
            "previous": sha256(previous).hexdigest() if previous else None,
            "offset": len(previous),
            "bytes": Binary(whole[len(previous) :]),
            "attempt": attempt,
            "evidence": evidence and evidence.model_dump(mode="json"),
            "at": now(),
            "seen": False,
        }
        await insert_once(self._revisions, document)
        return digest

    async def file(self, commitment: str, paper: str, digest: str) -> bytes:
        """The whole file that a paper was at a revision. Raises Damaged."""
        found = await self._revisions.find({"commitment": commitment, "paper": paper}).to_list(None)
        by_digest = {one["_id"]: one for one in found}
        pieces: list[bytes] = []
        at: str | None = digest
        while at is not None and at in by_digest:
            pieces.append(by_digest[at]["bytes"])
            at = by_digest[at]["previous"]
        whole = b"".join(reversed(pieces))
        if at is not None or sha256(whole).hexdigest() != digest:
            raise Damaged(f"paper {paper} of {commitment} at {digest}")
        return whole

    async def find(self, digest: str) -> Revision | None:
        """Which file this is, if we have ever kept it."""
        found = await self._revisions.find_one({"_id": digest}, {"bytes": 0})
        return _revision(found) if found else None

    async def of_attempt(self, attempt: str, previous: str) -> Revision | None:
        """What an attempt to sign brought back on these bytes, where its process died before the state said so."""
        found = await self._revisions.find_one({"attempt": attempt, "previous": previous}, {"bytes": 0})
        return _revision(found) if found else None

    async def chain(self, commitment: str, paper: str, digest: str) -> list[Revision]:
        """The file's revisions up to one, the first first."""
        found = await self._revisions.find({"commitment": commitment, "paper": paper}, {"bytes": 0}).to_list(None)
        by_digest = {one["_id"]: _revision(one) for one in found}
        chain: list[Revision] = []
        at: str | None = digest
        while at is not None and at in by_digest:
            chain.append(by_digest[at])
            at = by_digest[at].previous
        return chain[::-1]

    async def sweep(self) -> int:
        """Remove what is older than SWEPT_AFTER and in no paper; how many were looked at."""
        where = {"seen": False, "at": {"$lt": now() - SWEPT_AFTER}}
        old = await self._revisions.find(where, {"bytes": 0}).sort("at", 1).limit(SWEPT_AT_ONCE).to_list(None)
        for one in old:
            owner = await self._commitments.find_one({"_id": one["commitment"]}, {"state.papers": 1})
            sheet = (owner or {}).get("state", {}).get("papers", {}).get(one["paper"])
            turn = (sheet or {}).get("turn")
            if turn and turn["attempt"] == one["attempt"]:
                continue
            heads = await self.chain(one["commitment"], one["paper"], sheet["sha256"]) if sheet else []
            if any(revision.sha256 == one["_id"] for revision in heads):
                await self._revisions.update_one({"_id": one["_id"]}, {"$set": {"seen": True}})
            else:
                await self._revisions.delete_one({"_id": one["_id"]})
        return len(old)


def _revision(found: Document) -> Revision:
    return Revision(
        sha256=found["_id"],
        commitment=found["commitment"],
        paper=found["paper"],
        previous=found["previous"],
        offset=found["offset"],
        attempt=found["attempt"],
        evidence=Evidence.model_validate(found["evidence"]) if found["evidence"] else None,
    )
