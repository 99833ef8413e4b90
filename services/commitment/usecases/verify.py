"""Verification, for anybody: of a commitment's papers as they are kept, and of a file that somebody has."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from chassis.problem import NotFound
from chassis.viewer import Viewer
from services.commitment.domain.commitment import Commitment
from services.commitment.domain.paper import Sheet
from services.commitment.domain.upload import check_content
from services.commitment.papers.verify import Examined, Verdict, examine
from services.commitment.pool import Overdone, Pool
from services.commitment.signers import Signers
from services.commitment.store.commitments import Commitments
from services.commitment.store.revisions import Revision, Revisions

KEPT_MAX = 64


class Kinship(StrEnum):
    """What a file is to us."""

    PRESENT = "present"
    """A paper of a commitment, as it is now."""
    EARLIER = "earlier"
    """As it was before others signed, or before it was sealed."""
    CHANGED = "changed"
    """One of ours, with something after it that is not."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verified:
    """A file, what it proves, and which commitment's paper it is."""

    sha256: str
    bytes: int
    kinship: Kinship
    examined: Examined
    commitment: Commitment | None
    paper: str | None


class Verdicts:
    """What was found in files that we keep, of late: by their SHA-256, so that a much-visited page costs nothing."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, Examined] = OrderedDict()
        self._asking: dict[str, asyncio.Lock] = {}

    async def prepare(self) -> None:
        """Nothing is kept."""

    async def of(self, digest: str, pdf: bytes, *, pool: Pool, signers: Signers) -> Examined:
        """Looked at once, however many ask. Raises Busy."""
        lock = self._asking.setdefault(digest, asyncio.Lock())
        try:
            async with lock:
                if digest not in self._found:
                    self._found[digest] = await _examine(pdf, pool, signers)
                    while len(self._found) > KEPT_MAX:
                        self._found.popitem(last=False)
                return self._found[digest]
        finally:
            self._asking.pop(digest, None)


@dataclass(frozen=True, slots=True)
class Verification:
    """What it takes."""

    commitments: Commitments
    revisions: Revisions
    verdicts: Verdicts
    signers: Signers
    pool: Pool


async def of_commitment(commitment_id: str, *, viewer: Viewer, by: Verification) -> list[Verified]:
    """Each electronic paper of the present edition. Raises NotFound, Busy."""
    commitment = (await by.commitments.get(commitment_id, viewer=viewer)).state
    if not commitment.public:
        raise NotFound
    sheets = [one for one in commitment.papers.values() if one.edition == commitment.edition and one.electronic]
    return [await _of_sheet(commitment, sheet, by) for sheet in sheets]


async def of_file(pdf: bytes, *, viewer: Viewer, by: Verification) -> Verified:
    """Of any file; never an error for what it holds. Raises NoContent, Busy."""
    check_content(pdf)
    digest = sha256(pdf).hexdigest()
    found = await by.revisions.find(digest)
    if found and (known := await _known(found, viewer=viewer, by=by)):
        commitment, sheet = known
        if sheet.sha256 == digest:
            return await _of_sheet(commitment, sheet, by)
        examined = await by.verdicts.of(digest, pdf, pool=by.pool, signers=by.signers)
        return Verified(digest, len(pdf), Kinship.EARLIER, examined, commitment, sheet.paper)
    examined = await _examine(pdf, by.pool, by.signers)
    for end in sorted({one.ends for one in examined.signatures}, reverse=True):
        # In a thread: each may be 20 MB, and there may be 200.
        found = await by.revisions.find((await asyncio.to_thread(sha256, pdf[:end])).hexdigest())
        if found and (known := await _known(found, viewer=viewer, by=by)):
            commitment, sheet = known
            return Verified(digest, len(pdf), Kinship.CHANGED, examined, commitment, sheet.paper)
    return Verified(digest, len(pdf), Kinship.UNKNOWN, examined, None, None)


async def _of_sheet(commitment: Commitment, sheet: Sheet, by: Verification) -> Verified:
    pdf = await by.revisions.file(commitment.commitment, sheet.paper, sheet.sha256)
    examined = await by.verdicts.of(sheet.sha256, pdf, pool=by.pool, signers=by.signers)
    return Verified(sheet.sha256, len(pdf), Kinship.PRESENT, examined, commitment, sheet.paper)


async def _known(found: Revision, *, viewer: Viewer, by: Verification) -> tuple[Commitment, Sheet] | None:
    """The paper that a revision is part of; None for one that no paper came to point to."""
    try:
        commitment = (await by.commitments.get(found.commitment, viewer=viewer)).state
    except NotFound:
        return None
    sheet = commitment.papers.get(found.paper)
    if not commitment.public or sheet is None:
        return None
    chain = await by.revisions.chain(found.commitment, found.paper, sheet.sha256)
    return (commitment, sheet) if any(one.sha256 == found.sha256 for one in chain) else None


async def _examine(pdf: bytes, pool: Pool, signers: Signers) -> Examined:
    try:
        return await pool.confined(examine, pdf, signers.roots)
    except Overdone:
        return Examined(Verdict.TOO_COMPLEX)
