"""The path of one organization: it came, was invited, signed, acted, and rose or did not. Pure.

An organization is a region's code or an institution's slug; a region that was renumbered is one organization.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from services.commitment.domain.progress import Apart, Progress, Results, Scored, progress, until


@dataclass(frozen=True, slots=True)
class Visit:
    """A study visit that took place."""

    organization: str
    host: str
    on: date


@dataclass(frozen=True, slots=True)
class Invitation:
    """A place to sign in a commitment that was opened and not withdrawn."""

    commitment: str
    organization: str


@dataclass(frozen=True, slots=True)
class Signature:
    """`on`: the date of the paper, never of the time stamp. What was signed in 2023 may be entered years later."""

    commitment: str
    organization: str
    on: date


@dataclass(frozen=True, slots=True)
class Done:
    """A follow-up that is done, with evidence that was accepted."""

    organization: str
    commitment: str | None
    on: date


@dataclass(frozen=True, slots=True)
class Pledged:
    """A pledge that was not withdrawn."""

    organization: str
    commitment: str | None
    fulfilled: bool


@dataclass(frozen=True, slots=True)
class Target:
    """What all parties of a commitment are to reach: an index at least, or one of `predicates`, its own and better."""

    commitment: str
    instrument: str
    index: Fraction | None
    predicates: frozenset[str]

    def reached_by(self, scored: Scored) -> bool:
        """Exact."""
        return scored.predicate in self.predicates if self.index is None else scored.index >= self.index


@dataclass(frozen=True, slots=True)
class Records:
    """All that is known, in no order."""

    visits: Sequence[Visit] = ()
    invitations: Sequence[Invitation] = ()
    signatures: Sequence[Signature] = ()
    done: Sequence[Done] = ()
    pledged: Sequence[Pledged] = ()
    targets: Sequence[Target] = ()
    scored: Sequence[Scored] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked about. `since` and `until` bound the first visits, both days included."""

    commitment: str | None = None
    organizations: frozenset[str] | None = None
    """Of a group, a province or a kind; None = all."""
    host: str | None = None
    since: date | None = None
    until: date | None = None

    def covers(self, organization: str) -> bool:
        """Whether it is asked about."""
        return self.organizations is None or organization in self.organizations

    def concerns(self, commitment: str | None) -> bool:
        """Whether what happened under it is."""
        return self.commitment is None or commitment == self.commitment


@dataclass(frozen=True, slots=True)
class Path:
    """How far one organization came, and when."""

    organization: str
    visited: date | None
    """The first time."""
    host: str | None
    """Of that visit."""
    invited: bool
    signed: date | None
    acted: date | None
    """The first follow-up since it came or signed, whichever was earlier."""
    progress: Progress | None
    """Since it signed, else since it came."""
    apart: Apart | None
    """Why there is no progress to look at. Both are None for whoever neither came nor signed."""
    reached_target: bool | None
    """None: it has no target, or none that its newest result can be held against."""
    host_index: Fraction | None
    """Of the host when they came, by the instrument of the newest result."""

    @property
    def region(self) -> bool:
        """Else an institution."""
        return is_region(self.organization)

    @property
    def improved(self) -> bool:
        """Rose at all."""
        return self.progress is not None and self.progress.change > 0

    @property
    def reached_host(self) -> bool | None:
        """Whether it is where the host was when they came. None: not known of one of them."""
        if self.progress is None or self.host_index is None:
            return None
        return self.progress.later.index >= self.host_index


def is_region(organization: str) -> bool:
    """A code begins with a digit, a slug never does."""
    return organization[:1].isdigit()


def first_visits(visits: Iterable[Visit], scope: Scope, *, successor: Callable[[str], str]) -> Mapping[str, Visit]:
    """Of each organization in scope. Nobody visits themselves."""
    hosted_by = scope.host and successor(scope.host)
    found: dict[str, Visit] = {}
    for visit in visits:
        one = Visit(successor(visit.organization), successor(visit.host), visit.on)
        early, late = scope.since and one.on < scope.since, scope.until and one.on > scope.until
        if one.organization == one.host or early or late or not scope.covers(one.organization):
            continue
        there = found.get(one.organization)
        if hosted_by in (None, one.host) and (there is None or (one.on, one.host) < (there.on, there.host)):
            found[one.organization] = one
    return found


def paths(
    records: Records,
    scope: Scope,
    *,
    visits: Mapping[str, Visit],
    results: Results,
    successor: Callable[[str], str],
) -> Sequence[Path]:
    """One per organization in scope that came, was invited or signed, by code; under a commitment: of its parties."""
    signed: dict[str, dict[str, date]] = defaultdict(dict)
    for signature in records.signatures:
        if scope.concerns(signature.commitment):
            of = signed[successor(signature.organization)]
            of[signature.commitment] = min(signature.on, of.get(signature.commitment, signature.on))
    invited = {successor(one.organization) for one in records.invitations if scope.concerns(one.commitment)}
    invited |= signed.keys()  # whoever joined what was open to them needed no invitation
    done: dict[str, list[date]] = defaultdict(list)
    for one in records.done:
        if scope.concerns(one.commitment):
            done[successor(one.organization)].append(one.on)
    pledged: dict[str, list[bool]] = defaultdict(list)
    for pledge in records.pledged:
        if scope.concerns(pledge.commitment):
            pledged[successor(pledge.organization)].append(pledge.fulfilled)
    targets = {target.commitment: target for target in records.targets}

    def path(organization: str) -> Path:
        visit = visits.get(organization)
        under = signed.get(organization, {})
        signed_on = min(under.values(), default=None)
        begun = [day for day in (signed_on, visit and visit.on) if day]
        acted = [day for day in done.get(organization, ()) if not begun or day >= min(begun)]
        found = progress(results.get(organization, {}), since=begun[0].year) if begun else None
        came = found if isinstance(found, Progress) else None
        return Path(
            organization=organization,
            visited=visit and visit.on,
            host=visit and visit.host,
            invited=organization in invited,
            signed=signed_on,
            acted=min(acted, default=None),
            progress=came,
            apart=found if isinstance(found, Apart) else None,
            reached_target=_reached(pledged.get(organization, ()), [targets[c] for c in under if c in targets], came),
            host_index=_host_index(results, visit, came),
        )

    known = invited if scope.commitment else invited | visits.keys()
    return tuple(path(organization) for organization in sorted(known) if scope.covers(organization))


def _reached(pledged: Iterable[bool], targets: Iterable[Target], came: Progress | None) -> bool | None:
    held = [*pledged]
    if came:
        held += [target.reached_by(came.later) for target in targets if target.instrument == came.later.instrument]
    return any(held) if held else None


def _host_index(results: Results, visit: Visit | None, came: Progress | None) -> Fraction | None:
    if visit is None or came is None:
        return None
    host = until(results.get(visit.host, {}).get(came.later.instrument, {}), visit.on.year)
    return host and host.index
