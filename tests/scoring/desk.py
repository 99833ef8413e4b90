"""The scoring worker's desk, without its process: real stores, real arithmetic, and a publisher that only remembers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from aiokafka import ConsumerRecord

from chassis import telemetry
from chassis.deadletters import DeadLetters
from chassis.epochs import Epochs
from chassis.producer import Producer
from chassis.publish import Publish
from chassis.records import Fact, OutgoingFact, incoming, outgoing
from chassis.service import Parts
from chassis.settings import Settings
from chassis.store import Database, Document
from contracts.assessment import AssessmentState, Stage
from contracts.events import ASSESSMENT_REOPENED, ASSESSMENT_SUBMITTED, EventType
from contracts.fact import Body, Visibility
from contracts.regions import Directory
from services.scoring.store.instruments import Instruments
from services.scoring.store.projection import Projection
from services.scoring.store.scores import Scores
from services.scoring.store.summaries import Summaries
from services.scoring.usecases import score as usecases

B = TypeVar("B", bound=Body)

BEGUN = datetime(2023, 8, 1, 9, tzinfo=UTC)


class Remembered(Publish):
    """Publishes to nobody."""

    def __init__(self) -> None:
        self.facts: list[OutgoingFact] = []

    async def __call__(self, fact: OutgoingFact, *, cause: Fact[Any]) -> None:
        """Remember it."""
        self.facts.append(fact)


@dataclass(frozen=True)
class Desk:
    """One worker's."""

    database: Database
    scores: Scores
    projection: Projection
    summaries: Summaries
    instruments: Instruments
    letters: DeadLetters
    directory: Directory
    published: Remembered = field(default_factory=Remembered)

    @classmethod
    async def furnish(cls, database: Database, settings: Settings) -> "Desk":
        """With stores of its own on a database that others may share."""
        watch = telemetry.start(settings.model_copy(update={"otel_exporter_otlp_endpoint": None}), service="test")
        parts = Parts(database, Producer(settings, service="test"), Epochs(database), watch, Directory.load())
        scores, projection, summaries = Scores(parts), Projection(parts), Summaries(parts)
        await scores.prepare()
        await summaries.prepare()
        letters = DeadLetters(database, watch.metrics)
        return cls(database, scores, projection, summaries, Instruments(parts), letters, parts.directory)

    async def score(self, *facts: Fact[AssessmentState]) -> None:
        """One batch."""
        await usecases.score(
            facts,
            projection=self.projection,
            instruments=self.instruments,
            directory=self.directory,
            publish=self.published,
        )

    async def everything(self) -> Mapping[str, list[Document]]:
        """Collection → its documents, in the order of their ids."""
        names = sorted(await self.database.list_collection_names())
        return {name: await self.database[name].find().sort("_id", 1).to_list(None) for name in names}

    async def unsettled(self) -> int:
        """Summaries that are still to be derived."""
        return sum([await self.database[name].count_documents({"raised": {"$gt": 0}}) for name in _MARKED])


Furnish = Callable[[], Awaitable[Desk]]
_MARKED = ("summaries", "nations")


def state(
    region: str = "32.11",
    *,
    levels: Mapping[Stage, Mapping[int, str]],
    cycle: str = "spbe-2023",
    instrument: str = "spbe-2020",
    status: str = "submitted",
) -> AssessmentState:
    """The body of a fact about a region's assessment."""
    return AssessmentState.model_validate(
        {
            "assessment": f"{cycle}:{region}",
            "region": region,
            "instrument": instrument,
            "cycle": cycle,
            "period": int(cycle[-4:]),
            "predicate_basis": "rounded",
            "status": status,
            "levels": levels,
        }
    )


def every(level: int | str, *, indicators: int = 47) -> dict[Stage, dict[int, str]]:
    """The same level for each indicator, as the region itself says."""
    return {Stage.SELF: {number: str(level) for number in range(1, indicators + 1)}}


def told(body: AssessmentState, *, revision: int = 1) -> Fact[AssessmentState]:
    """The fact as it is read; the later the revision, the later its time."""
    event = ASSESSMENT_REOPENED if body.status == "reopened" else ASSESSMENT_SUBMITTED
    return read(event, body, key=body.region, revision=revision, region=body.region)


def read(event: EventType, body: B, *, key: str, revision: int = 1, region: str | None = None) -> Fact[B]:
    """Any fact as it is read from Kafka."""
    visibility = Visibility.SUPERVISED if region else Visibility.PUBLIC
    time = BEGUN + timedelta(minutes=revision)
    sent = outgoing(event, body, key=key, revision=revision, time=time, visibility=visibility, region=region)
    headers: Any = tuple(sent.envelope.headers())
    record: ConsumerRecord[bytes | None, bytes | None] = ConsumerRecord(
        sent.topic.name, 0, 0, 0, 0, key.encode(), sent.value, None, 0, 0, headers
    )
    return incoming(record, type(body))
