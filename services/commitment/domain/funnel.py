"""The answer: of those who came to study, how many were invited, signed, acted, rose, and reached their target. Pure.

Each step holds only those of the step before it. Whoever can't be measured is neither counted as risen nor as not:
they stand apart, by name, and outside the denominator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from contracts.regions import Kind
from services.commitment.domain.compared import Comparison, compared
from services.commitment.domain.path import Path, Records, Scope, first_visits, paths
from services.commitment.domain.progress import Apart, results


class Stage(StrEnum):
    """Of the path, in its order."""

    VISITED = "visited"
    INVITED = "invited"
    SIGNED = "signed"
    ACTED = "acted"
    IMPROVED = "improved"
    REACHED_TARGET = "reached_target"


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    of: int


@dataclass(frozen=True, slots=True)
class Split:
    """A share of all, and of regions and institutions each."""

    together: Share
    regions: Share
    institutions: Share


@dataclass(frozen=True, slots=True)
class Step:
    """Who came as far as this.

    of: those who could have: all who started; from `improved` on those who acted and can be measured, and, for the
    target, have one. before: those of the step before.
    """

    stage: Stage
    organizations: tuple[str, ...]
    of: int
    before: int

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.organizations)


@dataclass(frozen=True, slots=True)
class Beside:
    """Who went another way: counts only."""

    signed_without_visit: int
    acted_without_visit: int
    acted_without_signature: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """The whole answer for one scope."""

    steps: tuple[Step, ...]
    """From `visited` on; for one commitment from `invited` on, its parties."""
    followed_up: Split
    """The rate asked for: who acted of those who started, through a commitment or without one."""
    reached_host: Share
    """Of those who acted and came as visitors: at least the host's index at that time."""
    visitors_reached_host: Share
    """The same of all visitors."""
    beside: Beside
    apart: Mapping[Apart, tuple[str, ...]]
    """Of those who acted: who can't be measured, and why."""
    no_target: tuple[str, ...]
    """Of those who acted and can be measured."""
    no_host_score: tuple[str, ...]
    """Of those who acted, can be measured, and came as visitors."""
    comparison: Comparison
    paths: Sequence[Path]
    """A row for each organization."""

    def step(self, stage: Stage) -> Step | None:
        """None: the path of this scope starts later."""
        return next((step for step in self.steps if step.stage is stage), None)


def funnel(
    records: Records, scope: Scope, *, among: Mapping[str, Kind], successor: Callable[[str], str]
) -> Funnel:  # fmt: skip
    """The answer from all records, whatever their order.

    among: whom to compare the signatories with, usually the governments of the scope's province or of the nation, by
    kind. successor: the code that a renumbered region has now; any other organization as it is.
    """
    found = results(records.scored, successor=successor)
    visits = first_visits(records.visits, scope, successor=successor)
    all_paths = paths(records, scope, visits=visits, results=found, successor=successor)

    start = [path for path in all_paths if scope.commitment or path.visited]
    invited = [path for path in start if path.invited]
    signed = [path for path in invited if path.signed]
    acted = [path for path in signed if path.acted]
    measured = [path for path in acted if path.progress]
    improved = [path for path in measured if path.improved]
    with_target = [path for path in measured if path.reached_target is not None]
    reached = [path for path in improved if path.reached_target]
    steps = [
        _step(Stage.VISITED, start, of=start, before=start),
        _step(Stage.INVITED, invited, of=start, before=start),
        _step(Stage.SIGNED, signed, of=start, before=invited),
        _step(Stage.ACTED, acted, of=start, before=signed),
        _step(Stage.IMPROVED, improved, of=measured, before=acted),
        _step(Stage.REACHED_TARGET, reached, of=with_target, before=improved),
    ]
    return Funnel(
        steps=tuple(steps[1:] if scope.commitment else steps),
        followed_up=_split(start),
        reached_host=_at_host(acted),
        visitors_reached_host=_at_host(all_paths),
        beside=Beside(
            signed_without_visit=sum(bool(path.signed and not path.visited) for path in all_paths),
            acted_without_visit=sum(bool(path.acted and not path.visited) for path in all_paths),
            acted_without_signature=sum(bool(path.acted and not path.signed) for path in all_paths),
        ),
        apart={why: _names(path for path in acted if path.apart is why) for why in Apart},
        no_target=_names(path for path in measured if path.reached_target is None),
        no_host_score=_names(path for path in measured if path.visited and path.host_index is None),
        comparison=compared(
            all_paths,
            found,
            among=among,
            signed={successor(signature.organization) for signature in records.signatures},
            visitors=visits.keys(),
        ),
        paths=all_paths,
    )


def _step(stage: Stage, reached: Sequence[Path], *, of: Sequence[Path], before: Sequence[Path]) -> Step:
    return Step(stage, _names(reached), of=len(of), before=len(before))


def _names(found: Iterable[Path]) -> tuple[str, ...]:
    return tuple(path.organization for path in found)


def _split(start: Sequence[Path]) -> Split:
    return Split(
        together=_followed_up(start),
        regions=_followed_up([path for path in start if path.region]),
        institutions=_followed_up([path for path in start if not path.region]),
    )


def _followed_up(start: Sequence[Path]) -> Share:
    return Share(sum(path.acted is not None for path in start), len(start))


def _at_host(found: Iterable[Path]) -> Share:
    known = [path.reached_host for path in found if path.reached_host is not None]
    return Share(sum(known), len(known))
