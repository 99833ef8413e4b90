"""Facts of the commitment service: who came to study, who signed, what they pledged, what they did about it."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.assessment import CycleId, IndicatorNumber, InstrumentId, Period, RegionCode
from contracts.fact import Body, Frozen
from contracts.organizations import OrganizationId
from contracts.scoring import Basis, Figure

Id = Annotated[str, Field(max_length=40, examples=["0b9d3f0e-4f0a-5d5e-9f6e-0e5f3f7b8a11"])]
Sentence = Annotated[str, Field(max_length=300)]


class VisitStatus(StrEnum):
    """Whether it took place, as far as is known."""

    RECORDED = "recorded"
    WITHDRAWN = "withdrawn"
    """It was recorded by mistake."""


class Origin(StrEnum):
    """How it became known."""

    ENTERED = "entered"
    IMPORTED = "imported"


class VisitState(Body):
    """A study visit (kunjungan studi): who came to whom, when, and why. Never whom they met."""

    visit: Id
    organization: OrganizationId
    """Who came."""
    region: RegionCode | None
    """The same, where a region came."""
    host: OrganizationId
    visited_on: date
    subject: Sentence
    status: VisitStatus
    origin: Origin

    @property
    def aggregate(self) -> str:
        return self.visit


class Target(Frozen):
    """What is to be reached: an index at least, or a predicate at least. Exactly one of the two."""

    instrument: InstrumentId
    index: Figure | None
    predicate: str | None


class Reached(Frozen):
    """A score that was looked at for a pledge."""

    score: str
    cycle: CycleId
    period: Period
    basis: Basis
    index: Figure
    predicate: str
    on: date
    """The day that it counts from: of the decree, else of the assessment's verification, in Jakarta."""


class CommitmentStatus(StrEnum):
    """Where a commitment stands."""

    DRAFT = "draft"
    OPEN = "open"
    """To be signed."""
    IN_FORCE = "in_force"
    COMPLETED = "completed"
    WITHDRAWN = "withdrawn"


class PartyRole(StrEnum):
    """Why an organization stands in a commitment."""

    PARTY = "pihak"
    WITNESS = "saksi"
    INITIATOR = "inisiator"
    FACILITATOR = "fasilitator"
    """Invites, and watches over what follows."""
    SUPERVISOR = "pembina"


class Capacity(StrEnum):
    """In which somebody holds an office."""

    DEFINITIVE = "definitif"
    ACTING = "pj"
    """Penjabat: until the next election."""
    TASK = "plt"
    """Pelaksana tugas: while the office is vacant or its holder away."""
    ON_BEHALF = "an"
    """Atas nama: for the one who holds the office."""


class Provider(StrEnum):
    """How a signature was made."""

    LOCAL = "local"
    """By a development authority: not for law."""
    BSRE = "bsre"
    """By Balai Sertifikasi Elektronik (BSSN)."""
    PAPER = "paper"
    """By hand; a scan is kept."""


class Party(Frozen):
    """An organization that has a place to sign."""

    block: Annotated[str, Field(max_length=12)]
    role: PartyRole
    organization: OrganizationId
    region: RegionCode | None
    joined: bool
    """After the text was opened."""


class Signature(Frozen):
    """Of one organization; the public act of a person in an office."""

    block: Annotated[str, Field(max_length=12)]
    role: PartyRole
    organization: OrganizationId
    region: RegionCode | None
    name: Annotated[str, Field(max_length=120)]
    office: Annotated[str, Field(max_length=160)]
    capacity: Capacity
    provider: Provider
    for_law: bool
    signed_on: date
    """In Jakarta: the time stamp's day, or the one that stands on the paper."""
    edition: Annotated[int, Field(ge=1)]
    paper: Annotated[str, Field(max_length=12)]
    certificate_sha256: str | None
    document_sha256: str
    """Of the file after this signature; of the scan, where it was signed by hand."""


class Paper(Frozen):
    """A PDF that is signed: the text itself, or a sheet by which somebody joined later."""

    paper: Annotated[str, Field(max_length=12)]
    accession: bool
    edition: Annotated[int, Field(ge=1)]
    sha256: str
    """Of the file as it is now."""
    bytes: int
    sealed: bool
    """Validation data and a document time stamp were added: it can be verified when certificates have expired."""


class Trail(Frozen):
    """Where the audit trail ends: whoever keeps this fact can tell later whether the trail was rewritten."""

    entries: int
    head: str


class CommitmentState(Body):
    """A joint commitment (komitmen bersama): its parties, who signed, and where it stands."""

    commitment: Id
    region: RegionCode | None
    """Of `signed`: the signer's, where it is a region."""
    regions: tuple[RegionCode, ...]
    """All parties that are regions."""
    title: Sentence
    number: Annotated[str, Field(max_length=100)] | None
    place: Annotated[str, Field(max_length=120)]
    dated: date
    status: CommitmentStatus
    edition: Annotated[int, Field(ge=1)]
    in_force: int | None
    """The edition that holds, while a later one may be open to be signed."""
    text_sha256: str
    period_from: date
    period_to: date | None
    initiator: OrganizationId
    facilitator: OrganizationId
    supervisors: tuple[OrganizationId, ...]
    target: Target | None
    target_by: date | None
    parties: tuple[Party, ...]
    signatures: tuple[Signature, ...]
    """Of this edition."""
    papers: tuple[Paper, ...]
    signed: Annotated[str, Field(max_length=12)] | None
    """The block that was just signed, in `commitment.signed`."""
    trail: Trail

    @property
    def aggregate(self) -> str:
        return self.commitment


class PledgeStatus(StrEnum):
    """What became of a pledge."""

    OPEN = "open"
    FULFILLED = "fulfilled"
    MISSED = "missed"
    WITHDRAWN = "withdrawn"


class PledgeState(Body):
    """A region's target by a date, and how far it is.

    A public fact holds what follows from public scores alone; a supervised one holds what follows from all of them,
    where that differs.
    """

    pledge: Id
    region: RegionCode
    commitment: Id | None
    clause: Annotated[int, Field(ge=1, le=99)] | None
    """Of the commitment, under which it was made."""
    target: Target
    pledged_on: date
    due: date
    status: PledgeStatus
    counted: Reached | None
    """The newest verified or official score, or, once fulfilled, the one that fulfilled it."""
    declared: Reached | None
    """The newest that rests on what the region says of itself alone: it fulfils nothing. Never in a public fact."""

    @property
    def aggregate(self) -> str:
        return self.pledge


class FollowUpStatus(StrEnum):
    """How far an action is."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class Funds(StrEnum):
    """Where the money comes from."""

    APBD = "apbd"
    APBN = "apbn"
    GRANT = "hibah"
    OTHER = "lainnya"


class AgreementKind(StrEnum):
    """Between heads of region, or between the units that do the work."""

    MEMORANDUM = "nota_kesepakatan"
    COOPERATION = "pks"


class Agreement(Frozen):
    """A document that an adoption rests on."""

    kind: AgreementKind
    number: Annotated[str, Field(max_length=100)]
    signed_on: date
    ends_on: date | None


class Taking(StrEnum):
    """How another region's programme is taken over."""

    ADOPTION = "adoption"
    """As it is."""
    ADAPTATION = "adaptation"
    """Changed."""


class Step(StrEnum):
    """Of an adoption, in their order."""

    STUDY_VISIT = "study_visit"
    MEMORANDUM = "memorandum"
    AGREEMENT = "agreement"
    HANDOVER = "handover"
    TRAINING = "training"
    LIVE = "live"
    REPORTED = "reported"


class Recommendation(Frozen):
    """Of an assessment's review: one of an aspect's recommendations."""

    assessment: Annotated[str, Field(max_length=80)]
    aspect: Annotated[int, Field(ge=1, le=99)]
    number: Annotated[int, Field(ge=1, le=99)]


class IndicatorOf(Frozen):
    """A question of an instrument."""

    instrument: InstrumentId
    number: IndicatorNumber


class Adoption(Frozen):
    """Another region's programme, taken over."""

    kind: Taking
    source: RegionCode
    programme: Annotated[str, Field(max_length=200)]
    version: Annotated[str, Field(max_length=60)] | None
    agreements: tuple[Agreement, ...]
    steps: dict[Step, date]
    raises: tuple[IndicatorOf, ...]
    """Indicators that it is meant to raise."""


class FollowUpState(Body):
    """An action (tindak lanjut) and how far it is. Never file names, links or notes."""

    followup: Id
    region: RegionCode
    commitment: Id | None
    clause: Annotated[int, Field(ge=1, le=99)] | None
    recommendation: Recommendation | None
    indicator: IndicatorOf | None
    title: Sentence
    unit: Annotated[str, Field(max_length=200)]
    """In charge (perangkat daerah)."""
    funds: Funds | None
    due: date
    status: FollowUpStatus
    done_on: date | None
    evidence_accepted: Annotated[int, Field(ge=0)]
    overdue_since: date | None
    adoption: Adoption | None

    @property
    def aggregate(self) -> str:
        return self.followup
