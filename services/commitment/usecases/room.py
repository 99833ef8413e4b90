"""A signing room: who is here, who has signed, whose turn it is."""

from dataclasses import dataclass

from chassis.problem import Forbidden
from chassis.store import Document
from chassis.viewer import Viewer
from contracts.commitment import CommitmentStatus
from services.commitment.domain.paper import TurnState
from services.commitment.domain.rights import belongs_to
from services.commitment.store.commitments import Commitments
from services.commitment.store.presence import Presence


@dataclass(frozen=True, slots=True)
class Place:
    """Of an organization in the room."""

    block: str
    organization: str
    here: bool
    signed: bool


@dataclass(frozen=True, slots=True)
class OnTurn:
    """Who is signing a paper right now, and how far that is."""

    paper: str
    block: str
    state: TurnState


@dataclass(frozen=True, slots=True)
class Room:
    """As it is at this moment."""

    status: CommitmentStatus
    places: tuple[Place, ...]
    guests: tuple[str, ...]
    """Organizations that are here and sign nothing."""
    turns: tuple[OnTurn, ...]


async def enter(commitment_id: str, *, viewer: Viewer, commitments: Commitments, presence: Presence) -> None:
    """A sign of life. Raises NotFound, Forbidden for whoever has nothing to do with it."""
    found = await commitments.room(commitment_id, viewer=viewer)
    organization = _check_involved(found, viewer)
    await presence.note(commitment_id, organization, viewer.actor)


async def look(commitment_id: str, *, viewer: Viewer, commitments: Commitments, presence: Presence) -> Room:
    """For those who have to do with it. Raises NotFound, Forbidden."""
    found = await commitments.room(commitment_id, viewer=viewer)
    _check_involved(found, viewer)
    here = await presence.here(commitment_id)
    state = found["state"]
    signed = {key.partition("/")[2] for key in state["signatures"] if key.startswith(f"{state['edition']}/")}
    places = tuple(
        Place(block, party["organization"], party["organization"] in here, block in signed)
        for block, party in state["parties"].items()
    )
    known = {place.organization for place in places}
    return Room(
        status=CommitmentStatus(state["status"]),
        places=places,
        guests=tuple(one for one in here if one not in known),
        turns=tuple(
            OnTurn(sheet["paper"], sheet["turn"]["block"], TurnState(sheet["turn"]["state"]))
            for sheet in state["papers"].values()
            if sheet["turn"]
        ),
    )


def _check_involved(found: Document, viewer: Viewer) -> str:
    if viewer.organization is None or not belongs_to(viewer, *found["organizations"]):
        raise Forbidden
    return viewer.organization
