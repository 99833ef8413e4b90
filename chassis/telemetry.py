"""Logs, traces and metrics: the chassis' own, not FastStream's middlewares (measured: docs/adr/0002)."""

import asyncio
import gc
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from time import monotonic, time
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from chassis.settings import Settings
from contracts.telemetry import metrics as rows
from contracts.telemetry.metrics import Metric

_W3C = TraceContextTextMapPropagator()
# The flags' last bit says sampled; others beside it, such as that the id is random (03), say nothing of it.
_ODD = frozenset("13579bdf")
LOOP_LAG_PERIOD_S = 0.5
SPANS_WAIT_MAX = 16_384
"""To be exported: while the collector is away, the newest are kept, about 20 MB."""
COLLECT_AFTER_OBJECTS = 10_000
"""A batch of 500 records makes twice as many; Python's default of 700 looks at each batch thirty times."""


class Metrics:
    """Everything that a service measures, as contracts/telemetry/metrics.py has it.

    A registry per application: two in one process do not meet.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)  # CPU and memory, by the names that every Prometheus client has
        self.http_requests = self.counter(rows.HTTP_REQUESTS)
        self.http_seconds = self.histogram(rows.HTTP_SECONDS)
        self.records = self.counter(rows.CONSUMER_RECORDS)
        self.batch_records = self.histogram(rows.BATCH_RECORDS)
        self.batch_seconds = self.histogram(rows.BATCH_SECONDS)
        self.lag_records = self.gauge(rows.LAG_RECORDS)
        self.lag_seconds = self.gauge(rows.LAG_SECONDS)
        self.held = self.gauge(rows.HELD_RECORDS)
        self.stopped = self.gauge(rows.STOPPED)
        self.dead_letters = self.counter(rows.DEAD_LETTERS)
        self.dead_letters_open = self.gauge(rows.DEAD_LETTERS_OPEN)
        self.outbox_relayed = self.counter(rows.OUTBOX_RELAYED)
        self.outbox_pending = self.gauge(rows.OUTBOX_PENDING)
        self.outbox_age = self.gauge(rows.OUTBOX_AGE)
        self.event_age = self.histogram(rows.EVENT_AGE)
        self.spans = self.counter(rows.SPANS)
        self.loop_lag = self.gauge(rows.LOOP_LAG)

    def counter(self, row: Metric) -> Counter:
        """That only rises."""
        return Counter(row.full_name, row.meaning, row.labels, registry=self.registry)

    def gauge(self, row: Metric) -> Gauge:
        """That rises and falls."""
        return Gauge(row.full_name, row.meaning, row.labels, registry=self.registry)

    def histogram(self, row: Metric) -> Histogram:
        """That is asked for percentiles."""
        return Histogram(row.full_name, row.meaning, row.labels, buckets=row.buckets, registry=self.registry)

    def arrived(self, hop: str, type: str, at: datetime, *, traceparent: str | None) -> None:
        """A fact has come to a hop; an exemplar leads from a slow one to its trace."""
        age_s = max(0.0, time() - at.timestamp())
        exemplar = {"trace_id": traceparent.split("-")[1]} if traceparent and is_sampled(traceparent) else None
        self.event_age.labels(hop, type).observe(age_s, exemplar)


def from_zero(metric: Counter | Histogram, *values: Iterable[str]) -> None:
    """Show these label values before anything happened, one iterable per label.

    A series that begins at 1 never rose from 0: `rate` and `increase` of Prometheus miss what came first, which of
    failures may be all there is.
    """
    for labels in product(*values):
        metric.labels(*labels)


class _Exporter(OTLPSpanExporter):
    """Counts what became of spans."""

    def __init__(self, endpoint: str, spans: Counter) -> None:
        super().__init__(endpoint=endpoint)
        self._spans = spans
        from_zero(spans, ("exported", "refused"))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """In the processor's thread; tries again for ten seconds."""
        result = super().export(spans)
        self._spans.labels("exported" if result is SpanExportResult.SUCCESS else "refused").inc(len(spans))
        return result


class _Batches(BatchSpanProcessor):
    """Counts what is handed to it: what it drops when it is full, it tells nobody else of."""

    def __init__(self, exporter: _Exporter, spans: Counter) -> None:
        super().__init__(exporter, max_queue_size=SPANS_WAIT_MAX, schedule_delay_millis=1_000)
        self._ended = spans.labels("ended")

    def on_end(self, span: ReadableSpan) -> None:
        """It waits to be exported, if it is sampled."""
        if span.context and span.context.trace_flags.sampled:
            self._ended.inc()
        super().on_end(span)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What code needs to be seen: a tracer of the service's own provider, and its metrics."""

    provider: TracerProvider
    tracer: trace.Tracer
    metrics: Metrics


def start(settings: Settings, *, service: str) -> Telemetry:
    """Begin. Spans go nowhere unless OTEL_EXPORTER_OTLP_ENDPOINT is set; when too many wait, the oldest are dropped."""
    disable_created_metrics()  # a gauge beside each counter and histogram, which nobody asks for
    metrics = Metrics()
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}),
        sampler=ParentBasedTraceIdRatio(settings.traces_sample_ratio),
        shutdown_on_exit=False,
    )
    if settings.otel_exporter_otlp_endpoint:
        endpoint = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
        provider.add_span_processor(_Batches(_Exporter(endpoint, metrics.spans), metrics.spans))
    return Telemetry(provider, provider.get_tracer("livinglab"), metrics)


def exemplar_of(context: trace.SpanContext) -> dict[str, str] | None:
    """What leads from a measured value to its trace, where that is kept."""
    return {"trace_id": f"{context.trace_id:032x}"} if context.trace_flags.sampled else None


def current_traceparent() -> str | None:
    """The W3C traceparent of the current span, or None outside any."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")


def traceparent_of(span: trace.Span) -> str:
    """The W3C traceparent that makes its holder a child of `span`."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, trace.set_span_in_context(span))
    return carrier["traceparent"]


def remote(traceparent: str | None) -> Context:
    """The context that a stored or received traceparent speaks of; an empty one when it is missing or malformed."""
    return _W3C.extract({"traceparent": traceparent} if traceparent else {}, context=Context())


def messaging(operation: str, topic: str, *, id: str, type: str, subject: str, region: str | None) -> dict[str, str]:
    """A span's attributes for a fact on its way, by OpenTelemetry's semantic conventions."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        **about_fact(id=id, type=type, subject=subject, region=region),
    }


def about_fact(*, id: str, type: str, subject: str, region: str | None) -> dict[str, str]:
    """A span's attributes for the fact that it is about."""
    told = {"cloudevents.event_id": id, "cloudevents.event_type": type, "cloudevents.event_subject": subject}
    return told | ({"livinglab.region": region} if region else {})


def is_sampled(traceparent: str | None) -> bool:
    """Whether spans under it are kept: a span costs 37 µs sampled, so that others are not even made."""
    return traceparent is not None and traceparent[-1:] in _ODD


def _add_trace_ids(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def configure_logs(settings: Settings, *, service: str) -> None:
    """One JSON object a line on standard output, ours and the libraries', with trace ids."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.CallsiteParameterAdder([structlog.processors.CallsiteParameter.PROCESS]),
        _add_trace_ids,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared[:2], *shared[3:], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                lambda _logger, _method, event: {"service": service, **event},
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # at INFO it writes on every heartbeat problem and join
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # metrics and spans tell of requests
    logging.getLogger("httpx").setLevel(logging.WARNING)


def spare_the_loop_collections() -> None:
    """Take what start-up made from the garbage collector, and let it look at the rest less often.

    What start-up made lives as long as the process. Walking it again and again was a fifth of the CPU of a drain
    (measured), and the longest pauses of the event loop.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


async def watch_loop(metrics: Metrics) -> None:
    """Measure for ever how late the event loop wakes up: above some 100 ms, something blocks it."""
    while True:
        before = monotonic()
        await asyncio.sleep(LOOP_LAG_PERIOD_S)
        metrics.loop_lag.set(max(0.0, monotonic() - before - LOOP_LAG_PERIOD_S))
