"""All queries of the assessment service."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
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
from services.assessment.domain.answer import Answer
from services.assessment.domain.assessment import Assessment
from services.assessment.domain.review import STAGES, Act, AspectReport, Assessor, Finding, Reason, Recommendation

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
        fields = {**_fields(assessment), **_course(assessment), "province": region.province}
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
            said = _said(before, after)
            note = _note(after, version=before.version + 1, what=what, by=viewer.actor, said=said)
            return Change(set=_course(after) | said, facts=decision.facts, notes=[note], outcome=decision.outcome)

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
    """What never changes, and the empty places for what was said."""
    return {
        "region": assessment.region,
        "instrument": assessment.instrument,
        "cycle": assessment.cycle,
        "period": assessment.period,
        "predicate_basis": assessment.predicate_basis.value,
        "answers": {},
        "texts": {},
    }


def _course(assessment: Assessment) -> Document:
    """Where it stands, and what was done to it as a whole: small, hence written whole."""
    return {
        "status": assessment.status.value,
        "revision": assessment.revision,
        "closed": [stage.value for stage in assessment.closed],
        "assessors": [assessor.id for assessor in assessment.assessors],
        "organizations": [assessor.organization for assessor in assessment.assessors],
        "route": assessment.route,
        "minutes": _act_document(assessment.minutes),
        "consent": _act_document(assessment.consent),
        "reasons": [asdict(reason) for reason in assessment.reasons],
        "reports": [asdict(report) for report in assessment.reports],
        PUBLIC_FLAG: assessment.status is Status.PUBLISHED,
    }


def _said(before: Assessment, after: Assessment) -> Document:
    """What changed of answers and findings, as paths to set: each indicator's stages lie side by side."""
    said: Document = {}
    for number, answer in after.answers.items():
        if before.answers.get(number) != answer:
            said[f"answers.{number}.version"] = answer.version
            said[f"answers.{number}.{Stage.SELF}"] = {
                "level": answer.level,
                "service_name": answer.service_name,
                "by": answer.by,
                "at": answer.at,
            }
            said[f"texts.{number}.{Stage.SELF}"] = {"fakta": answer.fakta, "analisis": answer.analisis}
    for stage, findings in after.findings.items():
        for number, found in findings.items():
            if before.findings.get(stage, {}).get(number) != found:
                said[f"answers.{number}.{stage}"] = {
                    "level": found.level,
                    "by": found.by,
                    "at": found.at,
                    "version": found.version,
                }
                said[f"texts.{number}.{stage}"] = {
                    "fakta": found.fakta,
                    "analisis": found.analisis,
                    "justifikasi": found.justifikasi,
                }
    return said


def _act_document(act: Act | None) -> Document | None:
    return None if act is None else asdict(act)


def _note(assessment: Assessment, *, version: int, what: str, by: str, said: Document | None = None) -> Note:
    """What was done, kept in `history` for ever: who, when, where it then stood, and what was said."""
    return Note(
        "history",
        {
            "_id": f"{assessment.id}/{version}",
            "assessment": assessment.id,
            "what": what,
            "by": by,
            "at": now(),
            **_course(assessment),
            "said": [{"path": path, "value": value} for path, value in (said or {}).items()],
        },
    )


_NO_TEXTS: Document = {"fakta": "", "analisis": ""}
"""Of a list, which does not read them."""


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
                **answer[Stage.SELF],
                **texts.get(number, {}).get(Stage.SELF, _NO_TEXTS),
                version=answer["version"],
            )
            for number, answer in answers.items()
        },
        findings={
            stage: found
            for stage in STAGES
            if (
                found := {
                    int(number): Finding(
                        **answer[stage], **texts.get(number, {}).get(stage, _NO_TEXTS | {"justifikasi": ""})
                    )
                    for number, answer in answers.items()
                    if stage in answer
                }
            )
        },
        closed=tuple(Stage(stage) for stage in document.get("closed", ())),
        assessors=tuple(map(Assessor, document.get("assessors", ()), document.get("organizations", ()))),
        route=document.get("route"),
        minutes=_act(document.get("minutes")),
        consent=_act(document.get("consent")),
        reasons=tuple(Reason(**reason) for reason in document.get("reasons", ())),
        reports=tuple(_report(report) for report in document.get("reports", ())),
    )


def _act(document: Document | None) -> Act | None:
    return None if document is None else Act(**document)


def _report(document: Document) -> AspectReport:
    numbered = tuple(Recommendation(**one) for one in document["recommendations"])
    return AspectReport(document["aspect"], document["strengths"], document["weaknesses"], numbered)
