"""A running system shows what contracts/telemetry says: metrics, spans, and the edges of each story."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from contracts.telemetry import metrics, spans
from lab import system
from tests.acting import DEADLINE_S, Region, Tokens, key
from tests.committing import Committing, drafted
from tests.listening import Listener, Subscriber, hears_of_everything
from tests.watching import Sink, lacking, scraped, traced

pytestmark = pytest.mark.real
SELDOM = {
    metrics.DEAD_LETTERS,
    metrics.ATTEMPTS,
    metrics.ATTEMPT_SECONDS,
    metrics.DELIVERIES,
    metrics.STREAMS_ENDED,
    metrics.SIGNING_SECONDS,
    metrics.REGIONS,
    metrics.OUTBOX_RELAYED,
    metrics.EVENT_AGE,
    metrics.SPANS,
}
"""Shown once something of it happened; every other metric of a service is always there."""
HEARS = {"commitment", "notify", "scoring"}


@pytest.fixture
def sink(living_lab: system.System) -> Sink:
    return Sink(living_lab.environment["OTEL_EXPORTER_OTLP_ENDPOINT"])


@pytest.fixture
async def told(
    visitor: httpx.AsyncClient, living_lab: system.System, tokens: Tokens, listeners: Callable[[str], Listener]
) -> None:
    """A ministry that is told of everything, and continues traces."""
    listener = listeners(spans.RECEIVER)
    secret = await hears_of_everything(visitor, living_lab.services["notify"], tokens, listener.url)
    await listener.told(secrets=[secret])


@pytest.fixture
async def one(
    commitment: httpx.AsyncClient, tokens: Tokens, living_lab: system.System, free_regions: Iterator[str]
) -> Committing:
    """An open commitment of two regions."""
    two = sorted(next(free_regions) for _ in range(2))
    drawn = await drafted(commitment, tokens, living_lab.directory / "pki", two[0], two)
    await drawn.open()
    return drawn


def places(name: str) -> str:
    """A row's name as a pattern."""
    known = {"{method}": "[A-Z]+", "{route}": r"/[a-z0-9_/{}.:-]+", "{topic}": r"livinglab\.[a-z]+"}
    return "".join(known.get(part, re.escape(part)) for part in re.split(r"(\{[a-z]+\})", name))


def judge(span: Mapping[str, Any]) -> None:
    """One of our spans is a row of the table, with the attributes that it names."""
    rows = [
        row
        for row in spans.ALL
        if span["service"] in row.services and row.kind == span["kind"] and re.fullmatch(places(row.name), span["name"])
    ]
    assert len(rows) == 1, span
    told = span["attributes"].keys()
    assert set(rows[0].always) <= told <= {*rows[0].always, *rows[0].sometimes}, span


async def test_a_submission_is_followed_to_the_ministrys_receiver(region: Region, sink: Sink, told: None) -> None:
    await region.open()
    await region.fill(3)
    trace_id, header = traced()
    assert (await region.submit(**header)).status_code == 200
    found = await sink.trace(trace_id, lacking(spans.EDGES["A region submits"]))
    for span in found:
        if span["service"] != spans.RECEIVER:
            judge(span)
    of_the_region = {span["attributes"].get("livinglab.region") for span in found if "send" in span["name"]}
    assert of_the_region == {region.code}


async def test_a_signature_is_followed_to_the_ministrys_receiver(one: Committing, sink: Sink, told: None) -> None:
    trace_id, header = traced()
    text = (await one.get())["text_sha256"]
    signed = await one.sign(one.initiator, text_sha256=text, idempotency=key() | header)
    assert signed.status_code == 200, signed.text
    found = await sink.trace(trace_id, lacking(spans.EDGES["A signatory signs"]))
    for span in found:
        if span["service"] != spans.RECEIVER:
            judge(span)
    (signing,) = [span for span in found if span["name"] == "sign"]
    assert signing["attributes"] == {"livinglab.signing.provider": "local", "livinglab.signing.outcome": "signed"}


async def test_what_a_ministry_asks_for_again_has_a_trace_of_its_own_linked_to_the_first(
    region: Region,
    sink: Sink,
    visitor: httpx.AsyncClient,
    living_lab: system.System,
    tokens: Tokens,
    listeners: Callable[[str], Listener],
) -> None:
    listener = listeners(spans.RECEIVER)
    notify = living_lab.services["notify"]
    administrator = Subscriber(visitor, notify, tokens("kemenpanrb", "administrator"))
    await administrator.send("PUT", "rights/kemendagri", json={"reach": "national"})
    ministry = Subscriber(visitor, notify, tokens("kemendagri", "pembina"))
    made = await ministry.subscribe(listener.url, "*")
    await listener.told(secrets=[made["secret"]])
    assert (await ministry.command(made["subscription"], "verification")).status_code == 200
    await region.open()
    await region.fill(3)
    trace_id, header = traced()
    assert (await region.submit(**header)).status_code == 200
    await sink.trace(trace_id, lacking(spans.EDGES["A region submits"]))
    asked = {"aggregate": f"{region.cycle}:{region.code}"}
    again = await ministry.send("POST", f"subscriptions/{made['subscription']}/replays", json=asked, headers=key())
    assert again.status_code == 202, again.text
    for sent in await sink.linked(trace_id, name=spans.WEBHOOK.name):
        judge(sent)
        assert sent["attributes"]["livinglab.replay"] == again.json()["replay"]
        assert not sent["parent_id"]


async def test_a_wrong_passphrase_is_seen_as_refused_and_is_no_error(one: Committing, sink: Sink) -> None:
    trace_id, header = traced()
    text = (await one.get())["text_sha256"]
    answer = await one.sign(one.initiator, text_sha256=text, idempotency=key() | header, passphrase="not the one")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_passphrase"), answer.text
    found = await sink.trace(trace_id, lambda found: not [span for span in found if span["kind"] == "server"])
    assert not [span for span in found if span["failed"]]
    assert "passphrase" not in str(found)


async def test_a_follow_up_is_followed_to_the_ministrys_receiver(one: Committing, sink: Sink, told: None) -> None:
    trace_id, header = traced()
    await one.follow_up(one.initiator, **header)
    await sink.trace(trace_id, lacking(spans.EDGES["A region follows up"]))


async def test_each_service_shows_the_metrics_of_its_rows_and_no_others(
    living_lab: system.System, region: Region, one: Committing, told: None
) -> None:
    await region.open()
    await region.fill(3)
    await region.submit()
    await region.score()
    text = (await one.get())["text_sha256"]
    assert (await one.sign(one.initiator, text_sha256=text)).status_code == 200
    for service in metrics.ALL_SERVICES:
        rows = {row.full_name.removesuffix("_total"): row for row in metrics.ALL if service in row.services}
        always = {
            name for name, row in rows.items() if row not in SELDOM and (service in HEARS or "group" not in row.labels)
        }
        async with asyncio.timeout(DEADLINE_S):  # some are measured every few seconds
            while True:
                families = await scraped(living_lab, service)
                shown = {name for name, family in families.items() if family.samples}
                if shown >= always:
                    break
                await asyncio.sleep(0.1)
        assert {name: family.type for name, family in families.items()} == {n: row.kind for n, row in rows.items()}
        for name, family in families.items():
            assert family.documentation == rows[name].meaning
            for sample in family.samples:
                assert sample.labels.keys() - {"le"} == set(rows[name].labels), sample
    ages = (await scraped(living_lab, "scoring"))["livinglab_event_age_seconds"].samples
    assert {"handled", "relayed"} <= {sample.labels["hop"] for sample in ages}


async def test_another_region_adds_no_series_and_no_label_names_it(
    living_lab: system.System, region_in: Callable[[str], Region]
) -> None:
    async def act() -> str:
        region = region_in("spbe-2022")
        await region.open()
        await region.fill(3)
        await region.submit()
        await region.score()
        return region.code

    async def series() -> set[str]:
        return {
            f"{service} {sample.name} {sorted(sample.labels.items())}"
            for service in ("assessment", "scoring")
            for family in (await scraped(living_lab, service)).values()
            for sample in family.samples
        }

    # What follows from an act may be measured a moment later: by the acts after it, whatever grows with regions shows.
    acts = [(await act(), await series()) for _ in range(5)]
    assert acts[-1][1] - acts[-2][1] == set()
    assert [one for one in acts[-1][1] if any(region in one for region, _ in acts)] == []
