"""What a paper holds before anybody signs: plain data, since it crosses into child processes."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """A place to sign. `heading`: the office that signs, in the lines that are printed above."""

    id: str
    heading: tuple[str, ...]
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a title: the parties, the witnesses."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A text and its blocks. Dates and numbers are texts already, as they are printed."""

    title: str
    number: str | None
    opening: str
    legal_basis: tuple[str, ...]
    clauses: tuple[tuple[str | None, str], ...]
    """(title, text)"""
    closing: str
    signed_at: str
    """Place and day, above the blocks."""
    sections: tuple[Section, ...]
    foot: str
    """Which edition, and the text's hash: on every page."""
    verification_url: str
    legal_note: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block's box is: page from 0, points from the lower left."""

    page: int
    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, slots=True)
class Typeset:
    """A paper as it is first: with one empty signature field for each block."""

    pdf: bytes
    places: Mapping[str, Place]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is seen of an electronic signature."""

    heading: str
    lines: tuple[str, ...]
    note: str
