"""The audit trail from outside: entries for those who take part, checkpoints for everybody."""

import asyncio
from base64 import b64decode, b64encode
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chassis.clock import now
from chassis.problem import Forbidden, NotFound
from chassis.store import Document
from chassis.viewer import Viewer
from services.commitment.domain.checkpoint import Checkpoint, checkpoint, heads_of
from services.commitment.settings import CommitmentSettings
from services.commitment.store.checkpoints import Checkpoints
from services.commitment.store.commitments import Commitments

IDLE_S = 1.0
KEY_BYTES = 32


def signing_key(settings: CommitmentSettings) -> Ed25519PrivateKey | None:
    """None where none is set. Raises ValueError that says what is wrong with it."""
    if settings.audit_signing_key is None:
        return None
    try:
        content = b64decode(settings.audit_signing_key.get_secret_value(), validate=True)
        return Ed25519PrivateKey.from_private_bytes(content)
    except ValueError:
        raise ValueError(f"AUDIT_SIGNING_KEY must be {KEY_BYTES} bytes in base64: `openssl rand -base64 32`") from None


async def entries(commitment_id: str, *, viewer: Viewer, commitments: Commitments) -> list[Document]:
    """For those who have to do with it. Raises NotFound, Forbidden."""
    found = await commitments.get(commitment_id, viewer=viewer)
    if not found.state.involves(viewer):
        raise Forbidden
    return await commitments.entries(commitment_id)


async def latest(checkpoints: Checkpoints) -> Checkpoint:
    """Whoever keeps it can tell later whether a trail was rewritten. Raises NotFound."""
    if (found := await checkpoints.last()) is None:
        raise NotFound
    return found


async def keep_checkpoints(checkpoints: Checkpoints, settings: CommitmentSettings) -> None:
    """For ever: one each `audit_every_s`, where something was done since. Several workers share it by a lease."""
    key = signing_key(settings)
    if key:
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        await checkpoints.note_key(b64encode(public).decode())
    while key:
        if await checkpoints.claim_due():
            await _next(checkpoints, key)
            await checkpoints.due_again(timedelta(seconds=settings.audit_every_s))
        else:
            await asyncio.sleep(IDLE_S)
    await asyncio.Event().wait()


async def _next(checkpoints: Checkpoints, key: Ed25519PrivateKey) -> None:
    made, heads = await checkpoints.all(), await checkpoints.heads()
    before = heads_of(made)
    if heads != before:
        last = made[-1] if made else None
        await checkpoints.keep(checkpoint(last, before=before, now=heads, at=now(), sign=key.sign))
