"""What a commitment holds of its papers: who has a place on them, whose turn it is, and who signed."""

from datetime import datetime
from enum import StrEnum

from contracts.commitment import Paper, PartyRole, Provider, Signature
from contracts.fact import Frozen
from services.commitment.domain.signatory import Signatory


class PartyState(Frozen):
    """An organization with a place to sign."""

    block: str
    role: PartyRole
    organization: str
    region: str | None
    signatory: Signatory | None
    on_paper: bool
    """It signs by hand: no field is made for it."""
    joined: bool
    accession: bool
    """Its place is on a sheet of its own."""


class TurnState(StrEnum):
    """Of whoever is about to sign a paper."""

    CLAIMED = "claimed"
    SENDING = "sending"
    """The document left the house: from now on only an answer, or a person, ends the turn."""
    UNKNOWN = "unknown"
    """No answer came: it may have been signed."""


class Turn(Frozen):
    """The lease of a paper: one signs at a time, on the output of the one before."""

    attempt: str
    block: str
    by: str
    request: str
    provider: Provider
    state: TurnState
    base_sha256: str
    certificate_sha256: str
    """Whose signature is expected."""
    signatory: Signatory
    """Who it is: whoever is named meanwhile signs nothing of this."""
    since: datetime
    until: datetime


class Refusal(Frozen):
    """Why a request came to nothing, as its code."""

    request: str
    code: str


class Sheet(Frozen):
    """A paper, as far as it is signed."""

    paper: str
    edition: int
    accession: bool
    blocks: tuple[str, ...]
    first_sha256: str
    """As it was set, before anybody signed."""
    sha256: str
    bytes: int
    electronic: int
    """How many electronic signatures it holds."""
    sealed: bool
    turn: Turn | None
    refusals: tuple["Refusal", ...] = ()
    """Of late: a repeat of a request that was refused is refused so again, and asks no provider twice."""

    def told(self) -> Paper:
        """What others may know."""
        return Paper.model_validate(self.model_dump(include=set(Paper.model_fields)))


class Signed(Frozen):
    """A signature, with what only this service needs to know of it."""

    told: Signature
    at: datetime | None
    """The time stamp's."""
    signer: str | None
    """The name in the certificate."""
    issuer: str | None
    request: str
    """Repeats of it find their outcome here, however many signed since."""
    attempt: str | None
    scan: str | None
    place: str | None
    """Where it was signed by hand."""
    witnessed_by: str | None
