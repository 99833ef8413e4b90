"""What commitments are asked with, and how they are answered."""

from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from chassis.viewer import Viewer
from contracts.commitment import Capacity, CommitmentStatus, Paper, PartyRole, Signature, Target, Trail
from contracts.organizations import OrganizationId
from contracts.regions import Directory
from services.commitment.api.parameters import Day, In
from services.commitment.domain.commitment import Commitment
from services.commitment.domain.organization import name_of
from services.commitment.domain.paper import PartyState
from services.commitment.domain.refusals import BLOCKS_MAX
from services.commitment.domain.signatory import Signatory
from services.commitment.domain.text import Clause, Opening, Text
from services.commitment.store.aggregates import Kept
from services.commitment.usecases import draft as usecases

Line = Annotated[str, Field(min_length=1, max_length=300)]


class ClauseIn(In):
    """One numbered clause; its number is its place."""

    title: Annotated[str, Field(max_length=120)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=4_000)]


class TextIn(In):
    """What is signed."""

    title: Annotated[str, Field(min_length=3, max_length=300)]
    number: Annotated[str, Field(max_length=100)] | None = None
    place: Annotated[str, Field(min_length=2, max_length=120)]
    dated: Day
    preamble: Annotated[str, Field(max_length=4_000)] = ""
    legal_basis: list[Annotated[str, Field(min_length=3, max_length=500)]] = Field(default=[], max_length=20)
    clauses: list[ClauseIn] = Field(min_length=1, max_length=60)
    period_from: Day
    period_to: Day | None = None

    @model_validator(mode="after")
    def check_period(self) -> Self:
        """Raises ValueError."""
        if self.period_to and self.period_to < self.period_from:
            raise ValueError("`period_to` is before `period_from`")
        return self

    def asked(self) -> Text:
        """For the domain."""
        clauses = tuple(Clause(title=clause.title, text=clause.text) for clause in self.clauses)
        fields = self.model_dump(exclude={"clauses", "legal_basis"})
        return Text(**fields, clauses=clauses, legal_basis=tuple(self.legal_basis))


class OpeningIn(In):
    """Who may join without being named: regions of any of these kinds, provinces or groups."""

    kinds: list[Annotated[str, Field(max_length=20, examples=["regency"])]] = Field(default=[], max_length=5)
    provinces: list[Annotated[str, Field(max_length=20, examples=["32"])]] = Field(default=[], max_length=40)
    groups: list[Annotated[str, Field(max_length=60, examples=["jabar-2023"])]] = Field(default=[], max_length=20)

    def asked(self) -> Opening:
        """For the domain."""
        return Opening(kinds=tuple(self.kinds), provinces=tuple(self.provinces), groups=tuple(self.groups))


class RewriteIn(In):
    """What may be changed while it is a draft or an amendment."""

    text: TextIn
    opening: OpeningIn | None = None
    """Unset: as it is."""
    reserved: Annotated[int, Field(ge=0, le=BLOCKS_MAX)] | None = None
    """Unset: as many as there are."""


class DraftIn(In):
    """A commitment to be."""

    text: TextIn
    opening: OpeningIn = OpeningIn()
    reserved: Annotated[int, Field(ge=0, le=BLOCKS_MAX)] = 2
    """Places printed for those who join later; whoever comes after them signs a sheet of their own. While one is left,
    signing is closed by hand."""
    initiator: OrganizationId
    facilitator: OrganizationId
    """Invites, and watches over what follows."""
    supervisors: list[OrganizationId] = Field(default=[], max_length=10)
    target: Target | None = None
    target_by: Day | None = None

    def wanted(self) -> usecases.Asked:
        """For the use case."""
        return usecases.Asked(
            text=self.text.asked(),
            initiator=self.initiator,
            facilitator=self.facilitator,
            supervisors=tuple(self.supervisors),
            opening=self.opening.asked(),
            reserved=self.reserved,
            target=self.target,
            target_by=self.target_by,
        )


class PartyIn(In):
    """An organization that is to sign."""

    organization: OrganizationId
    role: PartyRole = PartyRole.PARTY
    on_paper: bool = False
    """It signs by hand."""


class SignatoryIn(In):
    """Who signs, in which office, for as long as their authority lasts."""

    name: Line
    office: Annotated[str, Field(min_length=2, max_length=160, examples=["Sekretaris Daerah"])]
    capacity: Capacity = Capacity.DEFINITIVE
    authority_from: Day
    authority_to: Day | None = None
    certificate_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Where the certificate bears the name otherwise than it is written here."""

    @model_validator(mode="after")
    def check_authority(self) -> Self:
        """Raises ValueError."""
        if self.authority_to and self.authority_to < self.authority_from:
            raise ValueError("`authority_to` is before `authority_from`")
        return self


class ReasonIn(In):
    """Why."""

    reason: Line


class PartyOut(BaseModel):
    """A place to sign."""

    block: str
    role: PartyRole
    organization: str
    organization_name: str
    region: str | None
    joined: bool
    on_paper: bool
    paper: str | None
    """Where it is signed, once it may be."""
    signatory: Signatory | None
    """For those who have to do with the commitment; what was signed is in `signatures`."""
    signed: bool


class CommitmentOut(BaseModel):
    """A commitment. `text` is that of its present edition, `draft` what is being written."""

    commitment: str
    status: CommitmentStatus
    edition: int
    in_force: int | None
    initiator: str
    facilitator: str
    supervisors: list[str]
    opening: Opening
    reserved: int
    target: Target | None
    target_by: date | None
    text: Text | None
    text_sha256: str | None
    draft: Text | None
    next_opening: Opening | None
    next_reserved: int | None
    """Of an amendment that is being written, if it changes them; until it is opened, the present ones hold."""
    parties: list[PartyOut]
    signatures: list[Signature]
    papers: list[Paper]
    trail: Trail


class CommitmentLine(BaseModel):
    """One of a list."""

    commitment: str
    title: str
    place: str
    dated: date
    status: CommitmentStatus
    edition: int
    initiator: str
    facilitator: str
    parties: int
    signatures: int


class CommitmentsOut(BaseModel):
    """A page. `next` is null on the last one."""

    items: list[CommitmentLine]
    next: str | None


class TemplateOut(BaseModel):
    """A text to begin with."""

    template: str
    title: str
    made: str
    """Where it is from."""
    preamble: str
    legal_basis: list[str]
    clauses: list[Clause]


class TemplatesOut(BaseModel):
    """All of them."""

    items: list[TemplateOut]


def shown(kept: Kept[Commitment], viewer: Viewer, directory: Directory) -> CommitmentOut:
    """As it is answered to this viewer: names of those who have not signed are for those who take part."""
    commitment = kept.state
    involved = commitment.involves(viewer)
    own = [one.told for one in commitment.signatures.values() if one.told.edition == commitment.edition]
    text = commitment.texts.get(commitment.edition)
    sheets = [sheet for sheet in commitment.papers.values() if sheet.edition == commitment.edition]
    return CommitmentOut(
        commitment=commitment.commitment,
        status=commitment.status,
        edition=commitment.edition,
        in_force=commitment.in_force,
        initiator=commitment.initiator,
        facilitator=commitment.facilitator,
        supervisors=list(commitment.supervisors),
        opening=commitment.opening,
        reserved=commitment.reserved,
        target=commitment.target,
        target_by=commitment.target_by,
        text=text,
        text_sha256=text.sha256() if text else None,
        draft=commitment.draft if involved else None,
        next_opening=commitment.next_opening if involved else None,
        next_reserved=commitment.next_reserved if involved else None,
        parties=[
            _party(commitment, one, involved=involved, directory=directory) for one in commitment.parties.values()
        ],
        signatures=own,
        papers=[sheet.told() for sheet in sheets],
        trail=Trail(entries=commitment.trail.entries, head=commitment.trail.hash),
    )


def line(commitment: Commitment) -> CommitmentLine:
    """As it stands in a list."""
    text = commitment.text
    return CommitmentLine(
        commitment=commitment.commitment,
        title=text.title,
        place=text.place,
        dated=text.dated,
        status=commitment.status,
        edition=commitment.edition,
        initiator=commitment.initiator,
        facilitator=commitment.facilitator,
        parties=len(commitment.parties),
        signatures=sum(one.told.edition == commitment.edition for one in commitment.signatures.values()),
    )


def _party(commitment: Commitment, party: PartyState, *, involved: bool, directory: Directory) -> PartyOut:
    papers = [one for one in commitment.papers.values() if one.edition == commitment.edition]
    return PartyOut(
        block=party.block,
        role=party.role,
        organization=party.organization,
        organization_name=name_of(party.organization, directory),
        region=party.region,
        joined=party.joined,
        on_paper=party.on_paper,
        paper=next((sheet.paper for sheet in papers if party.block in sheet.blocks), None),
        signatory=party.signatory if involved else None,
        signed=commitment.signature(party.block) is not None,
    )
