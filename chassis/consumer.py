"""Declares what a service hears, and runs it on FastStream: batches, manual acknowledgement, explicit offsets.

    reactions = Reactions()

    @reactions.to(topics.ASSESSMENT, group="scoring.assessment", of=AssessmentState)
    async def score(facts: Sequence[Fact[AssessmentState]], publish: Publish, scores: Scores): ...

A reaction gets typed facts, `publish` if it asks for it, and the stores that its annotations name. It must converge
under any order, repetition and lateness of its facts. What it need not know (decoding, retries, dead letters) is in
`chassis.intake`, offsets are in `chassis.offsets`.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy, Context
from faststream.kafka import KafkaBroker
from faststream.kafka.message import FAKE_CONSUMER, KafkaMessage
from faststream.security import BaseSecurity, SASLScram256, SASLScram512

from chassis.intake import Intake, React, Toolbox
from chassis.producer import client_options, say_it_is_away
from chassis.publish import Publish
from chassis.records import Fact
from chassis.settings import Settings
from contracts.fact import Body
from contracts.topics import Topic

log = structlog.stdlib.get_logger()

B = TypeVar("B", bound=Body)
STOP_WAIT_S = 15.0
"""A process that is told to end lets running batches finish for so long; the producer gets 5 s after that."""
CLOSE_WAIT_S = 3.0
"""After that; the groups were left by then. Over TLS aiokafka was seen to wait 14 s for connections to close."""
START_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Reaction(Generic[B]):
    """One declared reaction: a consumer group of its own on one topic."""

    topic: Topic
    group: str
    of: type[B]
    function: Callable[..., Awaitable[None]]


class Reactions:
    """What a service's `consumers.py` declares. Nothing runs until `start`."""

    def __init__(self) -> None:
        self.declared: list[Reaction[Any]] = []

    def to(
        self, topic: Topic, *, group: str, of: type[B]
    ) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
        """Declare a reaction to every fact on `topic`, read as `of`. One group per service and topic."""

        def declare(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
            self.declared.append(Reaction(topic, group, of, function))
            return function

        return declare

    def intakes(self, toolbox: Toolbox, resources: Mapping[type, object]) -> list[Intake[Any]]:
        """The declared reactions, with what they need. Raises TypeError naming an annotation nobody provides."""
        groups = {reaction.topic.name: reaction.group for reaction in self.declared}
        return [
            Intake(reaction.topic, reaction.group, reaction.of, _bound(reaction, resources), toolbox, groups)
            for reaction in self.declared
        ]


def _bound(reaction: Reaction[B], resources: Mapping[type, object]) -> React[B]:
    needed: dict[str, object] = {}
    for name, annotation in inspect.get_annotations(reaction.function, eval_str=True).items():
        if name not in ("facts", "publish", "return"):
            if annotation not in resources:
                raise TypeError(f"{reaction.group} wants {name}: {annotation}, which the service does not provide")
            needed[name] = resources[annotation]

    publishes = "publish" in inspect.signature(reaction.function).parameters

    async def react(facts: Sequence[Fact[B]], publish: Publish) -> None:
        await reaction.function(facts, **({"publish": publish} if publishes else {}), **needed)

    return react


class _Rebalance(ConsumerRebalanceListener):
    # The base class is written for functions and coroutines alike, and typed for functions only.
    def __init__(self, intake: Intake[Any], *, revoke_wait_s: float) -> None:
        self._intake = intake
        self._revoke_wait_s = revoke_wait_s

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: set[TopicPartition]
    ) -> None:
        await self._intake.give_up(revoked, wait_s=self._revoke_wait_s)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        assigned: set[TopicPartition],  # noqa: ARG002 -- the interface is aiokafka's
    ) -> None:
        self._intake.take_up()


async def _whole_batch(records: Any) -> KafkaMessage:
    """Take a batch as it is: FastStream's own parser fails on a header that is not UTF-8, and decodes what we do."""
    # Offsets are committed by the intake, not through the message, so it needs no consumer.
    return KafkaMessage(raw_message=records, body=b"", headers={}, consumer=FAKE_CONSUMER)


async def _no_body(_message: Any) -> bytes:
    return b""


def _security(settings: Settings) -> BaseSecurity | None:
    if settings.kafka_security_protocol == "PLAINTEXT":
        return None
    context = client_options(settings).get("ssl_context")
    if not settings.kafka_security_protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=True)
    scram = SASLScram512 if settings.kafka_sasl_mechanism == "SCRAM-SHA-512" else SASLScram256
    password = settings.kafka_sasl_password
    return scram(
        username=settings.kafka_sasl_username or "",
        password=password.get_secret_value() if password else "",
        ssl_context=context,
        use_ssl=context is not None,
    )


def _handler(intake: Intake[Any]) -> Callable[..., Awaitable[None]]:
    async def handle(message: Annotated[KafkaMessage, Context("message")]) -> None:
        records: Any = message.raw_message  # of a batch subscriber: a tuple of records
        await intake.handle(records)

    return handle


def build_broker(settings: Settings, intakes: Sequence[Intake[Any]], *, service: str) -> KafkaBroker:
    """A FastStream broker with one batch subscriber per intake. Not started; one per try."""
    broker = KafkaBroker(
        settings.kafka_bootstrap_servers.split(","),
        security=_security(settings),
        client_id=service,
        consumer_only=True,
        allow_auto_create_topics=False,
        metadata_max_age_ms=10_000,
        graceful_timeout=STOP_WAIT_S,
        logger=logging.getLogger("chassis.faststream"),  # its own, `faststream`, writes coloured text past our JSON
        log_level=logging.DEBUG,
    )
    for intake in intakes:
        subscriber = broker.subscriber(
            intake.topic.name,
            group_id=intake.group,
            batch=True,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            max_records=settings.batch_max_records,
            batch_timeout_ms=settings.batch_wait_ms,
            session_timeout_ms=settings.kafka_session_timeout_ms,
            heartbeat_interval_ms=settings.kafka_session_timeout_ms // 3,
            rebalance_timeout_ms=max(settings.kafka_session_timeout_ms, round(1_500 * settings.revoke_wait_s)),
            listener=_Rebalance(intake, revoke_wait_s=settings.revoke_wait_s),
            parser=_whole_batch,
            decoder=_no_body,
        )

        subscriber(_handler(intake))
        intake.offsets.attach(lambda subscriber=subscriber: subscriber.consumer)
    return broker


async def start_broker(settings: Settings, intakes: Sequence[Intake[Any]], *, service: str) -> KafkaBroker:
    """Try until Kafka is there; the process serves and relays meanwhile."""
    while True:
        broker = build_broker(settings, intakes, service=service)
        try:
            await broker.start()
        except (KafkaError, OSError) as error:
            say_it_is_away(error, settings, retry_s=START_RETRY_S)
            await stop_broker(broker, intakes)
            await asyncio.sleep(START_RETRY_S)
        except BaseException:
            await stop_broker(broker, intakes)
            raise
        else:
            return broker


async def stop_broker(broker: KafkaBroker, intakes: Sequence[Intake[Any]]) -> None:
    """Finish running batches, leave the groups.

    Each subscriber by itself, on purpose: while Kafka is away aiokafka's stop ends in CancelledError, after which
    FastStream's own stop waits for no other subscriber's batch, and does not say so.
    """
    stopping = [asyncio.create_task(subscriber.stop()) for subscriber in broker.subscribers]
    if not stopping:
        return
    await asyncio.sleep(0)  # from here on they take no new batch
    await asyncio.gather(*(intake.give_up(set(), wait_s=STOP_WAIT_S) for intake in intakes))
    _, late = await asyncio.wait(stopping, timeout=CLOSE_WAIT_S)
    for task in late:
        task.cancel()
    for end in await asyncio.gather(*stopping, return_exceptions=True):
        if isinstance(end, Exception):
            log.warning("consumer did not stop cleanly", error=repr(end))
