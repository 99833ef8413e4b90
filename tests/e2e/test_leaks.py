"""What subscribers of every role receive over a whole story, by every channel: searched for what is not theirs."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiohttp import web

from contracts.regions import Directory
from lab import system
from lab.parts.mail import LETTERS
from tests.acting import Headers, Region, Tokens, key
from tests.e2e.test_inbox import at
from tests.e2e.test_permissions import PEOPLE
from tests.e2e.test_review import Cast, cast_of, subject_of
from tests.listening import WITHIN_S, Subscriber
from tests.notify.mailserver import letters_in, link_in
from tests.notify.office import Endpoint, listening

pytestmark = pytest.mark.real
DIRECTORY = Directory.load()

# What somebody writes into an assessment, and what belongs to nobody but its writer.
PRIVATE = ("RAHASIA", "3211012304850003", "pribadi@contoh.example", "whsec_", "Bearer ")
MANAGES = {"responsible", "sekda", "neighbour", "province", "provincial", "kemendagri", "reviewer", "assessor"}
# Before anything is public: who may be told of OWN (a row by hand), and of a region of another province.
HEARS_OWN = {
    "responsible", "entry", "operator", "internal", "sekda", "head", "province", "provincial", "kemendagri", "reviewer",
}  # fmt: skip
HEARS_ALL = {"kemendagri", "reviewer"}


@dataclass
class Person:
    """One of PEOPLE, and all bytes that reached them, by channel."""

    name: str
    organization: str
    headers: Headers
    role: str
    endpoint: Endpoint = field(default_factory=Endpoint)
    address: str = field(default_factory=lambda: f"{uuid4().hex}@leaks.example.go.id")
    streamed: bytearray = field(default_factory=bytearray)

    def by_stream(self) -> list[dict[str, Any]]:
        lines = bytes(self.streamed).decode().split("\n")
        told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
        return [one for one in told if "specversion" in one]

    def by_webhook(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.endpoint.came]


def people(region: Region, tokens: Tokens, assessor: Headers) -> dict[str, Person]:
    own, neighbour = (
        region.code,
        next(r.code for r in DIRECTORY if r.province == region.code[:2] and "." in r.code and r.code != region.code),
    )
    made: dict[str, Person] = {}
    for name, who in PEOPLE.items():
        if who is not None:
            organization = {"OWN": own, "OTHER": neighbour, "PROVINCE": own[:2]}.get(who[0], who[0])
            headers = assessor if name == "assessor" else tokens(organization, who[1])
            made[name] = Person(name, organization, headers, who[1])
    return made


async def grant(administrator: Headers, everybody: dict[str, Person], client: httpx.AsyncClient) -> None:
    """As administrators would: each organization as far as it may ever be told."""
    for person in everybody.values():
        right: dict[str, Any] = {"reach": "regions", "regions": [person.organization]}
        if person.organization in ("kemendagri", "kemenpanrb"):
            right = {"reach": "national"}
        elif person.name == "assessor":
            right = {"reach": "assigned"}
        put = await client.put(f"rights/{person.organization}", json=right, headers=administrator)
        assert put.status_code == 200, put.text


@asynccontextmanager
async def watching(person: Person, client: httpx.AsyncClient) -> AsyncGenerator[None]:
    """Their stream is open."""
    begun = asyncio.Event()

    async def read() -> None:
        async with client.stream("GET", "stream", headers=person.headers, timeout=None) as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_bytes():
                person.streamed += piece
                if b"\nid: " in person.streamed:
                    begun.set()

    reading = asyncio.create_task(read())
    try:
        async with asyncio.timeout(WITHIN_S):
            await begun.wait()
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def subscribe(
    person: Person, subscriber: Subscriber, visitor: httpx.AsyncClient, living_lab: system.System
) -> None:
    """By every other channel, to everything, each proved."""
    made = await subscriber.subscribe(person.endpoint.url, "*")
    person.endpoint.secret = made["secret"]
    assert (await subscriber.command(made["subscription"], "verification")).status_code == 200
    for channel in ({"channel": "inbox", "role": person.role}, {"channel": "email", "email": person.address}):
        asked = {"name": "Semua", "types": ["*"], **channel}
        other = await subscriber.send("POST", "subscriptions", json=asked, headers=key())
        assert other.status_code == 201, other.text
    assert (await subscriber.command(other.json()["subscription"], "verification")).status_code == 200
    await until(lambda: bool(letters_to(person, living_lab)))
    [question] = letters_to(person, living_lab)
    assert (await visitor.post(at(living_lab, link_in(question)))).status_code == 200


def letters_to(person: Person, living_lab: system.System) -> list[Any]:
    return [one for one in letters_in(living_lab.directory / "smtp" / LETTERS) if one["To"] == person.address]


async def until(true: Callable[[], bool]) -> None:
    deadline = monotonic() + 2 * WITHIN_S
    while not true():
        assert monotonic() < deadline
        await asyncio.sleep(0.1)


async def act(cast: Cast) -> None:
    """From a draft full of what is private to publication."""
    region = cast.region
    assert (await region.open()).status_code == 201
    answers = (await region.read())["answers"]
    secret = " ".join(PRIVATE[:3])
    filled = [{"number": a["number"], "etag": a["etag"], "level": 3, "fakta": secret} for a in answers]
    address = f"{region.address}/answers"
    assert (await region.assessment.patch(address, json={"answers": filled}, headers=region.headers)).is_success
    assert (await region.submit()).status_code == 200
    one = {"assessors": [{"assessor": subject_of(cast.assessor), "organization": "universitas-x"}], "route": "evaluasi"}
    for who, what, body in (
        (cast.ministry, "assignment", one),
        (cast.assessor, "review", None),
    ):
        assert (await cast.post(who, what, body)).status_code == 200
    assert (await cast.find("document", {1: 2})).is_success
    aspects = [{"aspect": n, "strengths": secret, "weaknesses": secret} for n in range(1, 9)]
    for who, what, body in (
        (cast.assessor, "stages/document/closing", None),
        (cast.assessor, "stages/interview/closing", None),
        (cast.ministry, "verification", {"aspects": aspects}),
        (cast.coordinator, "consent", None),
        (cast.ministry, "publication", None),
    ):
        done = await cast.post(who, what, body)
        assert done.status_code == 200, done.text


def may_be_told(person: Person, event: dict[str, Any], *, own: str, elsewhere: str, assessor: str) -> bool:
    """By the rows above; nothing here is the service's own rule."""
    noun = event["type"].split(".")[2]
    if noun in ("subscription", "delivery"):
        return event["data"]["organization"] == person.organization and person.name in MANAGES
    if event["visibility"] == "public":
        return True
    if event["region"] == own:
        listed = person.name == "assessor" and assessor in event["data"].get("assessors", ())
        return person.name in HEARS_OWN or listed
    assert event["region"] == elsewhere, "somebody else's story"
    return person.name in HEARS_ALL


async def test_nobody_receives_what_is_not_theirs_by_any_channel(
    region: Region,
    region_in: Callable[[str], Region],
    tokens: Tokens,
    subscriber: Callable[..., Subscriber],
    visitor: httpx.AsyncClient,
    living_lab: system.System,
) -> None:
    own, cast = region, cast_of(region, tokens)
    assessor = subject_of(cast.assessor)
    elsewhere = region_in("spbe-2022")
    while elsewhere.code[:2] == own.code[:2]:
        elsewhere = region_in("spbe-2022")
    everybody = people(own, tokens, cast.assessor)
    base = f"{living_lab.services['notify']}/notify/v1/"
    async with AsyncExitStack() as stack:
        notify = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=WITHIN_S, trust_env=False))
        await grant(tokens("kemenpanrb", "administrator"), everybody, notify)
        managers = [person for person in everybody.values() if person.name in MANAGES]
        for person in managers:
            await stack.enter_async_context(listening(person.endpoint))
            own_hands = replace_headers(subscriber(person.organization, person.role), person.headers)
            await subscribe(person, own_hands, visitor, living_lab)
        for person in everybody.values():
            await stack.enter_async_context(watching(person, notify))
        await a_webhook_that_is_gone(subscriber("kemendagri", "pembina"), stack)

        await elsewhere.open()
        await elsewhere.fill(2)
        assert (await elsewhere.submit()).status_code == 200
        await elsewhere.score()
        await act(cast)

        def all_of_it(events: list[dict[str, Any]]) -> set[str]:
            return {e["type"].removeprefix("id.livinglab.") for e in events if e["visibility"] == "public"}

        everything = {"assessment.published.v1", "score.recalculated.v1"}
        await until(lambda: all(everything <= all_of_it(p.by_stream()) for p in everybody.values()))
        await until(lambda: all(everything <= all_of_it(p.by_webhook()) for p in managers))
        heard_of_elsewhere = [p for p in managers if p.name in HEARS_ALL]
        await until(
            lambda: all(elsewhere.code in {e.get("region") for e in p.by_webhook()} for p in heard_of_elsewhere)
        )
        await until(lambda: "subscription.disabled.v1" in kinds(everybody["kemendagri"].by_stream()))
        inboxes = {p.name: (await notify.get("inbox", params={"limit": 200}, headers=p.headers)).text for p in managers}
        logs = {
            p.name: (await notify.get("deliveries", params={"limit": 200}, headers=p.headers)).text for p in managers
        }
        letters = {p.name: letters_to(p, living_lab) for p in managers}

    received = 0
    for person in everybody.values():
        by_inbox = [item["event"] for item in json.loads(inboxes.get(person.name, '{"items": []}'))["items"]]
        for channel, events in (
            ("stream", person.by_stream()),
            ("webhook", person.by_webhook()),
            ("inbox", [e for e in by_inbox if e.get("region") in (own.code, elsewhere.code)]),
        ):
            for event in events:
                received += 1
                told = may_be_told(person, event, own=own.code, elsewhere=elsewhere.code, assessor=assessor)
                assert told, f"{person.name} received by {channel}: {event['type']} of {event.get('region')}"
        raw = [bytes(person.streamed).decode(), *(body.decode() for _, body in person.endpoint.came)]
        raw += [inboxes.get(person.name, ""), logs.get(person.name, "")]
        bodies = [
            part.get_content()
            for letter in letters.get(person.name, [])
            for part in letter.walk()
            if not part.is_multipart()
        ]
        for text in (*raw, *bodies):
            received += 1
            assert not [secret for secret in PRIVATE if secret in text], f"{person.name}: {text[:300]}"
        subjects = [letter["Subject"] for letter in letters.get(person.name, [])]
        if person.name not in HEARS_ALL:
            assert not [one for one in subjects if DIRECTORY.get(elsewhere.code).name in one], person.name
        # And what they may hear, they heard: a search of silence finds nothing.
        wanted = {"assessment.submitted.v1"} if person.name in HEARS_OWN else set[str]()
        assert wanted <= kinds(person.by_stream(), own.code), person.name
        if person.name in MANAGES:
            assert wanted <= kinds(person.by_webhook(), own.code), person.name
    assert "assessment.assigned.v1" in kinds(everybody["assessor"].by_webhook(), own.code)
    assert "assessment.submitted.v1" not in kinds(everybody["assessor"].by_webhook(), own.code)
    print(f"searched {received} messages of {len(everybody)} people, by stream, webhook, inbox, e-mail and log")


def kinds(events: list[dict[str, Any]], region: str | None = None) -> set[str]:
    return {e["type"].removeprefix("id.livinglab.") for e in events if region in (None, e.get("region"))}


def replace_headers(subscriber: Subscriber, headers: Headers) -> Subscriber:
    subscriber.signed = headers
    return subscriber


async def a_webhook_that_is_gone(ministry: Subscriber, stack: AsyncExitStack) -> None:
    """It is disabled at the first event: only its owner may hear of that."""

    async def gone(_name: str, _count: int) -> web.Response:
        return web.Response(status=410)

    endpoint = await stack.enter_async_context(listening(Endpoint(answers=gone)))
    made = await ministry.subscribe(endpoint.url, "assessment.submitted")
    endpoint.secret = made["secret"]
    assert (await ministry.command(made["subscription"], "verification")).status_code == 200
