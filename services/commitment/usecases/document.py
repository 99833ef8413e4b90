"""A commitment as it is printed, in Indonesian: what stands on its papers, and in the box of a signature."""

from collections.abc import Sequence
from datetime import date, datetime

from chassis.clock import JAKARTA
from contracts.commitment import Capacity, PartyRole
from contracts.regions import Directory, Kind
from services.commitment.domain.commitment import Commitment
from services.commitment.domain.organization import name_of
from services.commitment.domain.paper import PartyState
from services.commitment.domain.signatory import Signatory
from services.commitment.domain.text import Text
from services.commitment.papers.paper import Block, Document, Section, Stamp

MONTHS = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni",
    "Juli", "Agustus", "September", "Oktober", "November", "Desember",
)  # fmt: skip
SECTIONS = {
    PartyRole.INITIATOR: "Inisiator",
    PartyRole.PARTY: "Para Pihak",
    PartyRole.FACILITATOR: "Fasilitator",
    PartyRole.SUPERVISOR: "Pembina",
    PartyRole.WITNESS: "Saksi",
}
"""In the order in which they are printed."""
HEADS = {Kind.PROVINCE: "Gubernur", Kind.REGENCY: "Bupati", Kind.CITY: "Wali Kota"}
_CAPACITIES = {Capacity.ACTING: "Pj. ", Capacity.TASK: "Plt. "}
NOT_FOR_LAW = "Sertifikat pengembangan: tidak berlaku secara hukum."
"""What a signature of the development authority says of itself."""


def text_of(commitment: Commitment, text: Text, *, edition: int, directory: Directory, address: str) -> Document:
    """The text and all who will sign it, with reserved places."""
    held = f" sampai dengan {printed(text.period_to)}" if text.period_to else ""
    return Document(
        title=text.title,
        number=text.number,
        opening=text.preamble,
        legal_basis=text.legal_basis,
        clauses=tuple((clause.title, clause.text) for clause in text.clauses),
        closing=f"Komitmen bersama ini berlaku sejak {printed(text.period_from)}{held}.",
        signed_at=f"{text.place}, {printed(text.dated)}",
        sections=tuple(_sections(commitment, directory)),
        foot=f"Edisi {edition}, SHA-256 naskah {text.sha256()}",
        verification_url=f"{address}/commitment/v1/verifications/{commitment.commitment}",
        legal_note="Setiap tanda tangan memuat SHA-256 naskah di atas. Unggah berkas PDF untuk memeriksa keutuhannya.",
    )


def accession_of(
    commitment: Commitment, party: PartyState, *, directory: Directory, on: date, address: str
) -> Document:
    """A sheet by which somebody joins when no place is left: it carries the text's hash."""
    text = commitment.text
    joins = name_of(party.organization, directory)
    return Document(
        title=f"Lembar Pernyataan Bergabung: {text.title}",
        number=text.number,
        opening=f"{joins} menyatakan bergabung dengan komitmen bersama “{text.title}” ({text.place}, "
        f"{printed(text.dated)}), edisi {commitment.edition}, dan menyetujui seluruh butirnya.",
        legal_basis=(),
        clauses=(
            ("Naskah", f"SHA-256 naskah yang disetujui: {text.sha256()}"),
            ("Dokumen", f"SHA-256 dokumen naskah sebelum ditandatangani: {commitment.main_paper.first_sha256}"),
        ),
        closing="Lembar ini merupakan bagian yang tidak terpisahkan dari komitmen bersama tersebut.",
        signed_at=printed(on),
        sections=(Section(SECTIONS[party.role], (_block(party, directory),)),),
        foot=f"Edisi {commitment.edition}, SHA-256 naskah {text.sha256()}",
        verification_url=f"{address}/commitment/v1/verifications/{commitment.commitment}",
        legal_note="Setiap tanda tangan memuat SHA-256 naskah di atas. Unggah berkas PDF untuk memeriksa keutuhannya.",
    )


def stamp_of(party: PartyState, signatory: Signatory, *, at: datetime, directory: Directory, for_law: bool) -> Stamp:
    """What is seen of a signature."""
    here = at.astimezone(JAKARTA)
    return Stamp(
        heading="Ditandatangani secara elektronik",
        lines=(
            signatory.name,
            f"{_CAPACITIES.get(signatory.capacity, '')}{signatory.office}",
            name_of(party.organization, directory),
            f"{printed(here.date())} {here:%H.%M} WIB",
        ),
        note="" if for_law else NOT_FOR_LAW,
    )


def printed(day: date) -> str:
    """`12 Juli 2023`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _sections(commitment: Commitment, directory: Directory) -> Sequence[Section]:
    sections = [
        Section(title, tuple(_block(party, directory) for party in commitment.parties.values() if party.role is role))
        for role, title in SECTIONS.items()
    ]
    reserved = tuple(
        Block(block, ("Disediakan bagi pihak yang bergabung",), "", "") for block in commitment.blocks_to_reserve
    )
    return [section for section in [*sections, Section("Pihak yang Bergabung", reserved)] if section.blocks]


def _block(party: PartyState, directory: Directory) -> Block:
    name = name_of(party.organization, directory)
    by_hand = "ditandatangani di atas kertas" if party.on_paper else ""
    if party.signatory is None:
        return Block(party.block, (name,), "", by_hand)
    office = f"{_CAPACITIES.get(party.signatory.capacity, '')}{party.signatory.office}"
    region = directory.find(party.organization)
    if party.signatory.capacity is Capacity.ON_BEHALF and region:
        heading = (f"a.n. {HEADS[region.kind]} {region.name.removeprefix('Kabupaten ').removeprefix('Kota ')}", office)
    else:
        heading = (office, name)
    return Block(party.block, heading, party.signatory.name, by_hand)
