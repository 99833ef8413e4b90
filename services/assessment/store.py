"""All queries of the assessment service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from pymongo import IndexModel

from chassis.clock import now
from chassis.outbox import AlreadyThere, Change, Done, Note, Outbox, Request
from chassis.problem import NotFound
from chassis.records import OutgoingFact
from chassis.service import Parts
from chassis.store import Document, ensure_indexes
from chassis.viewer import Depth, Viewer, filter_of
from contracts.assessment import CycleOpened, InstrumentPublished, PredicateBasis, Stage, Status
from services.assessment.domain import Answer, Assessment

PUBLIC_FLAG = "public"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command came to: the changed assessment, its facts, and what the caller is answered."""

    assessment: Assessment
    facts: Sequence[OutgoingFact] = ()
    outcome: Document = field(default_factory=dict[str, Any])


class ImmutableBroken(Exception):
    """An instrument or cycle was published before with other content; it needs a new id."""


class Catalogue:
    """Which instruments and cycles were published. The texts themselves are data beside the code."""

    def __init__(self, parts: Parts) -> None:
        self._instruments: Outbox = parts.outbox("instruments")
        self._cycles: Outbox = parts.outbox("cycles")

    async def prepare(self) -> None:
        """Read by `_id` alone: no index is missing."""

    async def publish(self, published: InstrumentPublished | CycleOpened, fact: OutgoingFact) -> None:
        """Once, whoever starts first and however often. Raises ImmutableBroken."""
        outbox = self._instruments if isinstance(published, InstrumentPublished) else self._cycles
        # Without nulls: a field that the contract gains, and that is null here, changes nothing that was published.
        said = published.model_dump_json(exclude_none=True).encode()
        digest = blake2b(said, digest_size=16).hexdigest()
        try:
            await outbox.create(published.aggregate, Change(set={"digest": digest}, facts=[fact]))
        except AlreadyThere as error:
            there = await outbox.aggregates.find_one({"_id": published.aggregate}, {"digest": 1})
            if there is None or there["digest"] != digest:
                raise ImmutableBroken(
                    f"{published.aggregate} differs from what was published under this id; give the change a new id"
                ) from error


class Assessments:
    """The assessments; each query asks as somebody."""

    def __init__(self, parts: Parts) -> None:
        self._outbox: Outbox = parts.outbox("assessments")
        self._directory = parts.directory

    async def prepare(self) -> None:
        """Indexes for lists by region and by period."""
        await ensure_indexes(
            self._outbox.aggregates,
            [
                IndexModel([("region", 1), ("_id", 1)], name="region"),
                IndexModel([("province", 1), ("_id", 1)], name="province"),
                IndexModel([("period", 1), ("status", 1), ("_id", 1)], name="period"),
                # Whoever may see little asks for what is public, or theirs: both sides of the "or" need an index.
                IndexModel([(PUBLIC_FLAG, 1), ("_id", 1)], name="public"),
            ],
        )

    async def open(self, assessment: Assessment, *, by: str, outcome: Document, request: Request) -> Done:
        """Create it. Raises AlreadyThere for a second one of the region and cycle, KeyReused."""
        note = _note(assessment, version=1, what="opened", by=by)
        region = self._directory.get(assessment.region)
        fields = {**_fields(assessment), "province": region.province, PUBLIC_FLAG: False, "assessors": []}
        change = Change(set=fields, notes=[note], outcome=outcome)
        return await self._outbox.create(assessment.id, change, request=request)

    async def change(
        self,
        assessment_id: str,
        *,
        viewer: Viewer,
        what: str,
        decide: Callable[[Assessment], Decision],
        request: Request | None = None,
    ) -> Done:
        """Decide and write once: state, facts, and a note for the history. Raises NotFound, and what `decide` does."""

        def change(document: Document) -> Change:
            before = _assessment(document)
            decision = decide(before)
            after = decision.assessment
            changed = {n: a for n, a in after.answers.items() if before.answers.get(n) != a}
            fields: dict[str, Any] = {"status": after.status.value, "revision": after.revision}
            fields |= {f"answers.{number}": _answer_document(answer) for number, answer in changed.items()}
            fields |= {f"texts.{number}": _texts_document(answer) for number, answer in changed.items()}
            note = _note(after, version=before.version + 1, what=what, by=viewer.actor, answers=changed)
            return Change(set=fields, facts=decision.facts, notes=[note], outcome=decision.outcome)

        return await self._outbox.change(lambda: self._find(assessment_id, viewer), change, request=request)

    def read(self, done: Done) -> Assessment:
        """The assessment as a command left it."""
        return _assessment(done.document)

    async def get(self, assessment_id: str, *, viewer: Viewer) -> Assessment:
        """Raises NotFound, also for what the viewer may not see."""
        return _assessment(await self._find(assessment_id, viewer))

    async def list(
        self,
        *,
        viewer: Viewer,
        region: str | None,
        period: int | None,
        status: Status | None,
        after: str | None,
        limit: int,
    ) -> list[Assessment]:
        """By id, those after `after`, as far as the viewer sees."""
        asked: Document = {"region": region, "period": period, "status": status.value if status else None}
        where = {name: value for name, value in asked.items() if value is not None}
        clauses = [where, _visible(viewer), {"_id": {"$gt": after}} if after else {}]
        # Not what was written in support, which may be a megabyte an assessment: a list shows progress.
        found = self._outbox.aggregates.find({"$and": clauses}, {"outbox": 0, "requests": 0, "texts": 0})
        return [_assessment(document) for document in await found.sort("_id", 1).limit(limit).to_list(None)]

    async def _find(self, assessment_id: str, viewer: Viewer) -> Document:
        # One query whether it is missing or hidden: neither the answer nor its time tells the two apart.
        document = await self._outbox.aggregates.find_one({"$and": [{"_id": assessment_id}, _visible(viewer)]})
        if document is None:
            raise NotFound
        return document


def _visible(viewer: Viewer) -> Document:
    return filter_of(viewer.reach(Depth.SCORES), public=PUBLIC_FLAG)


def _fields(assessment: Assessment) -> Document:
    return {
        "region": assessment.region,
        "instrument": assessment.instrument,
        "cycle": assessment.cycle,
        "period": assessment.period,
        "predicate_basis": assessment.predicate_basis.value,
        "status": assessment.status.value,
        "revision": assessment.revision,
        "answers": {str(number): _answer_document(answer) for number, answer in assessment.answers.items()},
        "texts": {str(number): _texts_document(answer) for number, answer in assessment.answers.items()},
    }


def _answer_document(answer: Answer) -> Document:
    said = {
        "level": answer.level,
        "service_name": answer.service_name,
        "by": answer.by,
        "at": answer.at,
    }
    return {"version": answer.version, Stage.SELF.value: said}


def _texts_document(answer: Answer) -> Document:
    return {Stage.SELF.value: {"fakta": answer.fakta, "analisis": answer.analisis}}


_NO_TEXTS: Document = {Stage.SELF.value: {"fakta": "", "analisis": ""}}


def _note(
    assessment: Assessment, *, version: int, what: str, by: str, answers: Mapping[int, Answer] | None = None
) -> Note:
    """What was done, kept in `history` for ever: who, when, and every answer as it then was."""
    return Note(
        "history",
        {
            "_id": f"{assessment.id}/{version}",
            "assessment": assessment.id,
            "what": what,
            "by": by,
            "at": now(),
            "status": assessment.status.value,
            "revision": assessment.revision,
            "answers": {str(number): _answer_document(answer) for number, answer in (answers or {}).items()},
            "texts": {str(number): _texts_document(answer) for number, answer in (answers or {}).items()},
        },
    )


def _assessment(document: Document) -> Assessment:
    answers: dict[str, Document] = document["answers"]
    texts: dict[str, Document] = document.get("texts", {})
    return Assessment(
        id=document["_id"],
        region=document["region"],
        instrument=document["instrument"],
        cycle=document["cycle"],
        period=document["period"],
        predicate_basis=PredicateBasis(document["predicate_basis"]),
        status=Status(document["status"]),
        revision=document["revision"],
        version=document["version"],
        answers={
            int(number): Answer(
                **answer[Stage.SELF.value],
                **texts.get(number, _NO_TEXTS)[Stage.SELF.value],
                version=answer["version"],
            )
            for number, answer in answers.items()
        },
    )
