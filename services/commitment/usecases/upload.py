"""Files are handed in before anything points to them."""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID, uuid5

from chassis.problem import Forbidden
from chassis.viewer import Viewer
from services.commitment.domain.rights import belongs_to
from services.commitment.domain.upload import OtherContent, UnknownFile, check_kind
from services.commitment.store.revisions import Revisions
from services.commitment.store.uploads import Uploads

SWEEP_EVERY_S = 3_600.0
_FILES = UUID("0f9b1a3c-94be-5c4c-8b70-3f6dd8a3f0d5")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that may be pointed to."""

    file: str
    media_type: str
    sha256: str
    bytes: int


async def upload(content: bytes, media_type: str, *, viewer: Viewer, key: str, uploads: Uploads) -> Uploaded:
    """Keep a file for the caller's organization; a repeat is the same file. Raises Forbidden, NotThatFile."""
    if viewer.organization is None or not belongs_to(viewer, viewer.organization):
        raise Forbidden
    check_kind(content, media_type)
    digest = sha256(content).hexdigest()
    file_id = str(uuid5(_FILES, f"{viewer.actor}\n{key}\n{digest}"))
    await uploads.put(file_id, content, organization=viewer.organization, media_type=media_type, sha256=digest)
    return Uploaded(file_id, media_type, digest, len(content))


async def find(file_id: str, digest: str, *, organization: str, uploads: Uploads) -> Uploaded:
    """A file that this organization handed in lately. Raises UnknownFile, OtherContent."""
    found = await uploads.usable(file_id, organization=organization)
    if found is None:
        raise UnknownFile(field="file")
    if found["sha256"] != digest.lower():
        raise OtherContent(field="sha256")
    return Uploaded(file_id, found["media_type"], found["sha256"], found["bytes"])


async def sweep(uploads: Uploads) -> None:
    """For ever: remove what nothing points to."""
    while True:
        if not await uploads.sweep():
            await asyncio.sleep(SWEEP_EVERY_S)


async def sweep_revisions(revisions: Revisions) -> None:
    """For ever: the same, of papers."""
    while True:
        if not await revisions.sweep():
            await asyncio.sleep(SWEEP_EVERY_S)
