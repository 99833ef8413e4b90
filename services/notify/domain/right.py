"""Who may be told of an event: the right of an organization, and the narrower one that a subscription was made with."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from chassis.viewer import Assigned, National, Public, Regions, Viewer
from contracts.fact import Visibility


class Kind(StrEnum):
    """How far a right reaches (`Reach` in chassis/viewer.py), in a form that can be kept."""

    PUBLIC = "public"
    REGIONS = "regions"
    ASSIGNED = "assigned"
    NATIONAL = "national"


@dataclass(frozen=True, slots=True)
class Right:
    """How deep is not said: no event holds more than levels and scores (docs/adr/0012)."""

    kind: Kind
    roots: tuple[str, ...] = ()
    """Of REGIONS: these and all that lies in them."""
    actor: str | None = None
    """Of ASSIGNED: the assessor."""


PUBLIC = Right(Kind.PUBLIC)
"""Of an organization for which no administrator has set another."""


@dataclass(frozen=True, slots=True)
class About:
    """What decides who may be told of an event."""

    visibility: Visibility
    within: frozenset[str] = frozenset()
    """Its region, and every region that this one lies in."""
    assessors: Collection[str] = ()
    owner: str | None = None
    """Of an event about a subscription: nobody else is told."""
    subscription: str | None = None


def right_of(viewer: Viewer) -> Right:
    """What a token gives, to be kept with a subscription: it can only narrow what the organization's right gives."""
    match viewer.scores:
        case National():
            return Right(Kind.NATIONAL)
        case Regions():
            return Right(Kind.REGIONS, roots=(viewer.organization,) if viewer.organization else ())
        case Assigned(actor):
            return Right(Kind.ASSIGNED, actor=actor)
        case Public():
            return PUBLIC


def may_be_told(about: About, *, organization: str, rights: Collection[Right], subscription: str) -> bool:
    """Whether every one of `rights` reaches the event. An event about a subscription is never told to that very one."""
    if about.owner is not None:
        return about.owner == organization and about.subscription != subscription
    return about.visibility is Visibility.PUBLIC or all(_reaches(right, about) for right in rights)


def _reaches(right: Right, about: About) -> bool:
    match right.kind:
        case Kind.NATIONAL:
            return True
        case Kind.REGIONS:
            return not about.within.isdisjoint(right.roots)
        case Kind.ASSIGNED:  # an organization's right names no actor: the narrower one of each subscription does
            return bool(about.assessors) if right.actor is None else right.actor in about.assessors
        case Kind.PUBLIC:
            return False
