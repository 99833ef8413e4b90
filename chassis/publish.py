"""Publishing from within a reaction: enqueue in order, await all, and one trace from cause to effect."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context

from chassis.epochs import Epochs
from chassis.producer import Producer, Sent
from chassis.records import TRACEPARENT, Fact, OutgoingFact
from chassis.telemetry import Telemetry, is_sampled, messaging, remote, traceparent_of
from contracts.fact import Envelope, Visibility
from contracts.topics import PUBLIC


class Publish:
    """Given to a reaction for one batch. A repeat of the batch publishes the same facts under the same ids."""

    def __init__(self, *, producer: Producer, epochs: Epochs, telemetry: Telemetry) -> None:
        self._producer = producer
        self._epochs = epochs
        self._telemetry = telemetry
        self._sent: list[Sent] = []
        self._facts: list[tuple[Envelope, str | None]] = []
        self._spans: dict[UUID, trace.Span] = {}

    async def __call__(self, fact: OutgoingFact, *, cause: Fact[Any]) -> None:
        """Enqueue `fact`, which follows from `cause`. Raises KafkaDown."""
        traceparent = cause.traceparent
        if span := self._spans.get(cause.envelope.id):
            with self._telemetry.tracer.start_as_current_span(
                f"send {fact.topic.name}",
                context=trace.set_span_in_context(span),
                kind=trace.SpanKind.PRODUCER,
                attributes=_attributes("send", fact.topic.name, fact.envelope),
            ) as publishing:
                traceparent = traceparent_of(publishing)
        key = fact.key.encode()
        headers = fact.envelope.headers()
        if traceparent:
            headers.append((TRACEPARENT, traceparent.encode()))
        self._facts.append((fact.envelope, traceparent))
        topics = [fact.topic.name, PUBLIC.name] if fact.envelope.visibility is Visibility.PUBLIC else [fact.topic.name]
        for topic in topics:
            wire = [*headers, *(await self._epochs.of(topic)).headers()]
            self._sent.append(await self._producer.send(topic, key=key, value=fact.value, headers=wire))

    async def flush(self) -> None:
        """Until Kafka has acknowledged everything. Raises KafkaDown; then all is to be published again."""
        sent, self._sent = self._sent, []
        facts, self._facts = self._facts, []
        await self._producer.wait(sent)
        for envelope, traceparent in facts:
            self._telemetry.metrics.arrived("relayed", envelope.type, envelope.time, traceparent=traceparent)

    @contextmanager
    def within(self, cause: Fact[Any]) -> Generator[None]:
        """What is written inside follows from `cause`: a fact put into an outbox here continues its trace."""
        if span := self._spans.get(cause.envelope.id):
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        else:
            yield

    @contextmanager
    def spans(self, facts: Sequence[Fact[Any]], *, topic: str, group: str, again: bool = False) -> Generator[None]:
        """A consumer span for each sampled record, its cause's child; others cost nothing.

        What is done `again` because somebody asked has a trace of its own, linked to the one that it once ended.
        """
        for fact in facts:
            # Once for a fact that is twice in the batch.
            if fact.traceparent and is_sampled(fact.traceparent) and fact.envelope.id not in self._spans:
                caused = remote(fact.traceparent)
                self._spans[fact.envelope.id] = self._telemetry.tracer.start_span(
                    f"process {topic}",
                    context=Context() if again else caused,
                    kind=trace.SpanKind.CONSUMER,
                    links=[trace.Link(trace.get_current_span(caused).get_span_context())] if again else [],
                    attributes={
                        **_attributes("process", topic, fact.envelope),
                        "messaging.consumer.group.name": group,
                        "messaging.batch.message_count": len(facts),
                    },
                )
        try:
            yield
        except Exception as error:
            for span in self._spans.values():
                span.set_status(trace.StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            for span in self._spans.values():
                span.end()
            self._spans.clear()


def _attributes(operation: str, topic: str, envelope: Envelope) -> dict[str, str]:
    return messaging(
        operation,
        topic,
        id=str(envelope.id),
        type=envelope.type,
        subject=envelope.subject,
        region=envelope.region,
    )
