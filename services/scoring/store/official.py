"""Official results: one write accepts an import, and whoever finds it carries it to its regions until all have it.

A region's result is an aggregate of its own in `current`, beside what the Lab computed, so that one query reads both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Any

from pymongo import IndexModel

from chassis.outbox import AlreadyThere, Change, Done, Note, Outbox, Request
from chassis.problem import NotFound
from chassis.records import outgoing
from chassis.service import Parts
from chassis.store import Document, claim_due, ensure_indexes
from chassis.viewer import REVIEWING_MINISTRY, Viewer
from contracts import events
from contracts.assessment import CycleOpened, Status
from contracts.fact import Frozen, Visibility
from contracts.regions import Region
from contracts.roles import Role
from contracts.scoring import Basis, OfficialScore, ScoreRecalculated
from services.scoring.store.projection import order_of, raise_summaries
from services.scoring.store.scores import PUBLIC_FLAG

LEASE_S = 20.0
"""Carrying 552 results takes about 2 s. Who outlives the lease is joined by another, which costs repeats."""
AT_ONCE = 16


class Import(Frozen):
    """Results of one decree, accepted whole. `results` by region code, `averages` by kind, "" for all kinds."""

    id: str
    cycle: str
    decree: str
    decree_date: date
    by: str
    at: datetime
    """Later ones win over earlier ones, also where they are carried in another order."""
    results: Mapping[str, OfficialScore]
    averages: Mapping[str, str]


def official_id(cycle: str, region: str) -> str:
    """Of the aggregate."""
    return f"{cycle}:{region}:{Basis.OFFICIAL}"


class Official:
    """Imports, and the results that they brought."""

    def __init__(self, parts: Parts) -> None:
        self._imports: Outbox = parts.outbox("imports")
        self._results: Outbox = parts.outbox("current")
        self._averages = parts.collection("averages")
        self._summaries = parts.collection("summaries")
        self._directory = parts.directory

    async def prepare(self) -> None:
        """Indexes for imports that are due, and for a cycle's averages."""
        await ensure_indexes(self._imports.aggregates, [IndexModel("due_at", name="due", sparse=True)])
        await ensure_indexes(self._averages, [IndexModel("cycle", name="cycle")])

    async def known(self, cycle: str) -> dict[str, Document]:
        """Region → its result in a cycle, as it is kept; they all are public."""
        where = {"cycle": cycle, f"order.{Basis.OFFICIAL}": {"$exists": True}}
        found = await self._results.aggregates.find(where, {"region": 1, "scores": 1}).to_list(None)
        return {document["region"]: document["scores"][Basis.OFFICIAL] for document in found}

    async def accept(self, imported: Import, *, outcome: Document, request: Request) -> Done:
        """One write; the rest follows from it, whoever dies. Raises KeyReused."""
        document = {
            "cycle": imported.cycle,
            "decree": imported.decree,
            "decree_date": imported.decree_date.isoformat(),
            "by": imported.by,
            "at": imported.at,
            "results": {region: score.model_dump(mode="json") for region, score in imported.results.items()},
            "averages": dict(imported.averages),
            "carried": False,
            "due_at": imported.at,
        }
        return await self._imports.create(imported.id, Change(set=document, outcome=outcome), request=request)

    async def get(self, import_id: str, *, viewer: Viewer) -> Document:
        """An import without its rows. Raises NotFound for everybody but KemenPANRB's reviewers."""
        if not viewer.may(Role.REVIEWER, at=REVIEWING_MINISTRY):
            raise NotFound
        found = await self._imports.aggregates.find_one({"_id": import_id}, {"results": 0, "requests": 0, "outbox": 0})
        if found is None:
            raise NotFound
        return found

    async def carry(self, cycle_of: Callable[[str], Awaitable[CycleOpened | None]]) -> bool:
        """Carry the import that is longest due to its regions; whether one was. A repeat changes nothing."""
        claimed = await claim_due(self._imports.aggregates, {"carried": False}, lease_s=LEASE_S)
        if claimed is None:
            return False
        cycle = await cycle_of(claimed["cycle"])
        if cycle is None:
            raise RuntimeError(f"import {claimed['_id']} was accepted for a cycle that is not there")
        results = [
            (self._directory.get(code), OfficialScore.model_validate(score))
            for code, score in claimed["results"].items()
        ]
        for begin in range(0, len(results), AT_ONCE):
            some = results[begin : begin + AT_ONCE]
            await asyncio.gather(*(self._keep(claimed, cycle, region, score) for region, score in some))
        for kind, index in claimed["averages"].items():
            await self._keep_average(claimed, kind, index)
        scopes = [{"cycle": cycle.cycle, "province": region.province} for region, _ in results]
        await raise_summaries(self._summaries, scopes)
        await self._imports.aggregates.update_one(
            {"_id": claimed["_id"]}, {"$set": {"carried": True}, "$unset": {"due_at": "", "claim": ""}}
        )
        return True

    async def _keep(self, imported: Document, cycle: CycleOpened, region: Region, score: OfficialScore) -> None:
        name = official_id(cycle.cycle, region.code)
        said = {"at": imported["at"], "import": imported["_id"]}
        told = score.model_dump(mode="json")

        def decide(before: Document) -> Change:
            known = before["said"]
            if (known["at"], known["import"]) >= (said["at"], said["import"]):
                raise _Carried  # this very import, or one that was accepted after it
            if before["scores"][Basis.OFFICIAL] == told:
                return Change(set={"said": said})
            return _change(cycle, region, score, revision=before["revision"] + 1, said=said)

        try:
            await self._results.create(name, _change(cycle, region, score, revision=1, said=said))
        except AlreadyThere:
            try:
                await self._results.change(lambda: self._find(name), decide)
            except _Carried:
                return

    async def _find(self, name: str) -> Document:
        document = await self._results.aggregates.find_one({"_id": name})
        if document is None:
            raise NotFound
        return document

    async def _keep_average(self, imported: Document, kind: str, index: str) -> None:
        name = f"{imported['cycle']}/{kind or 'all'}"
        average = {
            "_id": name,
            "cycle": imported["cycle"],
            "kind": kind or None,
            "index": index,
            "decree": imported["decree"],
            "decree_date": imported["decree_date"],
            "at": imported["at"],
            "import": imported["_id"],
        }
        # As results do: of two accepted at the same time the same one wins, whoever comes first.
        there, here = ["$at", "$import"], [imported["at"], imported["_id"]]
        newer = {"$or": [{"$eq": [{"$type": "$at"}, "missing"]}, {"$lte": [there, here]}]}
        await self._averages.update_one(
            {"_id": name}, [{"$replaceWith": {"$cond": [newer, {"$literal": average}, "$$ROOT"]}}], upsert=True
        )


class _Carried(Exception):
    """Nothing is to be done for this region any more."""


def _change(cycle: CycleOpened, region: Region, score: OfficialScore, *, revision: int, said: Document) -> Change:
    name = official_id(cycle.cycle, region.code)
    body = ScoreRecalculated(
        score=name,
        region=region.code,
        instrument=cycle.instrument,
        cycle=cycle.cycle,
        period=cycle.period,
        predicate_basis=cycle.predicate_basis,
        status=Status.PUBLISHED,
        scores={},
        official=score,
    )
    fact = outgoing(
        events.SCORE_RECALCULATED,
        body,
        key=region.code,
        revision=revision,
        time=said["at"],
        visibility=Visibility.PUBLIC,
        region=region.code,
    )
    state: dict[str, Any] = {
        "assessment": name,
        "region": region.code,
        "province": region.province,
        "kind": region.kind.value,
        "instrument": cycle.instrument,
        "cycle": cycle.cycle,
        "period": cycle.period,
        "predicate_basis": cycle.predicate_basis.value,
        "status": Status.PUBLISHED.value,
        "revision": revision,
        "rule": 0,
        "time": said["at"],
        "assessors": [],
        PUBLIC_FLAG: True,
        "scores": {Basis.OFFICIAL.value: score.model_dump(mode="json")},
        "levels": {},
        "order": {Basis.OFFICIAL.value: order_of(score.index.value)},
    }
    kept = Note("history", {**state, "_id": f"{name}/{revision}/0", "said": said})
    return Change(set={**state, "said": said}, facts=[fact], notes=[kept])
