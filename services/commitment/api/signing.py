"""Signing: with a provider, by hand, and what became of it where nobody answered; the room where it happens."""

from typing import Annotated, Self

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field, SecretStr, model_validator

from chassis import outbox
from chassis.auth import CurrentViewer, fresh_login
from chassis.conditional import NOT_MODIFIED, IdempotencyKey, told
from chassis.openapi import routes
from chassis.problems import problems
from contracts.commitment import CommitmentStatus, Id, Provider, Signature
from services.commitment.api.command import GIVEN, Creation, tell
from services.commitment.api.commitment_models import CommitmentOut, shown
from services.commitment.api.evidence import Sha256
from services.commitment.api.parameters import (
    Block,
    CommitmentStore,
    Day,
    IdIn,
    In,
    PresenceStore,
    SigningDesk,
    UploadStore,
)
from services.commitment.domain.paper import TurnState
from services.commitment.providers.port import Secret
from services.commitment.usecases import room as rooms
from services.commitment.usecases import settle as settlements
from services.commitment.usecases import sign as usecases

router = routes("commitment")
LOGIN_MAX_AGE_S = 900
"""A signature asks for a log-in of the last quarter of an hour."""


class SignIn(In):
    """What a signer says. What only they know lives for this request alone, and is kept nowhere."""

    provider: Annotated[Provider, Field(examples=["local"])]
    text_sha256: Sha256
    """Of the text that you read: `text_sha256` of the commitment."""
    passphrase: Annotated[SecretStr, Field(max_length=200)] | None = None
    totp: Annotated[SecretStr, Field(max_length=20)] | None = None
    """A one-time code, instead of the passphrase (BSrE)."""
    nik: Annotated[SecretStr, Field(max_length=16)] | None = None
    """Of the signatory (BSrE); or `email`."""
    email: Annotated[SecretStr, Field(max_length=320)] | None = None

    def secret(self) -> Secret:
        """For the provider."""
        kept = {name: getattr(self, name) for name in ("passphrase", "totp", "nik", "email")}
        return Secret(**{name: value.get_secret_value() for name, value in kept.items() if value})


class SignedOut(BaseModel):
    """`pending`: the provider takes its time; GET the commitment, its `signatures` will hold yours."""

    pending: bool
    signature: Signature | None


class ByHandIn(In):
    """A signature on paper."""

    block: Block
    signed_on: Day
    place: Annotated[str, Field(min_length=2, max_length=120)]
    witnessed_by: Annotated[str, Field(min_length=2, max_length=160)]
    """Who saw it: an office, or a name."""
    file: Id
    """The scan, handed in before."""
    sha256: Sha256


class SettlementIn(In):
    """What became of it: the signed document, or none was made."""

    block: Block
    """Whose it is: `turns` of the room."""
    reason: Annotated[str, Field(min_length=3, max_length=300)]
    file: Id | None = None
    """The signed document, handed in before; without it: nothing was signed."""
    sha256: Sha256 | None = None
    """With `file`, and only with it."""

    @model_validator(mode="after")
    def check_both(self) -> Self:
        """Half of it would say that nothing was signed. Raises ValueError."""
        if (self.file is None) != (self.sha256 is None):
            raise ValueError("give `file` and `sha256`, or neither where nothing was signed")
        return self


class PlaceOut(BaseModel):
    """Of an organization in the room."""

    block: str
    organization: str
    here: bool
    signed: bool


class OnTurnOut(BaseModel):
    """Who signs a paper right now."""

    paper: str
    block: str
    state: TurnState


class RoomOut(BaseModel):
    """As it is at this moment; poll it every 2 s with `If-None-Match`."""

    status: CommitmentStatus
    places: list[PlaceOut]
    guests: list[str]
    turns: list[OnTurnOut]


async def _signing(viewer: CurrentViewer, key: IdempotencyKey, request: Request) -> outbox.Request:
    # Not of the body: a hash of a short secret is as good as the secret.
    return outbox.Request.of(actor=viewer.actor, key=key, asked=[request.method, request.url.path])


@router.post(
    "/commitments/{commitment_id}/signatures",
    dependencies=[fresh_login(LOGIN_MAX_AGE_S)],
    responses=GIVEN | {202: {"model": SignedOut, "description": "The provider takes longer."}},
)
async def sign_commitment(
    commitment_id: IdIn,
    asked: SignIn,
    viewer: CurrentViewer,
    request: Annotated[outbox.Request, Depends(_signing)],
    desk: SigningDesk,
    response: Response,
) -> SignedOut:
    """Sign for your organization, as its named signatory, with a log-in of the last quarter of an hour."""
    wanted = usecases.Asked(asked.provider, asked.text_sha256, asked.secret())
    signature = await usecases.sign(commitment_id, wanted, viewer=viewer, request=request, desk=desk)
    if signature is None:
        response.status_code = 202
    return SignedOut(pending=signature is None, signature=signature)


@router.post("/commitments/{commitment_id}/signatures-by-hand", responses=GIVEN)
async def record_signature_by_hand(
    commitment_id: IdIn,
    asked: ByHandIn,
    viewer: CurrentViewer,
    request: Creation,
    desk: SigningDesk,
    uploads: UploadStore,
    response: Response,
) -> CommitmentOut:
    """Record what was signed on paper, by its scan; its initiator or facilitator does."""
    done = await settlements.record_by_hand(
        commitment_id,
        asked.block,
        signed_on=asked.signed_on,
        place=asked.place,
        witnessed_by=asked.witnessed_by,
        file=(asked.file, asked.sha256),
        viewer=viewer,
        request=request,
        desk=desk,
        uploads=uploads,
    )
    return shown(desk.commitments.read(tell(done, response)), viewer, desk.directory)


@router.post("/commitments/{commitment_id}/settlement", responses=GIVEN)
async def settle_signature(
    commitment_id: IdIn,
    asked: SettlementIn,
    viewer: CurrentViewer,
    request: Creation,
    desk: SigningDesk,
    uploads: UploadStore,
    response: Response,
) -> CommitmentOut:
    """The facilitator says what became of a signature whose outcome is unknown."""
    file = (asked.file, asked.sha256) if asked.file and asked.sha256 else None
    done = await settlements.settle(
        commitment_id,
        asked.block,
        reason=asked.reason,
        file=file,
        viewer=viewer,
        request=request,
        desk=desk,
        uploads=uploads,
    )
    return shown(desk.commitments.read(tell(done, response)), viewer, desk.directory)


@router.get("/commitments/{commitment_id}/room", responses=problems(401, 403, 404, 422, 429, 503) | NOT_MODIFIED)
async def signing_room(
    commitment_id: IdIn,
    viewer: CurrentViewer,
    commitments: CommitmentStore,
    presence: PresenceStore,
    request: Request,
) -> RoomOut:
    """Who is here, who has signed, whose turn it is."""
    room = await rooms.look(commitment_id, viewer=viewer, commitments=commitments, presence=presence)
    return told(RoomOut.model_validate(room, from_attributes=True), request)


@router.put("/commitments/{commitment_id}/room", responses=problems(401, 403, 404, 422, 429, 503))
async def enter_room(
    commitment_id: IdIn, viewer: CurrentViewer, commitments: CommitmentStore, presence: PresenceStore
) -> RoomOut:
    """Be here, for the next 25 seconds; the room as it is with you."""
    await rooms.enter(commitment_id, viewer=viewer, commitments=commitments, presence=presence)
    room = await rooms.look(commitment_id, viewer=viewer, commitments=commitments, presence=presence)
    return RoomOut.model_validate(room, from_attributes=True)
