"""A commitment from its first words to its end, but for the signing itself."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from chassis.clock import day_of, now
from chassis.outbox import Done, Request
from chassis.problem import Forbidden, NotFound
from chassis.references import UnknownInstrument
from chassis.viewer import Viewer
from contracts.commitment import CommitmentStatus, PartyRole, Target
from contracts.regions import Directory
from services.commitment.domain import trail
from services.commitment.domain.commitment import MANAGES, Acted, Actor, Commitment
from services.commitment.domain.organization import UnknownOrganization, is_organization, region_of
from services.commitment.domain.paper import PartyState, Sheet
from services.commitment.domain.refusals import NotOpenToThem
from services.commitment.domain.rights import SIGNS
from services.commitment.domain.signatory import Signatory
from services.commitment.domain.text import Opening, Text
from services.commitment.domain.trail import Act
from services.commitment.papers.paper import Document
from services.commitment.papers.typeset import typeset
from services.commitment.pool import Pool
from services.commitment.settings import CommitmentSettings
from services.commitment.store.aggregates import Kept
from services.commitment.store.commitments import Commitments
from services.commitment.store.revisions import Revisions
from services.commitment.store.scores import Scores
from services.commitment.usecases import document
from services.commitment.usecases.command import Command

_COMMITMENTS = UUID("c9bb31b9-0a1c-5b59-93cb-5f06f9d6d2a1")


TEMPLATES = Path(__file__).parent.parent / "templates"


@cache
def templates() -> list[dict[str, Any]]:
    """Texts to begin with: data, made for this system and marked so."""
    found = sorted(TEMPLATES.glob("*.json"))
    return [{"template": path.stem, **json.loads(path.read_bytes())} for path in found]


class _ToBeSet(Exception):
    """A decision that needs a document which is not set yet: set it, then decide again."""


@dataclass(frozen=True, slots=True)
class Press:
    """What it takes to set a document, and to keep it."""

    pool: Pool
    revisions: Revisions
    directory: Directory
    settings: CommitmentSettings

    async def print(self, commitment: str, paper: str, shown: Document, *, by_hand: list[str]) -> bytes:
        """Set it, and keep it as the first revision of a paper."""
        made = await self.pool.run(typeset, shown, signed_by_hand=by_hand)
        await self.revisions.keep(made.pdf, commitment=commitment, paper=paper)
        return made.pdf


@dataclass(frozen=True, slots=True)
class Asked:
    """A commitment as somebody drafts it."""

    text: Text
    initiator: str
    facilitator: str
    supervisors: tuple[str, ...]
    opening: Opening
    reserved: int
    target: Target | None
    target_by: date | None


async def draft(
    asked: Asked, *, viewer: Viewer, request: Request, commitments: Commitments, scores: Scores, directory: Directory
) -> Done:
    """Raises UnknownOrganization, UnknownInstrument, Forbidden, KeyReused."""
    for field, name in (("initiator", asked.initiator), ("facilitator", asked.facilitator)):
        if not is_organization(name, directory):
            raise UnknownOrganization(field=field)
    if not all(is_organization(name, directory) for name in asked.supervisors):
        raise UnknownOrganization(field="supervisors")
    if not (viewer.may(*MANAGES, at=asked.initiator) or viewer.may(*MANAGES, at=asked.facilitator)):
        raise Forbidden
    if asked.target and await scores.instrument(asked.target.instrument) is None:
        raise UnknownInstrument(field="target.instrument")
    commitment_id = str(uuid5(_COMMITMENTS, request.id))
    at = now()
    empty = Commitment(
        commitment=commitment_id,
        status=CommitmentStatus.DRAFT,
        initiator=asked.initiator,
        facilitator=asked.facilitator,
        supervisors=asked.supervisors,
        opening=asked.opening,
        target=asked.target,
        target_by=asked.target_by,
        reserved=asked.reserved,
        draft=asked.text,
        edition=0,
        in_force=None,
        texts={},
        parties={},
        papers={},
        signatures={},
        trail=trail.beginning(commitment_id),
        revision=0,
        changed_at=at,
    )
    about = {"text_sha256": asked.text.sha256()}
    acted = empty.act(Act.DRAFTED, Actor(viewer.actor, viewer.organization, at), about=about)
    return await commitments.create(acted, request=request)


async def manage(
    commitment_id: str, decide: Callable[[Commitment, Actor], Acted], *, command: Command, commitments: Commitments
) -> Done:
    """What its initiator or facilitator does with it. Raises NotFound, Forbidden, Stale, and what `decide` does."""

    def change(kept: Kept[Commitment]) -> Acted:
        if not kept.state.manages(command.viewer):
            raise Forbidden
        command.expected.check(kept.tag)
        return decide(kept.state, actor_of(command.viewer, kept))

    return await commitments.change(commitment_id, change, viewer=command.viewer, request=command.request)


async def open_(commitment_id: str, *, command: Command, commitments: Commitments, press: Press) -> Done:
    """Set the text, for all to sign. Raises NotReady, TextFixed, and what `manage` does."""
    sheet: Sheet | None = None

    def decide(commitment: Commitment, actor: Actor) -> Acted:
        commitment.check_ready()
        if sheet is None:
            raise _ToBeSet(commitment)
        return commitment.opened(sheet, actor=actor)

    try:
        return await manage(commitment_id, decide, command=command, commitments=commitments)
    except _ToBeSet as needed:
        sheet = await _main_sheet(needed.args[0], press)  # of the state that If-Match names: of no other it is taken
    return await manage(commitment_id, decide, command=command, commitments=commitments)


async def name_party(
    commitment_id: str,
    organization: str,
    role: PartyRole,
    *,
    on_paper: bool,
    command: Command,
    commitments: Commitments,
    press: Press,
) -> Done:
    """Raises UnknownOrganization, PartyTwice, TooManyBlocks, and what `manage` does."""
    if not is_organization(organization, press.directory):
        raise UnknownOrganization(field="organization")
    return await _with_party(
        organization,
        role,
        on_paper=on_paper,
        joined=False,
        press=press,
        write=lambda decide: manage(commitment_id, decide, command=command, commitments=commitments),
    )


async def join(commitment_id: str, *, viewer: Viewer, request: Request, commitments: Commitments, press: Press) -> Done:
    """By who signs for an organization that it is open to. Raises NotFound, Forbidden, NotOpenToThem, PartyTwice."""
    organization = viewer.organization
    if organization is None or not viewer.may(*SIGNS, at=organization):
        raise Forbidden

    async def write(decide: Callable[[Commitment, Actor], Acted]) -> Done:
        def change(kept: Kept[Commitment]) -> Acted:
            if not is_open_to(kept.state.opening, organization, press.directory):
                raise NotOpenToThem
            return decide(kept.state, actor_of(viewer, kept))

        return await commitments.change(commitment_id, change, viewer=viewer, request=request)

    return await _with_party(organization, PartyRole.PARTY, on_paper=False, joined=True, press=press, write=write)


async def name_signatory(
    commitment_id: str, block: str, signatory: Signatory, *, viewer: Viewer, request: Request, commitments: Commitments
) -> Done:
    """By the party itself, or by who manages it for one that signs on paper. Raises NotFound, Forbidden."""

    def change(kept: Kept[Commitment]) -> Acted:
        party = kept.state.parties.get(block)
        if party is None:
            raise NotFound
        for_it = viewer.may(*SIGNS, at=party.organization) or (party.on_paper and kept.state.manages(viewer))
        if not for_it:
            raise Forbidden
        return kept.state.with_signatory(block, signatory, actor=actor_of(viewer, kept))

    return await commitments.change(commitment_id, change, viewer=viewer, request=request)


def actor_of(viewer: Viewer, kept: Kept[Commitment]) -> Actor:
    """Who acts, at the time of the database's clock."""
    assert kept.at is not None, "read for a change"
    return Actor(viewer.actor, viewer.organization, kept.at)


def is_open_to(opening: Opening, organization: str, directory: Directory) -> bool:
    """Whether a region is of a kind, in a province or in a group that it is open to."""
    region = directory.find(organization)
    if region is None:
        return False
    return (
        region.kind.value in opening.kinds
        or region.province in opening.provinces
        or not directory.groups_of(organization).isdisjoint(opening.groups)
    )


async def _with_party(
    organization: str,
    role: PartyRole,
    *,
    on_paper: bool,
    joined: bool,
    press: Press,
    write: Callable[[Callable[[Commitment, Actor], Acted]], Awaitable[Done]],
) -> Done:
    sheet: Sheet | None = None

    def decide(commitment: Commitment, actor: Actor) -> Acted:
        block, accession = commitment.next_block(organization)
        if accession and (sheet is None or sheet.paper != block):
            raise _ToBeSet(commitment, block)
        return commitment.with_party(
            organization,
            region_of(organization, press.directory),
            role,
            on_paper=on_paper,
            joined=joined,
            sheet=sheet if accession else None,
            actor=actor,
        )

    while True:
        try:
            return await write(decide)
        except _ToBeSet as needed:  # again where somebody else joined meanwhile
            commitment, block = needed.args
            party = PartyState(
                block=block,
                role=role,
                organization=organization,
                region=region_of(organization, press.directory),
                signatory=None,
                on_paper=on_paper,
                joined=True,
                accession=True,
            )
            sheet = await _accession_sheet(commitment, party, press)


async def _main_sheet(commitment: Commitment, press: Press) -> Sheet:
    edition = commitment.edition + 1
    shown = document.text_of(
        commitment,
        commitment.check_ready(),
        edition=edition,
        directory=press.directory,
        address=press.settings.public_address,
    )
    by_hand = [party.block for party in commitment.parties.values() if party.on_paper]
    pdf = await press.print(commitment.commitment, str(edition), shown, by_hand=by_hand)
    blocks = (*commitment.parties, *commitment.blocks_to_reserve)
    return _sheet(pdf, paper=str(edition), edition=edition, accession=False, blocks=blocks)


async def _accession_sheet(commitment: Commitment, party: PartyState, press: Press) -> Sheet:
    shown = document.accession_of(
        commitment, party, directory=press.directory, on=day_of(now()), address=press.settings.public_address
    )
    by_hand = [party.block] if party.on_paper else []
    pdf = await press.print(commitment.commitment, party.block, shown, by_hand=by_hand)
    return _sheet(pdf, paper=party.block, edition=commitment.edition, accession=True, blocks=(party.block,))


def _sheet(pdf: bytes, *, paper: str, edition: int, accession: bool, blocks: tuple[str, ...]) -> Sheet:
    digest = sha256(pdf).hexdigest()
    return Sheet(
        paper=paper,
        edition=edition,
        accession=accession,
        blocks=blocks,
        first_sha256=digest,
        sha256=digest,
        bytes=len(pdf),
        electronic=0,
        sealed=False,
        turn=None,
    )
