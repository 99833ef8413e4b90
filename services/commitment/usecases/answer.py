"""The answer, for whoever asks: reckoned from records that are at most two seconds old."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from chassis.clock import day_of, now
from chassis.problem import Forbidden, Problem
from chassis.references import UnknownRegion
from chassis.viewer import National, Viewer
from contracts.regions import Directory, Kind, UnknownGroup
from services.commitment.domain.funnel import Funnel, funnel
from services.commitment.domain.path import Records, Scope
from services.commitment.store.commitments import Commitments
from services.commitment.store.records import Answerable

FRESH_S = 2.0


class UnknownGroupName(Problem):
    """No group is called so."""

    status, code, title = 422, "unknown_group", "There is no such group of regions"
    detail = "Groups are named in contracts/data/groups.json, such as jabar-2023."
    detail_id = "Nama kelompok ada di contracts/data/groups.json, misalnya jabar-2023."


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom the answer is to speak; nothing set: of all."""

    commitment: str | None = None
    group: str | None = None
    province: str | None = None
    kind: Kind | None = None
    host: str | None = None
    since: date | None = None
    until: date | None = None
    public: bool = True
    """With what is public alone; else with results that are not published yet."""


class Answers:
    """Records and answers, shared by all who ask at about the same time: a much-asked one is reckoned once."""

    def __init__(self) -> None:
        self._records: dict[bool, tuple[float, asyncio.Task[Records]]] = {}
        self._answers: dict[Asked, tuple[asyncio.Task[Records], asyncio.Task[Funnel]]] = {}

    async def prepare(self) -> None:
        """Nothing is kept."""

    async def of(self, asked: Asked, scope: Scope, among: Mapping[str, Kind], by: "Sources") -> Funnel:
        """The answer from records that are fresh."""
        records = self._fresh(public=asked.public, by=by)
        known = self._answers.get(asked)
        if known is None or known[0] is not records:
            current = [records for _, records in self._records.values()]
            self._answers = {key: value for key, value in self._answers.items() if value[0] in current}
            known = records, asyncio.create_task(_reckoned(records, scope, among, by.directory))
            self._answers[asked] = known
        return await asyncio.shield(known[1])

    def _fresh(self, *, public: bool, by: "Sources") -> asyncio.Task[Records]:
        read_at, records = self._records.get(public, (0.0, None))
        failed = records is not None and records.done() and records.exception() is not None
        if records is None or failed or time.monotonic() - read_at > FRESH_S:
            records = asyncio.create_task(by.answerable.records(public=public))
            self._records[public] = time.monotonic(), records
        return records


@dataclass(frozen=True, slots=True)
class Sources:
    """What it takes."""

    answerable: Answerable
    answers: Answers
    commitments: Commitments
    directory: Directory


async def answer(asked: Asked, *, viewer: Viewer, by: Sources) -> Funnel:
    """Raises NotFound for a commitment that the viewer may not see, UnknownRegion, UnknownGroupName, Forbidden."""
    if not asked.public and not isinstance(viewer.scores, National):
        raise Forbidden
    if asked.commitment:
        await by.commitments.get(asked.commitment, viewer=viewer)
    organizations = _organizations(asked, by.directory)
    scope = Scope(
        commitment=asked.commitment,
        organizations=organizations,
        host=asked.host,
        since=asked.since,
        until=asked.until,
    )
    return await by.answers.of(asked, scope, _among(asked, organizations, by.directory), by)


def _organizations(asked: Asked, directory: Directory) -> frozenset[str] | None:
    """All of a group, a province, a kind; those of each where several are asked for. None: nobody is left out."""
    found: list[frozenset[str]] = []
    if asked.group:
        try:
            found.append(directory.group(asked.group))
        except UnknownGroup as error:
            raise UnknownGroupName(field="group") from error
    if asked.province:
        if directory.find(asked.province) is None:
            raise UnknownRegion(field="province")
        found.append(frozenset(region.code for region in directory if region.province == asked.province))
    if asked.kind:
        found.append(frozenset(region.code for region in directory if region.kind is asked.kind))
    return frozenset.intersection(*found) if found else None


def _among(asked: Asked, organizations: frozenset[str] | None, directory: Directory) -> dict[str, Kind]:
    """Whom to compare with: the governments of the province that all of them lie in, else of the nation."""
    provinces = {region.province for code in organizations or () if (region := directory.find(code))}
    only = next(iter(provinces)) if len(provinces) == 1 else None
    governments = directory.governments(only, on=day_of(now()))
    return {code: kind for kind, codes in governments.items() for code in codes if asked.kind in (None, kind)}


async def _reckoned(
    records: "asyncio.Task[Records]", scope: Scope, among: Mapping[str, Kind], directory: Directory
) -> Funnel:
    known = await asyncio.shield(records)
    return await asyncio.to_thread(funnel, known, scope, among=among, successor=directory.successor)
