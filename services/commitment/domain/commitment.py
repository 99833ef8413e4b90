"""A joint commitment (komitmen bersama): its text and parties, and the way from a draft to its end.

An edition is one numbered text; a paper is one PDF of an edition, the text itself or a sheet by which somebody joined;
a block is a place to sign on it. What signing does to a paper is in `signing.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from chassis.clock import end_of
from chassis.viewer import Viewer
from contracts import events
from contracts.commitment import (
    CommitmentState,
    CommitmentStatus,
    Party,
    PartyRole,
    Target,
    Trail,
)
from contracts.events import EventType
from contracts.fact import Frozen
from contracts.roles import Role
from services.commitment.domain import trail
from services.commitment.domain.paper import PartyState, Sheet, Signed, TurnState
from services.commitment.domain.refusals import (
    BLOCKS_MAX,
    AlreadySigned,
    NotInThisState,
    NotReady,
    PartyTwice,
    TextFixed,
    TooManyBlocks,
)
from services.commitment.domain.rights import belongs_to
from services.commitment.domain.signatory import Signatory
from services.commitment.domain.text import Opening, Text
from services.commitment.domain.trail import Act, Head

MANAGES = (Role.HEAD, Role.COORDINATOR, Role.SUPERVISOR)
"""For its initiator and its facilitator."""
OPENED = frozenset({CommitmentStatus.OPEN, CommitmentStatus.IN_FORCE})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and when."""

    by: str
    organization: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Acted:
    """What acts came to: the state, their trail entries, and the facts that follow, each a revision further."""

    state: "Commitment"
    entries: tuple[dict[str, Any], ...] = ()
    events: tuple[tuple[EventType, CommitmentState], ...] = ()
    """Each with what it tells: the state right after its act."""

    def then(self, other: "Acted") -> "Acted":
        """One after the other."""
        return Acted(other.state, self.entries + other.entries, self.events + other.events)


class Commitment(Frozen):
    """The whole aggregate."""

    commitment: str
    status: CommitmentStatus
    initiator: str
    facilitator: str
    supervisors: tuple[str, ...]
    opening: Opening
    target: Target | None
    target_by: date | None
    reserved: int
    """Places printed for those who join later."""
    draft: Text | None
    """What is being written: of a draft or of an amendment."""
    next_opening: Opening | None = None
    next_reserved: int | None = None
    """Of an amendment that is being written; what was opened before keeps its own until then."""
    edition: int
    in_force: int | None
    """The edition that holds; a later one may be signed meanwhile."""
    texts: dict[int, Text]
    parties: dict[str, PartyState]
    papers: dict[str, Sheet]
    signatures: dict[str, Signed]
    """By edition and block: `1/p01`."""
    trail: Head
    revision: int
    changed_at: datetime

    # What it is

    @property
    def public(self) -> bool:
        """What was opened once stays to be seen."""
        return self.edition > 0

    @property
    def text(self) -> Text:
        """Of the edition that is signed or in force; of a draft what is being written."""
        text = self.texts.get(self.edition, self.draft)
        assert text is not None, "a commitment that was never opened is being written"
        return text

    @property
    def organizations(self) -> frozenset[str]:
        """All that have to do with it."""
        parties = {party.organization for party in self.parties.values()}
        return frozenset({self.initiator, self.facilitator, *self.supervisors, *parties})

    @property
    def main_paper(self) -> Sheet:
        """Of the present edition."""
        return self.papers[str(self.edition)]

    @property
    def due_at(self) -> datetime | None:
        """When a worker must look at it again."""
        turns = [sheet.turn for sheet in self.papers.values() if sheet.turn]
        moments = [turn.until for turn in turns if turn.state is not TurnState.UNKNOWN]
        moments += [self.changed_at] if self.to_seal else []
        period_to = self.text.period_to if self.status is CommitmentStatus.IN_FORCE else None
        moments += [end_of(period_to)] if period_to else []
        return min(moments, default=None)

    @property
    def to_seal(self) -> list[Sheet]:
        """Papers that are signed by all who will sign them."""
        return [
            sheet
            for sheet in self.papers.values()
            if sheet.electronic and not sheet.sealed and sheet.turn is None and self._complete(sheet)
        ]

    def signature(self, block: str) -> Signed | None:
        """Of the present edition."""
        return self.signatures.get(f"{self.edition}/{block}")

    def party_of(self, organization: str) -> PartyState | None:
        """Where it stands."""
        return next((party for party in self.parties.values() if party.organization == organization), None)

    def manages(self, viewer: Viewer) -> bool:
        """Acts for its initiator or its facilitator."""
        return viewer.may(*MANAGES, at=self.initiator) or viewer.may(*MANAGES, at=self.facilitator)

    def involves(self, viewer: Viewer) -> bool:
        """Somebody of an organization that has to do with it."""
        return belongs_to(viewer, *self.organizations)

    def told(self, signed: str | None = None) -> CommitmentState:
        """What others may know."""
        text = self.text
        party = self.parties[signed] if signed else None
        own = [one for one in self.signatures.values() if one.told.edition == self.edition]
        return CommitmentState(
            commitment=self.commitment,
            region=party.region if party else None,
            regions=tuple(sorted({one.region for one in self.parties.values() if one.region})),
            title=text.title,
            number=text.number,
            place=text.place,
            dated=text.dated,
            status=self.status,
            edition=self.edition,
            in_force=self.in_force,
            text_sha256=text.sha256(),
            period_from=text.period_from,
            period_to=text.period_to,
            initiator=self.initiator,
            facilitator=self.facilitator,
            supervisors=self.supervisors,
            target=self.target,
            target_by=self.target_by,
            parties=tuple(
                Party(block=p.block, role=p.role, organization=p.organization, region=p.region, joined=p.joined)
                for p in self.parties.values()
            ),
            signatures=tuple(one.told for one in own),
            papers=tuple(sheet.told() for sheet in self.papers.values() if sheet.edition == self.edition),
            signed=signed,
            trail=Trail(entries=self.trail.entries, head=self.trail.hash),
        )

    # What is done with it

    def act(
        self,
        act: Act,
        actor: Actor,
        *,
        about: Mapping[str, Any] | None = None,
        event: EventType | None = None,
        signed: str | None = None,
        **changed: object,
    ) -> Acted:
        """The state after an act, its entry, and the fact that follows if it is one that others are told of."""
        head, entry = trail.append(
            self.trail,
            self.commitment,
            act,
            by=actor.by,
            organization=actor.organization,
            at=actor.at,
            about=about or {},
        )
        revision = self.revision + (event is not None)
        update = {**changed, "trail": head, "changed_at": actor.at, "revision": revision}
        after = self.model_copy(update=update)
        return Acted(after, (entry,), ((event, after.told(signed)),) if event else ())

    def rewritten(self, text: Text, *, reserved: int | None, opening: Opening | None, actor: Actor) -> Acted:
        """Another text, while none is opened; None leaves the rest as it is. Raises TextFixed."""
        if self.draft is None:
            raise TextFixed
        about = {"text_sha256": text.sha256()}
        before = "next_" if self.edition else ""
        changed: dict[str, Any] = {f"{before}reserved": reserved, f"{before}opening": opening}
        changed = {name: value for name, value in changed.items() if value is not None}
        return self.act(Act.CHANGED, actor, about=about, draft=text, **changed)

    def amended(self, *, actor: Actor) -> Acted:
        """A new edition is begun from the present one. Raises NotInThisState."""
        self._check(*OPENED)
        if self.draft is not None:
            return Acted(self)
        return self.act(Act.AMENDED, actor, about={"edition": self.edition + 1}, draft=self.text)

    def with_party(
        self,
        organization: str,
        region: str | None,
        role: PartyRole,
        *,
        on_paper: bool,
        joined: bool,
        sheet: Sheet | None,
        actor: Actor,
    ) -> Acted:
        """Named or joined. Of a draft a place that will be printed; else a reserved one, else the `sheet` made for it.

        A party that did not sign before signing was closed stands on its sheet from then on. Raises NotInThisState,
        PartyTwice, TooManyBlocks.
        """
        block, accession = self.next_block(organization)
        assert accession == (sheet is not None), "a sheet is made where no place is left"
        party = PartyState(
            block=block,
            role=role,
            organization=organization,
            region=region,
            signatory=None,
            on_paper=on_paper,
            joined=joined or self.edition > 0,
            accession=accession,
        )
        act = Act.JOINED if joined else Act.PARTY_NAMED
        about = {"block": block, "organization": organization, "role": role.value}
        event = events.COMMITMENT_OPENED if self.edition else None
        papers = {**self.papers, sheet.paper: sheet} if sheet else self.papers
        others = {one: other for one, other in self.parties.items() if other.organization != organization}
        return self.act(act, actor, about=about, event=event, parties={**others, block: party}, papers=papers)

    def with_signatory(self, block: str, signatory: Signatory, *, actor: Actor) -> Acted:
        """Who signs for a party, until it has signed; for an amendment anew. Raises NotInThisState, AlreadySigned."""
        self._check(CommitmentStatus.DRAFT, *OPENED)
        if self.draft is None and self.signature(block):
            raise AlreadySigned
        party = self.parties[block].model_copy(update={"signatory": signatory})
        about = {"block": block, "capacity": signatory.capacity.value, "signatory_sha256": trail.digest(signatory)}
        return self.act(Act.SIGNATORY_NAMED, actor, about=about, parties={**self.parties, block: party})

    def check_ready(self) -> Text:
        """Whether it may be opened; the text to be set. Raises TextFixed, NotInThisState, NotReady, TooManyBlocks."""
        self._check(CommitmentStatus.DRAFT, *OPENED)
        if self.draft is None:
            raise TextFixed
        signing = [party for party in self.parties.values() if party.role is not PartyRole.WITNESS]
        if not self.draft.clauses:
            raise NotReady("It has no clauses.", "Belum ada butir komitmen.", field="clauses")
        if len(self.parties) + len(self.blocks_to_reserve) > BLOCKS_MAX:
            raise TooManyBlocks
        if len(signing) < 2 and not self.blocks_to_reserve:
            raise NotReady(
                "A joint commitment has two parties at least, or reserved places for those who will join.",
                "Komitmen bersama memerlukan sedikitnya dua pihak, atau tempat cadangan bagi yang akan bergabung.",
                field="parties",
            )
        return self.draft

    def opened(self, sheet: Sheet, *, actor: Actor) -> Acted:
        """Its text is set, and may be signed by all. Raises what `check_ready` does."""
        text = self.check_ready()
        # Whoever joined an earlier edition by a sheet of their own has a place in this one.
        parties = {block: party.model_copy(update={"accession": False}) for block, party in self.parties.items()}
        about = {"edition": sheet.edition, "text_sha256": text.sha256(), "document_sha256": sheet.sha256}
        return self.act(
            Act.OPENED,
            actor,
            about=about,
            event=events.COMMITMENT_OPENED,
            status=CommitmentStatus.OPEN,
            draft=None,
            opening=self.next_opening or self.opening,
            reserved=self._next_reserved,
            next_opening=None,
            next_reserved=None,
            edition=sheet.edition,
            parties=parties,
            texts={**self.texts, sheet.edition: text},
            papers={**self.papers, sheet.paper: sheet},
        )

    def entered_force(self, *, actor: Actor) -> Acted:
        """Signing is closed. Raises NotInThisState, NotReady."""
        self._check(CommitmentStatus.OPEN)
        if not any(one.told.edition == self.edition for one in self.signatures.values()):
            raise NotReady("Nobody has signed it.", "Belum ada yang menandatangani.")
        return self.act(
            Act.ENTERED_FORCE,
            actor,
            about={"edition": self.edition},
            event=events.COMMITMENT_ENTERED_FORCE,
            status=CommitmentStatus.IN_FORCE,
            in_force=self.edition,
        )

    def completed(self, *, actor: Actor) -> Acted:
        """Its period is over, or all is done. Raises NotInThisState."""
        self._check(CommitmentStatus.IN_FORCE)
        return self.act(Act.COMPLETED, actor, event=events.COMMITMENT_COMPLETED, status=CommitmentStatus.COMPLETED)

    def withdrawn(self, reason: str, *, actor: Actor) -> Acted:
        """It holds no more. Raises NotInThisState."""
        self._check(CommitmentStatus.DRAFT, *OPENED)
        event = events.COMMITMENT_WITHDRAWN if self.edition else None
        return self.act(Act.WITHDRAWN, actor, about={"reason": reason}, event=event, status=CommitmentStatus.WITHDRAWN)

    def sealed(self, paper: str, *, sha256: str, bytes: int, actor: Actor) -> Acted:
        """Validation data and a document time stamp were added to a paper."""
        sheet = self.papers[paper].model_copy(update={"sha256": sha256, "bytes": bytes, "sealed": True})
        about = {"paper": paper, "before_sha256": self.papers[paper].sha256, "after_sha256": sha256}
        return self.act(Act.SEALED, actor, about=about, papers={**self.papers, paper: sheet})

    @property
    def signed_by_all(self) -> bool:
        """Nobody is missing, and no reserved place is left for somebody to join by."""
        return not self.free_blocks and all(self.signature(block) for block in self.parties)

    def _complete(self, sheet: Sheet) -> bool:
        if sheet.accession:
            return all(f"{sheet.edition}/{block}" in self.signatures for block in sheet.blocks)
        return self.in_force is not None and sheet.edition <= self.in_force

    @property
    def free_blocks(self) -> list[str]:
        """Places on the paper of the present edition that nobody has taken."""
        printed = self.main_paper.blocks if self.edition else ()
        return [block for block in printed if block not in self.parties and block.startswith("r")]

    @property
    def blocks_to_reserve(self) -> list[str]:
        """Places that will be free on the paper of what is being written."""
        blocks = [f"r{number:02}" for number in range(1, self._next_reserved + 1)]
        return [block for block in blocks if block not in self.parties]

    @property
    def _next_reserved(self) -> int:
        return self.reserved if self.next_reserved is None else self.next_reserved

    def next_block(self, organization: str) -> tuple[str, bool]:
        """Where it would sign, and whether on a sheet of its own. Raises NotInThisState, PartyTwice, TooManyBlocks."""
        self._check(CommitmentStatus.DRAFT, *OPENED)
        standing = self.party_of(organization)
        missed = self.status is CommitmentStatus.IN_FORCE and standing and not standing.accession
        if standing and not (missed and self.signature(standing.block) is None):
            raise PartyTwice(field="organization")
        if not self.edition:
            if len(self.parties) + self.reserved >= BLOCKS_MAX:
                raise TooManyBlocks
            return f"p{1 + sum(block.startswith('p') for block in self.parties):02}", False
        if self.status is CommitmentStatus.OPEN and (free := self.free_blocks):
            return free[0], False
        return f"a{1 + sum(block.startswith('a') for block in self.parties):02}", True

    def _check(self, *allowed: CommitmentStatus) -> None:
        if self.status not in allowed:
            raise NotInThisState(self.status)
