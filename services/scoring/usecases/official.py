"""Official results: judged, accepted in one write, carried to their regions."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid5

from chassis import outbox
from chassis.clock import day_of, now
from chassis.problem import Forbidden, Problem
from chassis.store import Document
from chassis.table import Remark
from chassis.viewer import REVIEWING_MINISTRY, Viewer
from contracts.regions import Directory
from contracts.roles import Role
from contracts.scoring import OfficialScore
from services.scoring.domain.official import Judged, check_decree, judge, official_score
from services.scoring.domain.table import Record, of_csv, of_records
from services.scoring.store.instruments import Instruments
from services.scoring.store.official import Import, Official
from services.scoring.usecases.read import opened

IDLE_S = 0.25
IMPORTS = UUID("5d8f7a53-7f1e-5b0e-8a0b-0a6f3f6f2c77")


class ImportRefused(Problem):
    """Nothing of it was written."""

    status, code, title = 422, "import_refused", "The results can't be taken over as they are"

    def __init__(self, faults: Sequence[Remark]) -> None:
        super().__init__(
            "`errors` names each fault with its place. Nothing was written: mend them and send the whole table again.",
            "`errors` menyebut setiap kesalahan dan tempatnya. Tidak ada yang disimpan: perbaiki lalu kirim lagi "
            "seluruh tabel.",
            errors=[fault.told() for fault in faults],
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to import: a CSV file, or records of the national API."""

    cycle: str
    decree: str
    decree_date: date
    content: bytes | Sequence[Record]


def check_may_import(viewer: Viewer) -> None:
    """Raises Forbidden for everybody but KemenPANRB's reviewers."""
    if not viewer.may(Role.REVIEWER, at=REVIEWING_MINISTRY):
        raise Forbidden


async def import_results(
    asked: Asked,
    *,
    dry_run: bool,
    viewer: Viewer,
    key: str,
    official: Official,
    instruments: Instruments,
    directory: Directory,
) -> outbox.Done | Document:
    """Judge all of it, then accept all of it or nothing. What a dry run found, else the accepted import.

    Raises Forbidden, UnknownCycle, ImportRefused, KeyReused.
    """
    check_may_import(viewer)
    cycle = await opened(asked.cycle, instruments=instruments)
    instrument = await instruments.get(cycle.instrument)
    judged = Judged()
    judged.faults += check_decree(asked.decree, asked.decree_date, cycle=cycle, today=day_of(now()))
    content = asked.content
    rows = (
        of_csv(content, instrument, judged) if isinstance(content, bytes) else of_records(content, instrument, judged)
    )
    # In a thread: a megabyte takes half a second, in which the loop would stand still.
    await asyncio.to_thread(judge, rows, cycle=cycle, instrument=instrument, directory=directory, judged=judged)
    if judged.faults:
        raise ImportRefused(judged.faults)
    results = {
        result.region: official_score(
            result, cycle=cycle, instrument=instrument, decree=asked.decree, decree_date=asked.decree_date
        )
        for result in judged.results
    }
    outcome = _outcome(judged, results, await official.known(cycle.cycle))
    if dry_run:
        return outcome | {"id": None, "dry_run": True}
    import_id = str(uuid5(IMPORTS, f"{viewer.actor}\n{key}"))
    imported = Import(
        id=import_id,
        cycle=cycle.cycle,
        decree=asked.decree,
        decree_date=asked.decree_date,
        by=viewer.actor,
        at=now(),  # not before it was judged: a quick import that began later would win over a slow one
        results=results,
        averages={average.kind or "": average.index for average in judged.averages},
    )
    asked_for = imported.model_dump_json(exclude={"id", "at", "by"})
    request = outbox.Request.of(actor=viewer.actor, key=key, asked=[asked_for])
    return await official.accept(imported, outcome=outcome | {"id": import_id, "dry_run": False}, request=request)


async def carry_imports(official: Official, instruments: Instruments) -> None:
    """For ever: carry what was accepted. Several workers share it by leases."""
    while True:
        if not await official.carry(instruments.cycle):
            await asyncio.sleep(IDLE_S)


def _outcome(judged: Judged, results: dict[str, OfficialScore], known: dict[str, Document]) -> Document:
    kept = {region: known.get(region) for region in results}
    new = sum(there is None for there in kept.values())
    same = sum(there == results[region].model_dump(mode="json") for region, there in kept.items())
    return {
        "rows": len(results),
        "new": new,
        "changed": len(results) - new - same,
        "unchanged": same,
        "averages": len(judged.averages),
        "warnings": [warning.told() for warning in judged.warnings],
    }
