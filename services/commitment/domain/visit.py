"""A study visit (kunjungan studi): who came to whom, when and why; recorded by either, corrected, withdrawn."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid5

from chassis.problem import Problem
from contracts.commitment import Origin, VisitState, VisitStatus
from contracts.fact import Frozen
from contracts.regions import Directory
from services.commitment.domain.organization import region_of

MET_MAX = 20
"""Persons named at one visit."""
VISITS = UUID("0f3c3c5e-5a5e-5f0a-9a5f-0b6b0f3a6c11")


class InTheFuture(Problem):
    """What has not happened can't be recorded."""

    status, code, title = 422, "in_the_future", "This day has not come yet"
    detail = "Record it once it took place."
    detail_id = "Catat setelah berlangsung."


class VisitsItself(Problem):
    """Nobody studies at home."""

    status, code, title = 422, "visits_itself", "Visitor and host are the same"
    detail = "Name whom they came to as `host`."
    detail_id = "Isi `host` dengan yang dikunjungi."


class VisitWithdrawn(Problem):
    """It was recorded by mistake."""

    status, code, title = 409, "visit_withdrawn", "This visit was withdrawn already"
    detail = "Correct it to let it hold again."
    detail_id = "Perbaiki bila kunjungan ini ternyata benar."


class Visit(Frozen):
    """`met` names offices and persons; it never leaves the service but for those who were there."""

    visit: str
    organization: str
    region: str | None
    host: str
    visited_on: date
    subject: str
    met: tuple[str, ...]
    status: VisitStatus
    origin: Origin
    by: str
    revision: int

    def corrected(self, *, visited_on: date, subject: str, met: tuple[str, ...], by: str) -> "Visit":
        """One that was withdrawn holds again."""
        return self._next(visited_on=visited_on, subject=subject, met=met, status=VisitStatus.RECORDED, by=by)

    def withdrawn(self, *, by: str) -> "Visit":
        """Raises VisitWithdrawn."""
        if self.status is VisitStatus.WITHDRAWN:
            raise VisitWithdrawn
        return self._next(status=VisitStatus.WITHDRAWN, by=by)

    def told(self) -> VisitState:
        """What others may know."""
        return VisitState.model_validate(self.model_dump(exclude={"met", "by", "revision"}))

    def _next(self, **changed: object) -> "Visit":
        return self.model_copy(update={**changed, "revision": self.revision + 1})


@dataclass(frozen=True, slots=True)
class Asked:
    """A visit as somebody records it."""

    organization: str
    host: str
    visited_on: date
    subject: str
    met: tuple[str, ...]

    def visit(self, *, origin: Origin, by: str, directory: Directory) -> Visit:
        """Its first state."""
        return Visit(
            visit=visit_id(self.organization, self.host, self.visited_on, self.subject),
            organization=self.organization,
            region=region_of(self.organization, directory),
            host=self.host,
            visited_on=self.visited_on,
            subject=self.subject,
            met=self.met,
            status=VisitStatus.RECORDED,
            origin=origin,
            by=by,
            revision=1,
        )


def visit_id(organization: str, host: str, visited_on: date, subject: str) -> str:
    """The same for the same visit, whoever records it and however often: an import twice adds nothing."""
    return str(
        uuid5(VISITS, "\n".join([organization, host, visited_on.isoformat(), " ".join(subject.lower().split())]))
    )


def check(*, organization: str, host: str, visited_on: date, today: date) -> None:
    """Raises InTheFuture, VisitsItself."""
    if visited_on > today:
        raise InTheFuture(field="visited_on")
    if organization == host:
        raise VisitsItself(field="host")
