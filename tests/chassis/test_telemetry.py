"""What an operator sees is an interface: logs without secrets, metrics by name, one trace across outbox and Kafka."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pymongo.errors import PyMongoError

from chassis import telemetry
from chassis.publish import Publish
from chassis.records import Fact
from chassis.settings import Settings
from chassis.store import connect, ping
from chassis.telemetry import is_sampled, remote, traceparent_of, watch_loop
from contracts import events
from contracts.fact import fact_id
from lab.system import System
from services.scoring.domain.score import RULE
from tests.acting import DEADLINE_S, Region, Tokens, key
from tests.chassis.workshop import Facts, Thing
from tests.watching import Sink, scraped

IDS = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"

# Traceparents


@pytest.mark.parametrize(
    ("traceparent", "sampled"),
    [
        (f"00-{IDS}-01", True),
        (f"00-{IDS}-03", True),  # sampled, and the id is random (W3C trace context, level 2)
        (f"00-{IDS}-ff", True),
        (f"00-{IDS}-00", False),
        (f"00-{IDS}-02", False),
        ("", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_whether_a_trace_is_kept_is_the_last_bit_of_its_flags(traceparent: str | None, sampled: bool) -> None:
    assert is_sampled(traceparent) is sampled


def test_the_first_failure_rises_from_zero() -> None:
    """Prometheus sees no rise in a series that begins at 1."""
    metrics = telemetry.start(Settings(), service="t").metrics
    telemetry.from_zero(metrics.records, ("a", "b"), ("handled", "set_aside"))
    shown = {(s.labels["group"], s.labels["outcome"]): s.value for f in metrics.records.collect() for s in f.samples}
    assert shown == {("a", "handled"): 0, ("a", "set_aside"): 0, ("b", "handled"): 0, ("b", "set_aside"): 0}


def test_a_span_that_no_collector_took_is_counted() -> None:
    watch = telemetry.start(
        Settings(otel_exporter_otlp_endpoint="http://127.0.0.1:1", traces_sample_ratio=1), service="t"
    )
    watch.tracer.start_span("lost").end()
    watch.provider.shutdown()
    counted = {s.labels["outcome"]: s.value for family in watch.metrics.spans.collect() for s in family.samples}
    assert counted == {"ended": 1.0, "refused": 1.0, "exported": 0.0}


def test_what_a_span_hands_on_makes_its_holder_a_child() -> None:
    watch = telemetry.start(Settings(traces_sample_ratio=1), service="test")
    with watch.tracer.start_as_current_span("cause") as cause:
        handed = traceparent_of(cause)
    assert is_sampled(handed)
    context = trace.get_current_span(remote(handed)).get_span_context()
    assert (context.trace_id, context.span_id) == (cause.get_span_context().trace_id, cause.get_span_context().span_id)
    watch.provider.shutdown()


async def test_a_fact_that_is_twice_in_a_batch_has_one_span(spans: InMemorySpanExporter, facts: Facts) -> None:
    watch = telemetry.start(Settings(), service="test")
    watch.provider.add_span_processor(SimpleSpanProcessor(spans))
    sent = facts.thing("a")
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    fact = Fact(sent.envelope, sent.key, Thing(thing="a"), "digest", traceparent, b"{}")
    none: Any = None
    with Publish(producer=none, epochs=none, telemetry=watch).spans([fact, fact], topic="things", group="g"):
        pass
    assert [span.name for span in spans.get_finished_spans()] == ["process things"]
    watch.provider.shutdown()


@pytest.mark.parametrize("again", [False, True])
async def test_what_is_done_again_has_a_trace_of_its_own_linked_to_the_first(
    spans: InMemorySpanExporter, facts: Facts, again: bool
) -> None:
    watch = telemetry.start(Settings(traces_sample_ratio=1), service="test")
    watch.provider.add_span_processor(SimpleSpanProcessor(spans))
    fact = Fact(facts.thing("a").envelope, "a", Thing(thing="a"), "digest", f"00-{'a' * 32}-{'b' * 16}-01", b"{}")
    none: Any = None
    with Publish(producer=none, epochs=none, telemetry=watch).spans([fact], topic="things", group="g", again=again):
        pass
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert (f"{span.context.trace_id:032x}" == "a" * 32) is not again
    assert [f"{link.context.trace_id:032x}" for link in span.links] == ["a" * 32] * again
    watch.provider.shutdown()


async def test_an_event_loop_that_is_blocked_shows() -> None:
    watch = telemetry.start(Settings(), service="test")
    watching = asyncio.create_task(watch_loop(watch.metrics))

    def lag() -> float:
        (family,) = watch.metrics.loop_lag.collect()
        return family.samples[0].value

    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    end = loop.time() + telemetry.LOOP_LAG_PERIOD_S + 0.15
    while loop.time() < end:  # as a long computation does
        pass
    await asyncio.sleep(0.01)
    assert lag() >= 0.1
    watching.cancel()
    watch.provider.shutdown()


# Logs


@pytest.fixture
def opened_log(logs_as_they_were: None) -> Callable[[], structlog.stdlib.BoundLogger]:
    """To be opened in the test itself: output is captured anew when its fixtures are there."""

    def opening() -> structlog.stdlib.BoundLogger:
        telemetry.configure_logs(Settings(), service="test")
        return structlog.stdlib.get_logger(f"test.{uuid4().hex}")

    return opening


def test_a_log_line_is_one_json_object_with_the_trace_it_belongs_to(
    opened_log: Callable[[], structlog.stdlib.BoundLogger], capsys: pytest.CaptureFixture[str]
) -> None:
    log = opened_log()
    watch = telemetry.start(Settings(traces_sample_ratio=1), service="test")
    with watch.tracer.start_as_current_span("request") as span:
        log.warning("two\nlines", number=7)
        logging.getLogger("a.library").error("failed: %s", "why", extra={"attempt": 2})
    log.info("outside")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("failed")
    ours, library, outside, failed = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (ours["service"], ours["level"], ours["event"], ours["number"]) == ("test", "warning", "two\nlines", 7)
    for line in (ours, library):
        assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"
        assert line["span_id"] == f"{span.get_span_context().span_id:016x}"
    assert (library["event"], library["logger"], library["attempt"]) == ("failed: why", "a.library", 2)
    assert "trace_id" not in outside
    assert "ValueError: broken" in failed["exception"]
    watch.provider.shutdown()


async def test_errors_of_the_database_do_not_tell_its_password(
    opened_log: Callable[[], structlog.stdlib.BoundLogger], capsys: pytest.CaptureFixture[str]
) -> None:
    log = opened_log()
    settings = Settings.model_validate(
        {
            "mongodb_uri": "mongodb://somebody:s3cr3t-w0rd@127.0.0.1:9/?serverSelectionTimeoutMS=100",
            "mongodb_timeout_ms": 100,
            "kafka_sasl_password": "s3cr3t-w0rd",
        }
    )
    client, database = connect(settings, service="test")
    try:
        await ping(database)
    except PyMongoError as error:
        log.warning("down", error=repr(error), settings=settings, exc_info=error)
    client.close()
    told = capsys.readouterr().out
    assert "127.0.0.1:9" in told
    assert "s3cr3t-w0rd" not in told


@pytest.mark.real
async def test_the_logs_of_the_running_services_hold_json_and_no_secret(
    living_lab: System, region: Region, tokens: Tokens
) -> None:
    await region.open()
    await region.fill(3)
    await region.submit()
    await region.score()
    forged = tokens("32.11", "penanggung-jawab")["Authorization"][:-4] + "AAAA"
    for client in (region.assessment, region.scoring):
        for header in (region.headers["Authorization"], forged, "Bearer nonsense", "Basic c29tZWJvZHk6czNjcjN0"):
            await client.get(f"/nowhere?token={header[-40:]}", headers={"Authorization": header})
            await client.get(region.address, headers={"Authorization": header})
    secrets = [region.headers["Authorization"].removeprefix("Bearer "), forged[-43:], "c29tZWJvZHk6czNjcjN0"]
    for service in ("assessment", "scoring"):
        lines = living_lab.parts[service].log.read_text().splitlines()
        assert lines
        for line in lines:
            told = json.loads(line)
            assert {"service", "event", "level", "logger", "timestamp", "process"} <= told.keys(), line
            assert told["service"] == service
        text = "\n".join(lines)
        for secret in (*secrets, living_lab.environment["MONGODB_URI"], "mongodb://"):
            assert secret not in text


# Metrics


@pytest.mark.real
async def test_rate_errors_and_duration_are_by_route_and_a_scan_adds_one(living_lab: System, region: Region) -> None:
    async def counted() -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for sample in (await scraped(living_lab, "assessment"))["livinglab_http_requests"].samples:
            if sample.name.endswith("_total"):
                series = (sample.labels["route"], sample.labels["status"])
                found[series] = found.get(series, 0) + sample.value
        return found

    before = await counted()
    for n in range(5):
        await region.assessment.get(f"http://{region.assessment.base_url.netloc.decode()}/scan-{n}.php")
    await region.open()
    await region.read()
    await region.assessment.get(f"{region.address}x", headers=region.headers)
    after = await counted()
    one = "/assessment/v1/assessments/{assessment_id}"
    grown = {series: after[series] - before.get(series, 0) for series in after}
    assert grown[("(none)", "404")] == 5
    assert (grown[one, "200"], grown[one, "404"]) == (1, 1)
    assert grown["/assessment/v1/assessments", "201"] == 1
    routes = {route for route, _ in after}
    assert not [route for route in routes if "scan" in route or "spbe-2022" in route]


# Traces


@pytest.fixture
def sink(living_lab: System) -> Sink:
    return Sink(living_lab.environment["OTEL_EXPORTER_OTLP_ENDPOINT"])


@pytest.mark.real
@pytest.mark.parametrize("flags", ["01", "03"])
async def test_one_trace_leads_from_the_request_through_outbox_and_kafka_to_the_published_score(
    region: Region, sink: Sink, flags: str
) -> None:
    await region.open()
    await region.fill(3)
    trace_id, caller = uuid4().hex, uuid4().hex[:16]
    submitted = await region.submit(traceparent=f"00-{trace_id}-{caller}-{flags}")
    assert submitted.status_code == 200, submitted.text
    spans = await sink.trace(trace_id, lambda spans: 7 - len(spans))
    found = {(span["service"], span["name"], span["kind"]): span for span in spans}
    chain = [
        ("assessment", "POST /assessment/v1/assessments/{assessment_id}/submission", "server"),
        ("assessment", "send livinglab.assessment", "producer"),
        ("scoring", "process livinglab.assessment", "consumer"),
        ("scoring", "send livinglab.score", "producer"),
    ]
    heard = {("notify", f"process livinglab.{noun}", "consumer") for noun in ("assessment", "score")}
    heard.add(("commitment", "process livinglab.score", "consumer"))
    assert set(found) == {*chain, *heard}
    parent = caller
    for link in chain:
        assert found[link]["parent_id"] == parent, link
        parent = found[link]["span_id"]
    for service, name, _ in heard:
        publishing = next(span for link, span in found.items() if link[1] == name.replace("process", "send"))
        assert found[service, name, "consumer"]["parent_id"] == publishing["span_id"]
    assert len(spans) == 7
    submission = fact_id(aggregate=region.id, revision=1, rule=0, type=events.ASSESSMENT_SUBMITTED.type)
    told = {link[1]: found[link]["attributes"] for link in chain}
    assert told["send livinglab.assessment"]["cloudevents.event_id"] == str(submission)
    assert told["process livinglab.assessment"]["cloudevents.event_id"] == str(submission)
    assert told["process livinglab.assessment"]["messaging.consumer.group.name"] == "scoring.assessment"
    assert told["send livinglab.score"]["cloudevents.event_type"] == events.SCORE_RECALCULATED.type


@pytest.mark.real
async def test_a_trace_that_we_begin_leads_as_far(region: Region, sink: Sink) -> None:
    await region.open()
    await region.fill(3)
    sent = region.headers | key() | await region.tag()
    await region.assessment.post(f"{region.address}/submission", headers=sent)
    published = str(fact_id(aggregate=region.id, revision=1, rule=RULE, type=events.SCORE_RECALCULATED.type))
    async with httpx.AsyncClient(base_url=sink.address, trust_env=False) as client, asyncio.timeout(DEADLINE_S):
        while True:
            for trace_id in (await client.get("/traces", params={"name": "send livinglab.score"})).json():
                spans = (await client.get(f"/traces/{trace_id}")).json()
                if any(s["attributes"].get("cloudevents.event_id") == published for s in spans) and len(spans) == 7:
                    assert [span["parent_id"] for span in spans].count(None) == 1
                    return
            await asyncio.sleep(0.05)


@pytest.mark.real
async def test_who_asks_not_to_be_traced_is_traced_nowhere(region: Region, sink: Sink) -> None:
    await region.open()
    await region.fill(3)
    trace_id = uuid4().hex
    await region.submit(traceparent=f"00-{trace_id}-{uuid4().hex[:16]}-00")
    await region.score()
    # One that is traced, sent after it: when that has arrived, this one would have.
    other = uuid4().hex
    await region.reopen()
    await region.submit(traceparent=f"00-{other}-{uuid4().hex[:16]}-01")
    await sink.trace(other, lambda spans: len(spans) < 4)
    async with httpx.AsyncClient(base_url=sink.address, trust_env=False) as client:
        assert (await client.get(f"/traces/{trace_id}")).status_code == 404
