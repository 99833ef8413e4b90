"""A ministry and a province subscribe; a region submits; each hears what it may, signed, once it was proved."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from lab import system
from lab.parts import Part, http_server
from lab.parts.process import ports
from tests.acting import Headers, Region, Tokens, key

pytestmark = pytest.mark.real
WITHIN_S = 30.0


class Listener:
    """A receiver in a process of its own."""

    def __init__(self, part: Part, http: httpx.AsyncClient) -> None:
        self.part = part
        self.url = f"{part.address}/"
        self._http = http

    async def told(self, **asked: Any) -> None:
        (await self._http.put(f"{self.url}told", json=asked)).raise_for_status()

    async def received(self) -> dict[str, Any]:
        answer = await self._http.get(f"{self.url}received")
        return answer.raise_for_status().json()

    async def until(self, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = monotonic() + WITHIN_S
        while not enough(seen := await self.received()):
            assert monotonic() < deadline, seen
            await asyncio.sleep(0.05)
        return seen


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20, trust_env=False, limits=httpx.Limits(keepalive_expiry=2)) as client:
        yield client


@pytest.fixture
def listeners(
    tmp_path: Path, living_lab: system.System, http: httpx.AsyncClient
) -> Generator[Callable[[str], Listener]]:
    parts: list[Part] = []

    def begin(name: str) -> Listener:
        directory = tmp_path / name
        (port,) = ports(directory, 1)
        endpoint = living_lab.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "LISTEN_NAME": name}
        part = http_server(
            name, factory="lab.listen:create_app", directory=directory, port=port, ready_path="/received", env=env
        )
        parts.append(part)
        part.launch()
        part.wait_ready()
        return Listener(part, http)

    yield begin
    for part in parts:
        part.stop()


class Subscriber:
    """An organization at the notify service."""

    def __init__(self, http: httpx.AsyncClient, address: str, signed: Headers) -> None:
        self._http = http
        self._address = f"{address}/notify/v1"
        self._signed = signed

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {**self._signed, **request.pop("headers", {})}
        return await self._http.request(method, f"{self._address}/{path}", headers=headers, **request)

    async def subscribe(self, url: str, *types: str, **more: Any) -> dict[str, Any]:
        asked = {"name": "Uji", "url": url, "types": list(types), **more}
        made = await self.send("POST", "subscriptions", json=asked, headers=key())
        assert made.status_code == 201, made.text
        return made.json()

    async def command(self, subscription: str, what: str, **asked: Any) -> httpx.Response:
        path = f"subscriptions/{subscription}"
        seen = await self.send("GET", path)
        headers = {**key(), "If-Match": seen.headers["etag"]}
        return await self.send("POST", f"{path}/{what}", json=asked or None, headers=headers)

    async def deliveries(self, **wanted: str) -> list[dict[str, Any]]:
        return (await self.send("GET", "deliveries", params=wanted)).json()["items"]


@pytest.fixture
def subscriber(living_lab: system.System, http: httpx.AsyncClient, tokens: Tokens) -> Callable[..., Subscriber]:
    def sign_in(organization: str, *roles: str) -> Subscriber:
        return Subscriber(http, living_lab.services["notify"], tokens(organization, *roles))

    return sign_in


async def submit(region: Region) -> None:
    await region.open()
    await region.fill(3)
    assert (await region.submit()).status_code == 200


async def test_from_a_regions_submission_to_a_ministrys_receiver(
    subscriber: Callable[..., Subscriber], listeners: Callable[[str], Listener], region: Region
) -> None:
    administrator = subscriber("kemenpanrb", "administrator")
    ministry = subscriber("kemendagri", "pembina")
    assert (await administrator.send("PUT", "rights/kemendagri", json={"reach": "national"})).status_code == 200
    listener = listeners("kemendagri")

    made = await ministry.subscribe(listener.url, "assessment.*", "score.recalculated", regions=[region.code])
    assert made["status"] == "unproved"
    proved = await ministry.command(made["subscription"], "verification")
    assert (proved.status_code, proved.json()["status"]) == (200, "active"), proved.text

    await submit(region)
    seen = await listener.until(lambda seen: seen["refused"] >= 2)
    assert not seen["events"]  # it does not know the secret yet
    await listener.told(secrets=[made["secret"]])
    seen = await listener.until(lambda seen: len(seen["events"]) == 2)
    assert {event["type"] for event in seen["events"]} == {
        "id.livinglab.assessment.submitted.v1",
        "id.livinglab.score.recalculated.v1",
    }
    assert all(event["region"] == region.code for event in seen["events"])

    [submitted] = await ministry.deliveries(event=seen["events"][0]["id"])
    assert submitted["status"] == "delivered"
    assert [attempt["status"] for attempt in submitted["attempts"]] == [401, 204]


async def test_a_region_without_a_right_hears_what_is_public_only(
    subscriber: Callable[..., Subscriber], listeners: Callable[[str], Listener], region: Region
) -> None:
    neighbour = subscriber("73.71", "penanggung-jawab")
    listener = listeners("makassar")
    made = await neighbour.subscribe(listener.url, "*")
    await listener.told(secrets=[made["secret"]])
    assert (await neighbour.command(made["subscription"], "verification")).status_code == 200
    await submit(region)
    administrator = subscriber("kemenpanrb", "administrator")
    await administrator.send("PUT", "rights/kemenpanrb", json={"reach": "national"})
    assert not (await listener.received())["events"]
    assert await neighbour.deliveries() == []


async def test_an_endpoint_that_does_not_agree_stays_unproved(subscriber: Callable[..., Subscriber]) -> None:
    ministry = subscriber("kemendagri", "pembina")
    made = await ministry.subscribe("http://127.0.0.1:1/", "*")
    refused = await ministry.command(made["subscription"], "verification")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_not_proved")
    assert refused.json()["failure"] == "connect"
    seen = await ministry.send("GET", f"subscriptions/{made['subscription']}")
    assert seen.json()["status"] == "unproved"
