"""What every command of this service is given: who asks, under which key, which state they saw."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from chassis.conditional import Expected
from chassis.outbox import Request
from chassis.problem import Forbidden
from chassis.viewer import Viewer
from contracts.fact import Frozen
from services.commitment.store.aggregates import Decided, Kept

T = TypeVar("T", bound=Frozen)


@dataclass(frozen=True, slots=True)
class Command:
    """A change of what is there."""

    viewer: Viewer
    expected: Expected
    request: Request

    def of_what_they_saw(
        self, decide: Callable[[T], Decided[T]], *, may: Callable[[T], bool]
    ) -> Callable[[Kept[T]], Decided[T]]:
        """Refuse who may not, then a change of a state that they never saw: the decision raises Forbidden or Stale."""

        def check(before: Kept[T]) -> Decided[T]:
            if not may(before.state):
                raise Forbidden
            self.expected.check(before.tag)
            return decide(before.state)

        return check
