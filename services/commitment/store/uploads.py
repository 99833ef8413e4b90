"""Files that were handed in: in GridFS first, then pointed to; what nothing points to is swept."""

from datetime import timedelta

from chassis.clock import now
from chassis.service import Parts
from chassis.store import Document, Files

USABLE_FOR = timedelta(hours=12)
SWEPT_AFTER = timedelta(hours=24)
"""Half a day after the last moment at which it could have been pointed to."""


class Uploads:
    """Files by id, each of an organization."""

    def __init__(self, parts: Parts) -> None:
        self._files = Files(parts.database, "uploads")
        self._followups = parts.collection("followups")
        self._commitments = parts.collection("commitments")

    async def prepare(self) -> None:
        """GridFS makes its own indexes."""

    async def put(self, file_id: str, content: bytes, *, organization: str, media_type: str, sha256: str) -> None:
        """Keep it. A repeat changes nothing."""
        metadata: Document = {"organization": organization, "media_type": media_type, "sha256": sha256}
        await self._files.put(file_id, content, metadata)

    async def usable(self, file_id: str, *, organization: str) -> Document | None:
        """What somebody of this organization uploaded lately: media_type, sha256, bytes; or None."""
        found = await self._files.find(file_id)
        if found is None or found["organization"] != organization or found["at"] < now() - USABLE_FOR:
            return None
        return found

    async def read(self, file_id: str) -> bytes | None:
        """Its content. Whoever asks has shown that they may see what points to it."""
        return await self._files.read(file_id)

    async def sweep(self) -> int:
        """Remove what nothing points to; how many that were."""
        old = await self._files.put_before(now() - SWEPT_AFTER)
        kept: set[str] = set()
        for owners in (self._followups, self._commitments):
            async for owner in owners.find({"files": {"$in": old}}, {"files": 1}):
                kept.update(owner["files"])
        orphans = [file_id for file_id in old if file_id not in kept]
        for file_id in orphans:
            await self._files.delete(file_id)
        return len(orphans)
