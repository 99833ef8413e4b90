"""Submissions as the assessment service would publish them, and what must come of them."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson
from confluent_kafka import Producer

from chassis.records import OutgoingFact, outgoing
from contracts import events, topics
from contracts.assessment import AssessmentState, PredicateBasis, Stage, Status
from contracts.fact import Visibility, fact_id
from services.assessment import catalogue
from services.scoring.domain.score import RULE, Instrument, scores

INSTRUMENT, CYCLE, PERIOD = "spbe-2020", "spbe-2023", 2023
INDICATORS = 47
SAMPLED = 0.01
BEGINNING = datetime(2023, 7, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Submission:
    """A record for the topic."""

    state: AssessmentState
    fact: OutgoingFact
    headers: list[tuple[str, bytes]]

    @property
    def result(self) -> str:
        """The id that the fact of its score must have."""
        type_, revision = events.SCORE_RECALCULATED.type, self.fact.envelope.revision
        return str(fact_id(aggregate=self.state.assessment, revision=revision, rule=RULE, type=type_))


def submissions(
    regions: Sequence[str], count: int, *, seed: int, first_revision: int = 1, sampled: float = SAMPLED
) -> list[Submission]:
    """`count` of them, spread evenly over `regions`, all revisions shuffled, one in a hundred traced unless told."""
    chance = random.Random(seed)
    keys = [(regions[n % len(regions)], first_revision + n // len(regions)) for n in range(count)]
    chance.shuffle(keys)
    return [_submission(region, revision, chance, sampled) for region, revision in keys]


def _submission(region: str, revision: int, chance: random.Random, sampled: float) -> Submission:
    # Levels lie around a region's own ability: such are real ones, and indices differ between regions.
    ability = chance.uniform(1.5, 4.5)
    state = AssessmentState(
        assessment=f"{CYCLE}:{region}",
        region=region,
        instrument=INSTRUMENT,
        cycle=CYCLE,
        period=PERIOD,
        predicate_basis=PredicateBasis.ROUNDED,
        status=Status.SUBMITTED,
        levels={Stage.SELF: {n: str(_level(ability, chance)) for n in range(1, INDICATORS + 1)}},
    )
    fact = outgoing(
        events.ASSESSMENT_SUBMITTED,
        state,
        key=region,
        revision=revision,
        time=BEGINNING + timedelta(minutes=revision),
        visibility=Visibility.SUPERVISED,
        region=region,
    )
    traced = "01" if chance.random() < sampled else "00"
    traceparent = f"00-{chance.getrandbits(128) or 1:032x}-{chance.getrandbits(64) or 1:016x}-{traced}"
    headers = [*fact.envelope.headers(), ("traceparent", traceparent.encode()), ("epoch", b"0")]
    return Submission(state, fact, headers)


def _level(ability: float, chance: random.Random) -> int:
    return min(5, max(1, round(chance.gauss(ability, 0.9))))


def send(kafka: str, submitted: Iterable[Submission]) -> None:
    """Onto livinglab.assessment, partitioned as the service would."""
    producer = batch_producer(kafka)
    for submission in submitted:
        produce(producer, topics.ASSESSMENT.name, submission)
        producer.poll(0)
    producer.flush()


def produce(producer: Producer, topic: str, submission: Submission) -> None:
    """Enqueue one; acknowledged when the producer is flushed."""
    headers: Any = submission.headers
    producer.produce(topic, submission.fact.value, submission.fact.key.encode(), headers=headers)


def batch_producer(kafka: str) -> Producer:
    """librdkafka's: costs the machine least beside what is measured. Partitions as Java and aiokafka do."""
    return Producer(
        {
            "bootstrap.servers": kafka,
            "partitioner": "murmur2_random",
            "linger.ms": 2,
            "acks": "all",
            "queue.buffering.max.messages": 200_000,
        }
    )


def send_catalogue(kafka: str) -> None:
    """Instruments and cycles onto their topics, as the assessment service does when it starts."""
    producer = batch_producer(kafka)
    told = [(events.INSTRUMENT_PUBLISHED, one) for one in catalogue.instruments()]
    for event, body in [*told, *((events.CYCLE_OPENED, one) for one in catalogue.cycles())]:
        fact = outgoing(event, body, key=body.aggregate, revision=1, time=BEGINNING, visibility=Visibility.PUBLIC)
        headers: Any = fact.envelope.headers()
        producer.produce(fact.topic.name, fact.value, fact.key.encode(), headers=headers)
    producer.flush()


def expected_state(submitted: Sequence[Submission]) -> str:
    """The hash of the collections `history` and `current` once all are scored, computed from the submissions alone."""
    instrument = Instrument.of(catalogue.instrument(INSTRUMENT))
    history: dict[str, Any] = {}
    newest: dict[str, int] = {}
    for submission in submitted:
        state, revision = submission.state, submission.fact.envelope.revision
        by_stage = scores(state, instrument)
        type_ = submission.fact.envelope.type.encode()
        history[f"{state.assessment}/{revision}/{RULE}"] = [
            blake2b(type_ + b"\n" + submission.fact.value, digest_size=16).hexdigest(),
            {stage: score.model_dump(mode="json") for stage, score in by_stage.items()},
        ]
        newest[state.assessment] = max(revision, newest.get(state.assessment, 0))
    current = {name: history[f"{name}/{revision}/{RULE}"] for name, revision in newest.items()}
    return _hash(history, current)


def state_of(database: Any) -> str:
    """The same hash of what a side has written."""

    def all_of(collection: str) -> dict[str, Any]:
        return {d["_id"]: [d["digest"], d["scores"]] for d in database[collection].find({}, {"digest": 1, "scores": 1})}

    return _hash(all_of("history"), all_of("current"))


def _hash(history: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return blake2b(orjson.dumps([history, current], option=options), digest_size=16).hexdigest()
