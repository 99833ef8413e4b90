"""What must hold once the dust has settled, whatever was killed: read from the databases and topics themselves."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from time import monotonic
from typing import Any

import orjson

from chassis.store import Collection, Document
from contracts import events, topics
from contracts.assessment import AssessmentState, Stage
from contracts.fact import fact_id
from contracts.scoring import ScoreRecalculated
from services.assessment import catalogue
from services.scoring import consumers
from services.scoring.domain.score import RULE, Instrument, scores
from services.scoring.domain.summary import ALL_KINDS
from tests.faults.ground import Ground
from tests.faults.portal import Ledger
from tests.faults.topicreader import Record, lag, read_whole

SETTLES_WITHIN_S = 90.0
POLL_S = 0.25
SHOWN = 20


async def no_violations(ground: Ground, ledger: Ledger, *, within_s: float = SETTLES_WITHIN_S) -> None:
    """Wait until everything rests and all that must hold does. Raises AssertionError saying what does not."""
    deadline = monotonic() + within_s
    while found := await unrest(ground) or await violations(ground, ledger):
        if monotonic() > deadline:
            more = f"\n… and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise AssertionError(
                f"after {within_s:.0f} s, {len(found)} violations:\n" + "\n".join(found[:SHOWN]) + more
            )
        await asyncio.sleep(POLL_S)


async def unrest(ground: Ground) -> list[str]:
    """What is still on its way: pending facts, records not committed, summaries not derived."""
    found: list[str] = []
    for name in ("assessments", "instruments", "cycles"):
        waiting = await ground.assessment[name].count_documents({"outbox.0": {"$exists": True}})
        found += [f"outboxes of {waiting} {name} are not drained"] if waiting else []
    for reaction in consumers.reactions.declared:
        behind = await lag(ground.kafka.address, reaction.topic, group=reaction.group)
        found += [f"{reaction.group} is {behind} records behind"] if behind else []
    marked = await ground.scoring["summaries"].count_documents(
        {"$or": [{"raised": {"$ne": 0}}, {"claim": {"$ne": None}}]}
    )
    return found + ([f"{marked} summaries are not derived"] if marked else [])


async def violations(ground: Ground, ledger: Ledger) -> list[str]:
    """Everything that does not hold, in words. Both services rest."""
    assessments = await _by_id(ground.assessment["assessments"])
    archive = await _by_id(ground.assessment["facts"])
    published = {t: await read_whole(ground.kafka.address, t) for t in topics.ALL}
    submitted = [d for d in archive.values() if d["topic"] == topics.ASSESSMENT.name]
    expected = {(d["aggregate"], d["revision"]): _score(d) for d in submitted}
    found = list(ledger.wrong)
    found += _acknowledged(ledger, assessments, submitted)
    found += _archived(archive, assessments, published)
    found += _repeats(published)
    found += _notes(assessments, await _by_id(ground.assessment["history"]))
    found += _scored(expected, published[topics.SCORE], await _by_id(ground.scoring["history"]))
    current = await _by_id(ground.scoring["current"])
    found += _views(expected, current)
    found += _summaries(current, await _by_id(ground.scoring["summaries"]))
    letters = await ground.scoring["dead_letters"].find({}, {"code": 1, "detail": 1}).to_list(None)
    return found + [f"dead letter {letter}" for letter in letters]


def _acknowledged(ledger: Ledger, assessments: Mapping[str, Document], submitted: Sequence[Document]) -> Iterator[str]:
    """Nothing acknowledged is lost, nothing else happened: a command had one effect or none."""
    bodies = {
        (d["aggregate"], d["revision"]): AssessmentState.model_validate_json(bytes(d["value"])) for d in submitted
    }
    for name in assessments.keys() ^ ledger.facts.keys():
        yield f"{name} is {'there, but nobody' if name in assessments else 'lost, though somebody'} was told so"
    for name, facts in ledger.facts.items():
        there = assessments.get(name, {"revision": 0})["revision"]
        if there != len(facts) or facts.keys() != set(range(1, there + 1)):
            yield f"{name} is at revision {there}, acknowledged were {sorted(facts)}"
        for revision, (status, levels) in facts.items():
            body = bodies.get((name, revision))
            if body is None:
                yield f"{name} revision {revision} was acknowledged and has no fact"
            elif (body.status, body.levels[Stage.SELF]) != (status, levels):
                yield f"{name} revision {revision} tells other levels than were acknowledged"


def _archived(
    archive: Mapping[str, Document],
    assessments: Mapping[str, Document],
    published: Mapping[topics.Topic, Sequence[Record]],
) -> Iterator[str]:
    """The archive holds each fact once and for each revision; topics hold these and no others, at least once."""
    counts = Counter((d["topic"], d["aggregate"], d["revision"]) for d in archive.values())
    wanted = {(topics.ASSESSMENT.name, n, r) for n, d in assessments.items() for r in range(1, d["revision"] + 1)}
    wanted |= {(topics.INSTRUMENT.name, body.instrument, 1) for body in catalogue.instruments()}
    wanted |= {(topics.CYCLE.name, body.cycle, 1) for body in catalogue.cycles()}
    for place in counts.keys() | wanted:
        if counts[place] != (place in wanted):
            topic, name, revision = place
            yield f"the archive has {counts[place]} facts of {name} at revision {revision} on {topic}"
    for topic in (topics.INSTRUMENT, topics.CYCLE, topics.ASSESSMENT):
        values = {record.id: record.value for record in published[topic]}
        kept = {name: bytes(d["value"]) for name, d in archive.items() if d["topic"] == topic.name}
        for name in values.keys() ^ kept.keys():
            yield f"fact {name} is {'on the topic' if name in values else 'in the archive'} of {topic.name} only"
        for name in values.keys() & kept.keys():
            if values[name] != kept[name]:
                yield f"fact {name} has other bytes on {topic.name} than in the archive"
    public = {record.id for record in published[topics.PUBLIC]}
    if public != {name for name, d in archive.items() if d["public"]}:
        yield "livinglab.public does not hold exactly the public facts"


def _repeats(published: Mapping[topics.Topic, Sequence[Record]]) -> Iterator[str]:
    """The same fact has the same bytes, however often it was sent."""
    for topic, records in published.items():
        values: dict[str, set[bytes]] = defaultdict(set)
        for record in records:
            values[record.id].add(record.value)
        for name, different in values.items():
            if len(different) > 1:
                yield f"fact {name} was sent with {len(different)} bodies on {topic.name}"


def _notes(assessments: Mapping[str, Document], notes: Mapping[str, Document]) -> Iterator[str]:
    """Each write left its note, and each handing over only one."""
    wanted = {f"{name}/{version}" for name, d in assessments.items() for version in range(1, d["version"] + 1)}
    for name in wanted ^ notes.keys():
        yield f"note {name} is {'missing' if name in wanted else 'of no write'}"
    handed_over = Counter(d["assessment"] for d in notes.values() if d["what"] in ("submitted", "reopened"))
    for name, document in assessments.items():
        if handed_over[name] != document["revision"]:
            yield f"{name} is at revision {document['revision']} after {handed_over[name]} handings over"


def _scored(
    expected: Mapping[tuple[str, int], ScoreRecalculated], published: Sequence[Record], history: Mapping[str, Document]
) -> Iterator[str]:
    """One history document and one score fact for each revision, both what the pure domain says."""
    ids: dict[tuple[str, int], set[str]] = defaultdict(set)
    for record in published:
        ids[record.aggregate, record.revision].add(record.id)
        wanted = expected.get((record.aggregate, record.revision))
        if wanted is None or orjson.loads(record.value) != wanted.model_dump(mode="json", by_alias=True):
            yield f"score fact {record.id} of {record.aggregate} revision {record.revision} is not what the domain says"
    kept: dict[tuple[str, int], list[Document]] = defaultdict(list)
    for document in history.values():
        kept[document["assessment"], document["revision"]].append(document)
    for place in ids.keys() | kept.keys() | expected.keys():
        name, revision = place
        right = {str(fact_id(aggregate=name, revision=revision, rule=RULE, type=events.SCORE_RECALCULATED.type))}
        if ids[place] != right:
            yield f"{name} revision {revision} has {len(ids[place])} score facts"
        if len(kept[place]) != 1:
            yield f"{name} revision {revision} has {len(kept[place])} scores in the history"
        elif place in expected and kept[place][0]["scores"] != _shown(expected[place]):
            yield f"the history of {name} revision {revision} is not what the domain says"


def _views(expected: Mapping[tuple[str, int], ScoreRecalculated], current: Mapping[str, Document]) -> Iterator[str]:
    """The current view shows the highest revision, and what the domain says of it."""
    highest: dict[str, int] = {}
    for name, revision in expected:
        highest[name] = max(revision, highest.get(name, 0))
    for name in highest.keys() | current.keys():
        shown, revision = current.get(name), highest.get(name)
        if shown is None or revision is None or shown["revision"] != revision:
            yield f"the view of {name} shows revision {shown and shown['revision']}, the highest is {revision}"
        elif shown["scores"] != _shown(expected[name, revision]):
            yield f"the view of {name} is not what the domain says"


def _summaries(current: Mapping[str, Document], summaries: Mapping[str, Document]) -> Iterator[str]:
    """Each summary equals a recount."""
    counted: dict[str, dict[str, list[Document]]] = defaultdict(lambda: defaultdict(list))
    for document in current.values():
        score = document["scores"]["self"]
        if "index" in score:
            counted[f"{document['cycle']}/{document['province']}"][document["kind"]].append(score)
            counted[f"{document['cycle']}/{document['province']}"][ALL_KINDS].append(score)
    for name in counted.keys() | summaries.keys():
        told = summaries.get(name, {}).get("parts", {}).get("self", {}).get("supervised", {})
        if {kind: _told(part) for kind, part in told.items()} != {k: _recount(v) for k, v in counted[name].items()}:
            yield f"the summary {name} is not what a recount gives"


def _told(part: Document) -> tuple[object, ...]:
    return part["count"], part["total"].to_decimal(), part["shown"], part["predicates"]


def _recount(scores: Sequence[Document]) -> tuple[object, ...]:
    total = sum(Decimal(score["index"]["value"]) for score in scores)
    shown = Counter(score["index"]["shown"] for score in scores)
    return len(scores), total, dict(shown), dict(Counter(score["predicate"] for score in scores))


def _score(archived: Document) -> ScoreRecalculated:
    """What the pure domain says of an assessment fact."""
    state = _state(archived)
    return ScoreRecalculated(
        score=state.assessment,
        region=state.region,
        instrument=state.instrument,
        cycle=state.cycle,
        period=state.period,
        predicate_basis=state.predicate_basis,
        status=state.status,
        scores=scores(state, _instrument(state.instrument)),
    )


def _state(archived: Document) -> AssessmentState:
    return AssessmentState.model_validate_json(bytes(archived["value"]))


@cache
def _instrument(name: str) -> Instrument:
    return Instrument.of(catalogue.instrument(name))


def _shown(score: ScoreRecalculated) -> Any:
    return orjson.loads(score.model_dump_json())["scores"]


async def _by_id(collection: Collection) -> dict[str, Document]:
    return {document["_id"]: document for document in await collection.find({}).to_list(None)}
