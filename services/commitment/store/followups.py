"""Follow-ups; those under a commitment are public, but for what is behind their evidence."""

from collections.abc import Callable
from datetime import datetime

from pymongo import IndexModel

from chassis.outbox import Done, Note, Request
from chassis.service import Parts
from chassis.store import Document
from chassis.viewer import Viewer, filter_of
from contracts.commitment import FollowUpStatus
from services.commitment.domain.followup import FollowUp
from services.commitment.domain.rights import belongs_to, supervises
from services.commitment.store.aggregates import Aggregates, Decided, Kept

PUBLIC_FLAG = "public"


class FollowUps:
    """Actions of regions."""

    def __init__(self, parts: Parts) -> None:
        self._directory = parts.directory
        self._followups = Aggregates(parts, "followups", FollowUp, beside=_beside)
        self._history = parts.collection("followup_history")

    async def prepare(self) -> None:
        """Indexes for the lists of a region, a commitment, and a programme's source."""
        await self._followups.prepare(
            IndexModel([("region", 1), ("_id", 1)], name="region"),
            IndexModel([("province", 1), ("_id", 1)], name="province"),
            IndexModel([("commitment", 1), ("_id", 1)], name="commitment"),
            IndexModel([("source", 1), ("_id", 1)], name="source"),
            IndexModel([(PUBLIC_FLAG, 1), ("_id", 1)], name="public"),
            IndexModel("files", name="files"),
        )

    async def create(self, decided: Decided[FollowUp], *, request: Request) -> Done:
        """Raises AlreadyThere, KeyReused."""
        return await self._followups.create(decided.state.followup, decided, request=request)

    async def change(
        self,
        followup_id: str,
        decide: Callable[[Kept[FollowUp]], Decided[FollowUp]],
        *,
        viewer: Viewer,
        request: Request,
    ) -> Done:
        """Raises NotFound, also for what the viewer may not see, KeyReused, and what `decide` does."""
        return await self._followups.change(_visible(followup_id, viewer), decide, request=request)

    async def fall_due(self, followup_id: str, decide: Callable[[FollowUp], Decided[FollowUp]]) -> None:
        """What its day brings."""

        async def load() -> Document:
            return await self._followups.whole({"_id": followup_id})

        await self._followups.settle(load, lambda document: decide(self._followups.read(document).state))

    async def claim_due(self) -> tuple[str, datetime] | None:
        """The one that is due since longest, and the time by the database's clock; or None."""
        return await self._followups.claim_due()

    def read(self, document: Document, *, viewer: Viewer) -> Kept[FollowUp]:
        """Of a write, as this viewer may see it."""
        return _seen(self._followups.read(document), viewer)

    async def get(self, followup_id: str, *, viewer: Viewer, watching: bool = False) -> Kept[FollowUp]:
        """As this viewer may see it; `watching`: they judge what is shown under its commitment. Raises NotFound."""
        found = await self._followups.get(_visible(followup_id, viewer))
        return found if watching else _seen(found, viewer)

    async def page(
        self,
        *,
        region: str | None,
        commitment: str | None,
        source: str | None,
        status: FollowUpStatus | None,
        viewer: Viewer,
        after: str | None,
        limit: int,
    ) -> list[Kept[FollowUp]]:
        """By id, those after `after`, as this viewer may see them."""
        asked: Document = {"commitment": commitment, "source": source, "status": status and status.value}
        if region:
            asked["region"] = {"$in": sorted(self._directory.lineage(region))}
        where = {"$and": [filter_of(viewer.scores, public=PUBLIC_FLAG), {k: v for k, v in asked.items() if v}]}
        return [_seen(one, viewer) for one in await self._followups.page(where, after=after, limit=limit)]

    async def history(self, followup_id: str, *, viewer: Viewer) -> list[Document]:
        """What was done with it, the first first. Raises NotFound."""
        await self._followups.get(_visible(followup_id, viewer))
        found = self._history.find({"followup": followup_id}, {"_id": 0, "by": 0}).sort("revision", 1)
        return await found.to_list(None)


def noted(after: FollowUp, *, what: str, by: str, at: datetime) -> Note:
    """For its history: who did what when, and what it came to."""
    entry = {
        "_id": f"{after.followup}/{after.revision}",
        "followup": after.followup,
        "revision": after.revision,
        "what": what,
        "status": after.status.value,
        "by": by,
        "at": at,
    }
    return Note("followup_history", entry)


def _visible(followup_id: str, viewer: Viewer) -> Document:
    return {"$and": [{"_id": followup_id}, filter_of(viewer.scores, public=PUBLIC_FLAG)]}


def _seen(kept: Kept[FollowUp], viewer: Viewer) -> Kept[FollowUp]:
    followup = kept.state
    if belongs_to(viewer, followup.region) or supervises(viewer, followup.province):
        return kept
    hidden = {"title": "", "file": None, "url": None, "note": None, "sha256": None}
    evidence = tuple(one.model_copy(update=hidden) for one in followup.evidence)
    return Kept(kept.id, kept.version, followup.model_copy(update={"evidence": evidence, "reason": None}))


def _beside(followup: FollowUp) -> Document:
    return {
        "region": followup.region,
        "province": followup.province,
        "commitment": followup.commitment,
        "source": followup.adoption and followup.adoption.source,
        "status": followup.status.value,
        "acted": followup.acted,
        "files": [one.file for one in followup.evidence if one.file],
        PUBLIC_FLAG: followup.commitment is not None,
    }
