"""Study visits: recorded by whoever was there, or taken over from a table."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime
from uuid import UUID, uuid5

from chassis.clock import day_of, now
from chassis.outbox import AlreadyThere, Done, Request
from chassis.problem import Forbidden, Problem
from chassis.records import OutgoingFact, outgoing
from chassis.table import Remark, missing_column
from chassis.viewer import Viewer
from contracts import events
from contracts.commitment import Origin
from contracts.fact import Visibility
from contracts.regions import Directory
from services.commitment.domain.organization import UnknownOrganization, is_organization
from services.commitment.domain.rights import RECORDS, facilitates
from services.commitment.domain.table import of_csv
from services.commitment.domain.visit import Asked, Visit, check
from services.commitment.store.aggregates import Decided
from services.commitment.store.visits import Visits
from services.commitment.usecases.command import Command

IDLE_S = 0.25
_IMPORTS = UUID("6f5b54a1-1f4c-5d05-8d61-3c3f0cbb4e0e")


class VisitExists(Problem):
    """The same visitor, host, day and subject."""

    status, code, title = 409, "visit_exists", "This visit is recorded already"

    def __init__(self, visit: str) -> None:
        address = f"/commitment/v1/visits/{visit}"
        super().__init__(f"It is at {address}.", f"Tercatat di {address}.", visit=visit)


class VisitsRefused(Problem):
    """Nothing of the table was taken over."""

    status, code, title = 422, "import_refused", "The table can't be taken over as it is"

    def __init__(self, faults: Sequence[Remark]) -> None:
        super().__init__(
            "`errors` names each fault with its place. Nothing was written: mend them and send the whole table again.",
            "`errors` menyebut setiap kesalahan dan tempatnya. Tidak ada yang disimpan: perbaiki lalu kirim lagi "
            "seluruh tabel.",
            errors=[fault.told() for fault in faults],
        )


def recorded(visit: Visit, at: datetime) -> Decided[Visit]:
    """The visit, and the fact that it is recorded so."""
    return Decided(visit, facts=[_fact(visit, at)])


async def record(asked: Asked, *, viewer: Viewer, request: Request, visits: Visits, directory: Directory) -> Done:
    """Raises UnknownOrganization, InTheFuture, VisitsItself, Forbidden, VisitExists, KeyReused."""
    for field, name in (("organization", asked.organization), ("host", asked.host)):
        if not is_organization(name, directory):
            raise UnknownOrganization(field=field)
    at = now()
    check(organization=asked.organization, host=asked.host, visited_on=asked.visited_on, today=day_of(at))
    if not _may_record(viewer, asked.organization, asked.host):
        raise Forbidden
    visit = asked.visit(origin=Origin.ENTERED, by=viewer.actor, directory=directory)
    try:
        return await visits.create(visit, recorded(visit, at), request=request)
    except AlreadyThere as error:
        raise VisitExists(visit.visit) from error


async def correct(
    visit: str, *, visited_on: date, subject: str, met: tuple[str, ...], command: Command, visits: Visits
) -> Done:
    """One that was withdrawn holds again. Raises NotFound, Forbidden, Stale, InTheFuture, KeyReused."""
    at = now()

    def decide(before: Visit) -> Decided[Visit]:
        check(organization=before.organization, host=before.host, visited_on=visited_on, today=day_of(at))
        return recorded(before.corrected(visited_on=visited_on, subject=subject, met=met, by=command.viewer.actor), at)

    return await visits.change(
        visit, command.of_what_they_saw(decide, may=_may_change(command.viewer)), request=command.request
    )


async def withdraw(visit: str, *, command: Command, visits: Visits) -> Done:
    """Raises NotFound, Forbidden, Stale, VisitWithdrawn, KeyReused."""
    at = now()

    def decide(before: Visit) -> Decided[Visit]:
        return recorded(before.withdrawn(by=command.viewer.actor), at)

    return await visits.change(
        visit, command.of_what_they_saw(decide, may=_may_change(command.viewer)), request=command.request
    )


async def import_visits(content: bytes, *, viewer: Viewer, key: str, visits: Visits, directory: Directory) -> Done:
    """Judge the whole table, then accept all of it or nothing. Raises Forbidden, VisitsRefused, KeyReused."""
    at = now()
    if not (facilitates(viewer) or (viewer.organization and viewer.may(*RECORDS, at=viewer.organization))):
        raise Forbidden
    faults: list[Remark] = []
    asked = list(of_csv(content, directory=directory, today=day_of(at), faults=faults))
    if not facilitates(viewer) and any(one.host != viewer.organization for one in asked):
        raise Forbidden
    if faults or not asked:
        raise VisitsRefused(faults or [missing_column("organization")])
    found = [one.visit(origin=Origin.IMPORTED, by=viewer.actor, directory=directory) for one in asked]
    import_id = str(uuid5(_IMPORTS, f"{viewer.actor}\n{key}"))
    request = Request.of(actor=viewer.actor, key=key, asked=[one.model_dump_json(exclude={"by"}) for one in found])
    outcome = {"id": import_id, "rows": len(found)}
    return await visits.accept(import_id, found, by=viewer.actor, at=at, outcome=outcome, request=request)


async def carry_imports(visits: Visits) -> None:
    """For ever: record what was accepted. Several workers share it by leases."""
    while True:
        if not await visits.carry(recorded):
            await asyncio.sleep(IDLE_S)


def _may_record(viewer: Viewer, organization: str, host: str) -> bool:
    return facilitates(viewer) or viewer.may(*RECORDS, at=organization) or viewer.may(*RECORDS, at=host)


def _may_change(viewer: Viewer) -> Callable[[Visit], bool]:
    return lambda visit: _may_record(viewer, visit.organization, visit.host)


def _fact(visit: Visit, at: datetime) -> OutgoingFact:
    return outgoing(
        events.VISIT_RECORDED,
        visit.told(),
        key=visit.visit,
        revision=visit.revision,
        time=at,
        visibility=Visibility.PUBLIC,
        region=visit.region,
    )
