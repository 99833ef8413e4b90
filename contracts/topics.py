"""Topics as data. Provisioned explicitly (`livinglab topics create`), kept for ever."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic. `key` says what its records are keyed by: order is promised per key, nowhere else."""

    name: str
    partitions: int
    key: str
    compacted: bool
    about: str

    def config(self) -> dict[str, str]:
        """Kafka's topic configuration: kept for ever, compacted only where a key has exactly one fact."""
        return {
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "cleanup.policy": "compact" if self.compacted else "delete",
        }


# Twelve partitions: divisible by 2, 3, 4, 6 and 12 workers. One where there are a few facts in all.
INSTRUMENT = Topic("livinglab.instrument", 1, "instrument id", compacted=True, about="questionnaires, published once")
CYCLE = Topic("livinglab.cycle", 1, "cycle id", compacted=True, about="years' rounds, opened once")
ASSESSMENT = Topic("livinglab.assessment", 12, "region code", compacted=False, about="what happens to assessments")
SCORE = Topic("livinglab.score", 12, "region code", compacted=False, about="scores of every stage")
VISIT = Topic("livinglab.visit", 3, "visit id", compacted=False, about="who came to study, and where")
COMMITMENT = Topic(
    "livinglab.commitment", 3, "commitment id", compacted=False, about="joint commitments, and who signed them"
)
PLEDGE = Topic("livinglab.pledge", 12, "pledge id", compacted=False, about="targets by a date, and what became of them")
FOLLOWUP = Topic("livinglab.followup", 12, "follow-up id", compacted=False, about="actions, and how far they are")
SUBSCRIPTION = Topic(
    "livinglab.subscription", 1, "subscription id", compacted=False, about="what became of subscriptions"
)
DELIVERY = Topic("livinglab.delivery", 1, "delivery id", compacted=False, about="what could not be handed over")
PUBLIC = Topic(
    "livinglab.public", 12, "as on the topic of origin", compacted=False, about="public facts, for outsiders with Kafka"
)

ALL: tuple[Topic, ...] = (
    INSTRUMENT, CYCLE, ASSESSMENT, SCORE, VISIT, COMMITMENT, PLEDGE, FOLLOWUP, SUBSCRIPTION, DELIVERY, PUBLIC,
)  # fmt: skip
