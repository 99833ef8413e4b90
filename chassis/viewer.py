"""Who looks, and how far: the only place where organization and roles become a right to see."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from contracts.roles import REGION_ROLES, Role, TokenClaims

REVIEWING_MINISTRY = "kemenpanrb"
SUPERVISING_MINISTRIES = frozenset({REVIEWING_MINISTRY, "kemendagri"})


@dataclass(frozen=True, slots=True)
class Public:
    """What anybody may see."""


@dataclass(frozen=True, slots=True)
class Regions:
    """What is public, and what belongs to these regions: closed over descendants and predecessors when built."""

    codes: frozenset[str]
    provinces: frozenset[str] = frozenset()
    """Those of which all parts are among the codes: a filter then names the province, not its thousands of parts."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What is public, and what this assessor was assigned to."""

    actor: str


@dataclass(frozen=True, slots=True)
class National:
    """Everything."""


Reach = Public | Regions | Assigned | National


class Depth(StrEnum):
    """Levels go with scores. Answers are what was written and handed in to support them."""

    SCORES = "scores"
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class Viewer:
    """An actor with one reach per depth: a province sees its own answers, but only the scores of its regencies."""

    actor: str
    """Opaque; empty when nobody signed in."""
    organization: str | None
    roles: frozenset[Role]
    scores: Reach
    answers: Reach
    formerly: frozenset[str] = frozenset()
    """The codes that its region had before it was renumbered."""

    def reach(self, depth: Depth) -> Reach:
        """How far this viewer sees at a depth."""
        return self.scores if depth is Depth.SCORES else self.answers

    def may(self, *roles: Role, at: str) -> bool:
        """For commands: has one of the roles, and they are of that very organization."""
        return self.is_of(at) and not self.roles.isdisjoint(roles)

    def is_of(self, organization: str) -> bool:
        """Whether this is their organization, or was until it was renumbered."""
        return organization == self.organization or organization in self.formerly


PUBLIC_VIEWER = Viewer(actor="", organization=None, roles=frozenset(), scores=Public(), answers=Public())


class Directory(Protocol):
    """What the rules need to know about regions."""

    def find(self, code: str) -> object | None:
        """The region, or None where there is none of this code."""
        ...

    def closure(self, code: str) -> frozenset[str]:
        """The region itself, its descendants, and the predecessors of all of them."""
        ...

    def ended(self, code: str) -> bool:
        """Whether this is a region that is no more: its people see what it was, and act for it no longer."""
        ...

    def successor(self, code: str) -> str:
        """The code that a renumbered region has now; of any other organization, its own."""
        ...

    def lineage(self, code: str) -> frozenset[str]:
        """The code, and all that the region had before it was renumbered."""
        ...


def viewer_of(claims: TokenClaims, directory: Directory) -> Viewer:
    """The viewer that a valid token speaks for. Roles and organizations that are unknown give no rights."""
    roles = frozenset(role for role in Role if role in claims.roles)
    organization = directory.successor(claims.organization)  # a token may say the code that it had for some while yet
    if directory.find(organization) is not None:
        scores, answers = _reach_of_region(organization, roles, directory)
        formerly = directory.lineage(organization) - {organization}
    else:
        scores, answers = _reach_of_institution(claims, roles)
        formerly = frozenset[str]()
    acts = frozenset[Role]() if directory.ended(organization) else roles
    return Viewer(claims.sub, organization, acts, scores=scores, answers=answers, formerly=formerly)


def _reach_of_region(code: str, roles: frozenset[Role], directory: Directory) -> tuple[Reach, Reach]:
    inside = not roles.isdisjoint(REGION_ROLES)
    is_province = "." not in code
    if not (inside or (is_province and Role.SUPERVISOR in roles)):
        return Public(), Public()
    closure = directory.closure(code)
    # Of the closure, what stands on the region's own level is itself and its predecessors.
    own = frozenset(c for c in closure if c.count(".") == code.count("."))
    whole = frozenset({code} if is_province else ())
    return Regions(closure, provinces=whole), Regions(own) if inside else Public()


def _reach_of_institution(claims: TokenClaims, roles: frozenset[Role]) -> tuple[Reach, Reach]:
    # Administrators operate, they do not read: the role widens nothing.
    if claims.organization == REVIEWING_MINISTRY and Role.REVIEWER in roles:
        return National(), National()
    assigned: Reach = Assigned(claims.sub) if Role.EXTERNAL_ASSESSOR in roles else Public()
    if claims.organization in SUPERVISING_MINISTRIES and Role.SUPERVISOR in roles:
        return National(), assigned
    return assigned, assigned


def filter_of(reach: Reach, *, public: str | None) -> dict[str, Any]:
    """The MongoDB filter for what a reach may see; combine it by `$and`, never by updating a dict.

    public: the flag field that marks a document as public, or None where nothing ever is (answers). What is public
    stays visible to everybody, so that signing in never hides anything. Documents hold the code of their region in
    `region`, that of its province, with which it begins, in `province`, and `assessors`. `sees` says the same of one.
    """
    match clauses_of(reach, public=public):
        case []:
            return {"_id": {"$in": []}}
        case [only]:
            return only
        case clauses:
            return {"$or": clauses}


def clauses_of(reach: Reach, *, public: str | None) -> list[dict[str, Any]]:
    """`filter_of`, clause by clause: what any of them finds may be seen. One by one, each has its own index."""
    match reach:
        case National():
            return [{}]
        case Regions(codes, provinces):
            others = sorted(code for code in codes if code.partition(".")[0] not in provinces)
            wider: list[dict[str, Any]] = [{"province": province} for province in sorted(provinces)]
            wider += [{"region": {"$in": others}}] if others else []
        case Assigned(actor):
            wider = [{"assessors": actor}]
        case Public():
            wider = []
    return ([{public: True}] if public else []) + wider


def sees(
    reach: Reach,
    document: Mapping[str, Any],
    *,
    public: str | None,
    region: str = "region",
) -> bool:
    """Whether a reach may see this document: what `filter_of` asks of the database, asked of one in hand."""
    if public is not None and document.get(public) is True:
        return True
    match reach:
        case National():
            return True
        case Regions(codes):
            return document.get(region) in codes
        case Assigned(actor):
            assigned: Collection[str] = document.get("assessors") or ()
            return actor in assigned
        case Public():
            return False
