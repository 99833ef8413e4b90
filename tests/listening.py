"""An organization that subscribes, and its receiver, in a test."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import httpx

from lab.parts import Part
from tests.acting import Headers, SignIn, key

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


async def hears_of_everything(http: httpx.AsyncClient, address: str, sign_in: SignIn, url: str) -> str:
    """Kemendagri may be told of the nation, and subscribes to all of it, at an endpoint that agrees; its secret."""
    administrator = Subscriber(http, address, sign_in("kemenpanrb", "administrator"))
    assert (await administrator.send("PUT", "rights/kemendagri", json={"reach": "national"})).status_code == 200
    ministry = Subscriber(http, address, sign_in("kemendagri", "pembina"))
    made = await ministry.subscribe(url, "*")
    assert (await ministry.command(made["subscription"], "verification")).status_code == 200
    return made["secret"]


class Subscriber:
    """An organization at the notify service."""

    def __init__(self, http: httpx.AsyncClient, address: str, signed: Headers) -> None:
        self._http = http
        self._address = f"{address}/notify/v1"
        self.signed = signed

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {**self.signed, **request.pop("headers", {})}
        return await self._http.request(method, f"{self._address}/{path}", headers=headers, **request)

    @asynccontextmanager
    async def stream(self, path: str, **request: Any) -> AsyncGenerator[AsyncIterator[str]]:
        """Its lines, once it is open."""
        async with self._http.stream("GET", f"{self._address}/{path}", headers=self.signed, **request) as answer:
            assert answer.status_code == 200
            yield answer.aiter_lines()

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
