"""What is asked of scores: one query each, whatever the number of regions."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from chassis.problem import Problem
from chassis.references import UnknownCycle, UnknownRegion
from chassis.store import Document
from chassis.viewer import Viewer
from contracts.assessment import CycleOpened
from contracts.regions import Directory, Kind, Region, UnknownGroup
from contracts.scoring import Basis
from services.scoring.domain.summary import Scope
from services.scoring.store.instruments import Instruments
from services.scoring.store.scores import Place, Scores

COMPARED_MAX = 12
MISSING_LOOKED_AT = 500
"""Regions of which a page of missing ones asks: so many are there at most, mostly fewer."""


class UnknownScope(Problem):
    """A filter names a province or group that does not exist, or two scopes at once."""

    status, code, title = 422, "unknown_scope", "There is no such province or group"


class ComparedTwice(Problem):
    """A region stands twice in a comparison."""

    status, code, title = 422, "compared_twice", "A region cannot be compared with itself"
    detail = "Name each region once."
    detail_id = "Sebutkan setiap daerah sekali saja."


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row of standings: the score, its rank among all of its kind that the viewer sees, and where it ends a page."""

    document: Document
    rank: int
    place: Place


async def opened(cycle: str, *, instruments: Instruments) -> CycleOpened:
    """By id. Raises UnknownCycle."""
    known = await instruments.cycle(cycle)
    if known is None:
        raise UnknownCycle(field="cycle")
    return known


def scope_of(directory: Directory, *, province: str | None, group: str | None) -> Scope:
    """What a summary is of. Raises UnknownScope."""
    if group is not None and province is not None:
        raise UnknownScope(
            "A summary is of one scope: send `province` or `group`, not both.",
            "Ringkasan hanya untuk satu cakupan: kirim `province` atau `group`, tidak keduanya.",
            field="group",
        )
    if group is not None:
        return Scope(group=group, members=_group(directory, group))
    return Scope(province=None if province is None else _province(directory, province))


async def of_region(region: str, *, scores: Scores, directory: Directory, viewer: Viewer) -> list[Document]:
    """The newest scores of a region that the viewer sees, the latest period first. Raises UnknownRegion."""
    if directory.find(region) is None:
        raise UnknownRegion(field="region")
    return await scores.of_region(directory.lineage(region), viewer=viewer)


async def compared(
    regions: Sequence[str], *, cycle: str, basis: Basis, scores: Scores, directory: Directory, viewer: Viewer
) -> list[tuple[Region, Document | None]]:
    """Each region in the order asked for, with its score on the basis where there is one that the viewer sees.

    Raises UnknownRegion, ComparedTwice.
    """
    if len(set(regions)) < len(regions):
        raise ComparedTwice(field="region")
    found = [directory.find(code) for code in regions]
    if any(region is None for region in found):
        raise UnknownRegion(field="region")
    lineages = {code: directory.lineage(code) for code in regions}
    documents = await scores.compared(
        sorted(frozenset[str]().union(*lineages.values())), cycle=cycle, basis=basis, viewer=viewer
    )
    by_region = {document["region"]: document for document in documents}
    return [
        (region, next((by_region[code] for code in _newest_first(region, lineages) if code in by_region), None))
        for region in found
        if region is not None
    ]


async def standings(
    *,
    scores: Scores,
    instruments: Instruments,
    directory: Directory,
    viewer: Viewer,
    cycle: str,
    kind: Kind,
    basis: Basis,
    province: str | None,
    group: str | None,
    after: Place | None,
    limit: int,
) -> list[Ranked]:
    """A page; equal indices share a rank. Raises UnknownCycle, UnknownScope."""
    await opened(cycle, instruments=instruments)
    within: Document = {}
    if province is not None:
        within["province"] = _province(directory, province)
    if group is not None:
        within["region"] = {"$in": sorted(_group(directory, group))}
    page = await scores.standings(
        viewer=viewer, cycle=cycle, kind=kind.value, basis=basis, within=within, after=after, limit=limit
    )
    rows: list[Ranked] = []
    for document in page:
        index = document["scores"][basis]["index"]["value"]
        seen = (after.seen if after else 0) + 1
        rank = after.rank if after and after.index == index else seen
        after = Place(index=index, name=document["_id"], seen=seen, rank=rank)
        rows.append(Ranked(document, rank, after))
    return rows


async def missing(
    scope: Scope,
    *,
    cycle: CycleOpened,
    basis: Basis,
    kind: Kind,
    after: str | None,
    limit: int,
    scores: Scores,
    directory: Directory,
    viewer: Viewer,
) -> tuple[list[Region], str | None]:
    """A page of governments without an index that counts in `summary`, by code; and the code to go on after."""
    expected = expected_of(scope, directory, cycle)[kind]
    begin = bisect_right(expected, after) if after else 0
    asked = expected[begin : begin + MISSING_LOOKED_AT]
    lineages = {code: directory.lineage(code) for code in asked}
    known = sorted(frozenset[str]().union(*lineages.values()))
    there = await scores.having(known, cycle=cycle.cycle, basis=basis, scope=scope, viewer=viewer)
    lacking = [code for code, lineage in lineages.items() if lineage.isdisjoint(there)]
    page = lacking[:limit]
    examined = page[-1:] if len(lacking) > limit else asked[-1:]
    following = examined[0] if examined and examined[0] != expected[-1] else None
    return [directory.get(code) for code in page], following


def expected_of(scope: Scope, directory: Directory, cycle: CycleOpened) -> dict[Kind, Sequence[str]]:
    """The codes of the governments of a scope at the end of a cycle's year, per kind: what a summary should hold."""
    governments = directory.governments(scope.province, on=date(cycle.period, 12, 31))
    if scope.members is None:
        return dict(governments)
    return {kind: [code for code in codes if code in scope.members] for kind, codes in governments.items()}


def _newest_first(region: Region, lineages: Mapping[str, frozenset[str]]) -> list[str]:
    """Its own code before those that it had, the highest first."""
    return sorted(lineages[region.code], key=lambda code: (code == region.code, code), reverse=True)


def _province(directory: Directory, code: str) -> str:
    region = directory.find(code)
    if region is None or region.kind is not Kind.PROVINCE:
        raise UnknownScope(
            "Use a province's code, such as 32.", "Gunakan kode provinsi, misalnya 32.", field="province"
        )
    return code


def _group(directory: Directory, name: str) -> frozenset[str]:
    try:
        return directory.group(name)
    except UnknownGroup as error:
        raise UnknownScope(
            "Use the name of a group, such as jabar-2023.", "Gunakan nama kelompok, misalnya jabar-2023.", field="group"
        ) from error
