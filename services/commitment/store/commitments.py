"""Commitments; drafts are seen by those who have to do with them, what was opened by everybody."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pymongo import IndexModel

from chassis.outbox import Done, Note, Request
from chassis.records import outgoing
from chassis.service import Parts
from chassis.store import Document
from chassis.viewer import Viewer
from contracts.commitment import CommitmentStatus
from contracts.fact import Visibility
from services.commitment.domain.commitment import Acted, Commitment
from services.commitment.domain.paper import Signed
from services.commitment.domain.rights import belongs_to
from services.commitment.store.aggregates import Aggregates, Decided, Kept

PUBLIC_FLAG = "public"
AUDIT = "audit"
ROOM = {
    "version": 1,
    "state.status": 1,
    "state.edition": 1,
    "organizations": 1,
    **{f"state.{name}": 1 for name in ("parties", "papers", "signatures")},
}


class Commitments:
    """Joint commitments with their parties, papers and signatures."""

    def __init__(self, parts: Parts) -> None:
        self._directory = parts.directory
        self._commitments = Aggregates(parts, "commitments", Commitment, beside=_beside)
        self._audit = parts.collection(AUDIT)

    async def prepare(self) -> None:
        """Indexes for the public list, an organization's own, and files that are pointed to."""
        await self._commitments.prepare(
            IndexModel([(PUBLIC_FLAG, 1), ("_id", 1)], name="public"),
            IndexModel([("organizations", 1), ("_id", 1)], name="organizations"),
            IndexModel("files", name="files"),
        )

    async def create(self, acted: Acted, *, request: Request) -> Done:
        """Raises AlreadyThere, KeyReused."""
        return await self._commitments.create(acted.state.commitment, decided(acted), request=request)

    async def change(
        self,
        commitment_id: str,
        decide: Callable[[Kept[Commitment]], Acted],
        *,
        viewer: Viewer,
        request: Request | None = None,
    ) -> Done:
        """Raises NotFound, also for what the viewer may not see, KeyReused, and what `decide` does."""
        return await self._commitments.change(
            _visible(commitment_id, viewer), lambda kept: decided(decide(kept)), request=request
        )

    async def settle(self, commitment_id: str, decide: Callable[[Kept[Commitment]], Acted]) -> None:
        """What follows from time, or from what came back: `decide` raises AsItWas where nothing does."""

        async def load() -> Document:
            return await self._commitments.whole({"_id": commitment_id})

        await self._commitments.settle(load, lambda read: decided(decide(self._commitments.read(read))))

    async def claim_due(self) -> tuple[Kept[Commitment], datetime] | None:
        """The one that is due since longest, and the time by the database's clock; or None."""
        if (claimed := await self._commitments.claim_due()) is None:
            return None
        commitment_id, at = claimed
        return await self._commitments.get({"_id": commitment_id}), at

    def read(self, document: Document) -> Kept[Commitment]:
        """Of a write, by whoever saw it before."""
        return self._commitments.read(document)

    async def get(self, commitment_id: str, *, viewer: Viewer) -> Kept[Commitment]:
        """Raises NotFound."""
        return await self._commitments.get(_visible(commitment_id, viewer))

    async def room(self, commitment_id: str, *, viewer: Viewer) -> Document:
        """What a signing room shows of it, and no more: one read, polled by all who are in it. Raises NotFound."""
        return await self._commitments.part(_visible(commitment_id, viewer), ROOM)

    async def page(
        self,
        *,
        organization: str | None,
        status: CommitmentStatus | None,
        viewer: Viewer,
        after: str | None,
        limit: int,
    ) -> list[Kept[Commitment]]:
        """By id, those after `after`, as far as this viewer sees them."""
        asked: Document = {"status": status and status.value}
        if organization:
            asked["organizations"] = {"$in": sorted(self._directory.lineage(organization))}
        where = {"$and": [_seen_by(viewer), {name: value for name, value in asked.items() if value}]}
        return await self._commitments.page(where, after=after, limit=limit)

    async def entries(self, commitment_id: str) -> list[Document]:
        """Its audit trail, the first first: what was filed, and what still waits to be. Raises NotFound."""
        whole = await self._commitments.whole({"_id": commitment_id})
        filed = await self._audit.find({"commitment": commitment_id}).sort("_id", 1).to_list(None)
        pending = [entry["document"] for entry in whole["outbox"] if entry.get("collection") == AUDIT]
        return sorted({entry["_id"]: entry for entry in [*pending, *filed]}.values(), key=lambda entry: entry["_id"])


def decided(acted: Acted) -> Decided[Commitment]:
    """Acts as they are written: the state, its entries, and facts that are told of."""
    state = acted.state
    first = state.revision - len(acted.events) + 1
    facts = [
        outgoing(
            event,
            told,
            key=state.commitment,
            revision=first + number,
            time=state.changed_at,
            visibility=Visibility.PUBLIC,
            region=told.region,
        )
        for number, (event, told) in enumerate(acted.events)
    ]
    notes = [Note(AUDIT, entry) for entry in acted.entries]
    return Decided(state, facts=facts, notes=notes, due_at=state.due_at)


def _visible(commitment_id: str, viewer: Viewer) -> Document:
    return {"$and": [{"_id": commitment_id}, _seen_by(viewer)]}


def _seen_by(viewer: Viewer) -> Document:
    clauses: list[dict[str, Any]] = [{PUBLIC_FLAG: True}]
    if viewer.organization and belongs_to(viewer, viewer.organization):
        clauses.append({"organizations": viewer.organization})
    return {"$or": clauses}


def _signed(commitment: Commitment, one: Signed) -> Document:
    sheet = commitment.papers[one.told.paper]
    on = one.told.signed_on if sheet.accession else commitment.texts[sheet.edition].dated
    return {"organization": one.told.organization, "on": on.isoformat()}


def _beside(commitment: Commitment) -> Document:
    return {
        PUBLIC_FLAG: commitment.public,
        "organizations": sorted(commitment.organizations),
        "status": commitment.status.value,
        # Of what was signed in 2023 and entered later, 2023 counts: the paper's day, not the time stamp's.
        "joined": [party.organization for party in commitment.parties.values()],
        "signed": [_signed(commitment, one) for one in commitment.signatures.values()],
        "target": commitment.target and commitment.target.model_dump(mode="json"),
        "files": [signed.scan for signed in commitment.signatures.values() if signed.scan],
    }
