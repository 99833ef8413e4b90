"""The audit trail: what was done with a commitment, and what proves that nothing of it was rewritten."""

from datetime import datetime
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from chassis.auth import CurrentViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import routes
from chassis.problems import problems
from services.commitment.api.parameters import CheckpointStore, CommitmentStore, IdIn
from services.commitment.domain.trail import Act
from services.commitment.usecases import audit as usecases

router = routes("commitment")


class EntryOut(BaseModel):
    """An act; `hash` is of all the rest, `prev` that of the entry before."""

    v: int
    commitment: str
    seq: int
    at: datetime
    act: Act
    by: str
    """An opaque id; empty for what time brought."""
    organization: str | None
    about: dict[str, Any]
    prev: str
    hash: str


class TrailOut(BaseModel):
    """All acts, the first first."""

    items: list[EntryOut]


class CheckpointOut(BaseModel):
    """Keep it as it is: `livinglab audit verify --checkpoint` takes this very answer."""

    number: int
    at: datetime
    previous: str
    heads: list[list[str | int]]
    """[commitment, entries, hash] of each trail that grew since the checkpoint before."""
    root: str
    signature: str


class KeyOut(BaseModel):
    """Ed25519, raw, in base64."""

    public_key: str
    since: datetime


class KeysOut(BaseModel):
    """The present one last; earlier ones for the checkpoints that they signed."""

    items: list[KeyOut]


@router.get("/commitments/{commitment_id}/trail", responses=problems(401, 403, 404, 422, 429, 503) | NOT_MODIFIED)
async def audit_trail(
    commitment_id: IdIn, viewer: CurrentViewer, commitments: CommitmentStore, request: Request
) -> TrailOut:
    """What was done with it, by whom and when: for those who take part."""
    found = await usecases.entries(commitment_id, viewer=viewer, commitments=commitments)
    return told(TrailOut(items=[EntryOut.model_validate(entry) for entry in found]), request)


@router.get("/audit/checkpoint", responses=problems(404, 429, 503) | NOT_MODIFIED)
async def audit_checkpoint(checkpoints: CheckpointStore, request: Request) -> CheckpointOut:
    """The newest signed checkpoint. Keep it: it can tell you later whether a trail was rewritten."""
    found = await usecases.latest(checkpoints)
    return told(found.model_dump(mode="json"), request)


@router.get("/audit/keys", responses=problems(429, 503) | NOT_MODIFIED)
async def audit_keys(checkpoints: CheckpointStore, request: Request) -> KeysOut:
    """What checkpoints are verified with."""
    keys = [KeyOut(public_key=key, since=since) for key, since in await checkpoints.keys()]
    return told(KeysOut(items=keys), request)
