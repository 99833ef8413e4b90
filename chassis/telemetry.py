"""Logs, traces and metrics: the chassis' own, not FastStream's middlewares (measured: docs/adr/0002)."""

import asyncio
import gc
import logging
import sys
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from chassis.settings import Settings

_W3C = TraceContextTextMapPropagator()
# The flags' last bit says sampled; others beside it, such as that the id is random (03), say nothing of it.
_ODD = frozenset("13579bdf")
# From 1 ms to 10 s: the library's own first bucket of 5 ms hides what a healthy service does.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
LOOP_LAG_PERIOD_S = 0.5
COLLECT_AFTER_OBJECTS = 10_000
"""A batch of 500 records makes twice as many; Python's default of 700 looks at each batch thirty times."""


class Metrics:
    """Everything that a service measures. A registry per application: two in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"livinglab_{name}", about, labels, registry=self.registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"livinglab_{name}", about, labels, registry=self.registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"livinglab_{name}", about, labels, buckets=buckets, registry=self.registry)

        self.http_requests = counter("http_requests_total", "Answered requests", "method", "route", "status")
        self.http_seconds = histogram("http_request_seconds", "Time to answer", SECONDS, "method", "route")
        self.records = counter("consumer_records_total", "Records read, by what became of them", "group", "outcome")
        self.batch_records = histogram("consumer_batch_records", "Records in a batch", RECORDS, "group")
        self.batch_seconds = histogram("consumer_batch_seconds", "From a batch read to its commit", SECONDS, "group")
        self.lag_records = gauge("consumer_lag_records", "Records on the topic not yet committed", "group")
        self.lag_seconds = gauge("consumer_lag_seconds", "Age of the oldest record not yet handled", "group")
        self.held = gauge("consumer_held_records", "Records that failed and wait for another to succeed", "group")
        self.stopped = gauge("consumer_stopped", "1 while a consumer stands still on purpose", "group", "reason")
        self.dead_letters = counter("dead_letters_total", "Records set aside", "group", "code")
        self.dead_letters_open = gauge("dead_letters_open", "Records set aside and not yet dealt with")
        self.outbox_relayed = counter("outbox_relayed_total", "Entries handed over", "destination")
        self.outbox_pending = gauge("outbox_pending_aggregates", "Aggregates with pending entries, 1000 at most")
        self.outbox_age = gauge("outbox_oldest_seconds", "Age of the oldest pending entry: the main indicator")
        self.loop_lag = gauge("event_loop_lag_seconds", "How late the event loop wakes up")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What code needs to be seen: a tracer of the service's own provider, and its metrics."""

    provider: TracerProvider
    tracer: trace.Tracer
    metrics: Metrics


def start(settings: Settings, *, service: str) -> Telemetry:
    """Begin. Spans go nowhere unless OTEL_EXPORTER_OTLP_ENDPOINT is set; a batch processor drops when it is full."""
    disable_created_metrics()  # a gauge beside each counter and histogram, which nobody asks for
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}),
        sampler=ParentBasedTraceIdRatio(settings.traces_sample_ratio),
        shutdown_on_exit=False,
    )
    if settings.otel_exporter_otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=16_384, schedule_delay_millis=1_000))
    return Telemetry(provider, provider.get_tracer("livinglab"), Metrics())


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
