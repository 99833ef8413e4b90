"""What each organization may be told of: set by administrators, read at every delivery."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from chassis.clock import now
from chassis.outbox import AlreadyThere, Change, Note, Outbox
from chassis.problem import Forbidden, NotFound
from chassis.service import Parts
from chassis.store import Document
from chassis.viewer import Viewer
from services.notify.domain.right import PUBLIC, Kind, Right
from services.notify.store.subscriptions import is_administrator


class Rights:
    """One per organization; where there is none, only what is public."""

    def __init__(self, parts: Parts) -> None:
        self._outbox: Outbox = parts.outbox("rights")

    async def prepare(self) -> None:
        """Read by `_id` alone."""

    async def set(self, organization: str, right: Right, *, viewer: Viewer) -> datetime:
        """From this moment on, for what is on its way too. When it was set. Raises Forbidden."""
        if not is_administrator(viewer):
            raise Forbidden
        at = now()
        fields: Document = {**asdict(right), "kind": right.kind.value, "at": at, "by": viewer.actor}

        def change(before: Document | None) -> Change:
            version = before["version"] + 1 if before else 1
            kept = {**fields, "_id": f"right/{organization}/{version}", "organization": organization, "what": "right"}
            return Change(set=fields, notes=[Note("history", kept)])

        try:
            await self._outbox.create(organization, change(None))
        except AlreadyThere:
            await self._outbox.change(lambda: self._find(organization), change)
        return at

    async def get(self, organization: str, *, viewer: Viewer) -> tuple[Right, datetime | None]:
        """And when it was set. Raises NotFound for everybody but administrators and the organization itself."""
        if not is_administrator(viewer) and viewer.organization != organization:
            raise NotFound
        found = await self._outbox.aggregates.find_one({"_id": organization})
        return (_read(found), found["at"]) if found else (PUBLIC, None)

    async def many(self, organizations: Iterable[str]) -> Mapping[str, Right]:
        """For workers: each organization's, PUBLIC where there is none."""
        wanted = set(organizations)
        found = await self._outbox.aggregates.find({"_id": {"$in": sorted(wanted)}}).to_list(None)
        known = {document["_id"]: _read(document) for document in found}
        return {organization: known.get(organization, PUBLIC) for organization in wanted}

    async def _find(self, organization: str) -> Document:
        found = await self._outbox.aggregates.find_one({"_id": organization})
        if found is None:
            raise NotFound
        return found


def _read(document: Document) -> Right:
    return Right(Kind(document["kind"]), roots=tuple(document["roots"]), actor=document["actor"])
