"""Live streams over HTTP, on processes of their own: a region submits, a ministry sees it, wherever it is connected."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from lab import system
from lab.keys import webhook_settings
from lab.oidc import kept_key, mint
from lab.parts import Part, service
from tests.acting import Headers, Region, Tokens
from tests.notify.listener import Listener, Message

pytestmark = pytest.mark.real
WITHIN_S = 30.0
SUBMITTED = "id.livinglab.assessment.submitted.v1"
SCORED = "id.livinglab.score.recalculated.v1"


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
        yield client


@pytest.fixture
async def ministry(living_lab: system.System, http: httpx.AsyncClient, tokens: Tokens) -> Headers:
    """Kemendagri, which may be told of the nation."""
    address = f"{living_lab.services['notify']}/notify/v1/rights/kemendagri"
    administrator = tokens("kemenpanrb", "administrator")
    (await http.put(address, json={"reach": "national"}, headers=administrator)).raise_for_status()
    return tokens("kemendagri", "pembina")


@pytest.fixture
def replica(tmp_path: Path, living_lab: system.System) -> Generator[Callable[..., Part]]:
    """Further api processes of notify, on the same Kafka, database and keys."""
    started: list[Part] = []

    def start(**settings: str) -> Part:
        env = {**living_lab.environment, **webhook_settings(living_lab.directory / "notify"), "ROLE": "api", **settings}
        started.append(service(tmp_path / f"notify-{len(started)}", "notify", env))
        started[-1].start()
        return started[-1]

    yield start
    for part in started:
        part.stop()


Opens = Callable[..., AbstractAsyncContextManager[Listener]]


@pytest.fixture
def opens(http: httpx.AsyncClient, living_lab: system.System) -> Opens:
    """Opens a stream, at `where` or at the running service."""

    @asynccontextmanager
    async def opening(
        who: Headers, *, where: str | None = None, since: str = "", **asked: Any
    ) -> AsyncGenerator[Listener]:
        address = f"{where or living_lab.services['notify']}/notify/v1/stream"
        headers = {**who, **({"Last-Event-ID": since} if since else {})}
        async with asyncio.timeout(WITHIN_S), AsyncExitStack() as stack:
            while True:
                answer = await stack.enter_async_context(http.stream("GET", address, params=asked, headers=headers))
                if answer.status_code != 503:
                    break
                await asyncio.sleep(0.2)  # a replica is ready before it has found where its topics end
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            listener = Listener(answer.aiter_bytes())
            if not since:
                await listener.until_id()
            yield listener

    return opening


async def submit(region: Region) -> None:
    await region.open()
    await region.fill(3)
    assert (await region.submit()).status_code == 200


async def test_a_regions_submission_appears_in_a_ministrys_stream(
    opens: Opens, ministry: Headers, tokens: Tokens, region: Region
) -> None:
    neighbour = tokens("73.71", "penanggung-jawab")
    async with (
        opens(ministry, region=[region.code], type=["assessment.*", "score.recalculated"]) as listener,
        opens(neighbour, region=[region.code]) as other,
    ):
        await submit(region)
        heard = {message.event: message for message in await listener.take(2)}
        assert heard.keys() == {SUBMITTED, SCORED}
        assert heard[SUBMITTED].data["region"] == region.code
        assert heard[SUBMITTED].data["data"]["assessment"] == region.id
        waiting = asyncio.create_task(other.take(1))
        await asyncio.wait([waiting], timeout=1)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_cut_after_each_message_nothing_is_missing_on_another_replica(
    opens: Opens, ministry: Headers, region: Region, replica: Callable[..., Part], living_lab: system.System
) -> None:
    there, here = replica().address, living_lab.services["notify"]
    async with opens(ministry, region=[region.code]) as listener:
        last = listener.last
    await submit(region)
    for _ in range(2):
        assert (await region.reopen()).status_code == 200
        assert (await region.submit()).status_code == 200
    await region.score(revision=5)
    heard: list[Message] = []
    while [message.data["revision"] for message in heard].count(5) < 2:  # the submission, and its score
        where = (there, here)[len(heard) % 2]
        async with opens(ministry, where=where, since=last, region=[region.code]) as listener:
            heard += await listener.take(1)
            last = listener.last
    revisions = [(message.event, message.data["revision"]) for message in heard]
    assert [revision for event, revision in revisions if event != SCORED] == [1, 2, 3, 4, 5]
    assert [revision for event, revision in revisions if event == SCORED] == sorted(
        {revision for event, revision in revisions if event == SCORED}
    )
    assert len({message.name for message in heard}) == len(heard)


async def test_what_cannot_be_is_refused(http: httpx.AsyncClient, ministry: Headers, living_lab: system.System) -> None:
    address = f"{living_lab.services['notify']}/notify/v1/stream"

    async def refused(asked: dict[str, str], **headers: str) -> tuple[int, str]:
        answer = await http.get(address, params=asked, headers=ministry | headers)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["code"]

    assert await refused({}, **{"Last-Event-ID": "nonsense"}) == (400, "invalid_last_event_id")
    assert await refused({"type": "nothing.*"}) == (422, "unknown_type")
    assert await refused({"region": "00.00"}) == (422, "unknown_region")
    assert await refused({"group": "nobody"}) == (422, "unknown_group")
    assert await refused({"types": "*"}) == (422, "unknown_parameter")
    assert await refused({}, Authorization="Bearer x") == (401, "token_invalid")


async def test_the_end_of_the_token_ends_the_stream(
    opens: Opens, ministry: Headers, tokens: Tokens, living_lab: system.System
) -> None:
    key = kept_key(living_lab.directory / "oidc" / "key.json")
    # Its leeway is 30 s: this one is good for two more seconds.
    token = mint(key, issuer=tokens.issuer, organization="kemendagri", roles=["pembina"], lifetime_s=-28)
    async with opens({"Authorization": f"Bearer {token}"}) as listener:
        [end] = await listener.take(1)
        assert end.data == {"reason": "token_expired"}
        assert await listener.take(1) == []


async def test_streams_end_with_their_process_which_ends_in_order(
    opens: Opens, ministry: Headers, replica: Callable[..., Part]
) -> None:
    part = replica()
    address = urlsplit(part.address)
    assert address.port
    stuck = socket.create_connection(("127.0.0.1", address.port))  # reads nothing, ever
    request = f"GET /notify/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {ministry['Authorization']}\r\n\r\n"
    stuck.sendall(request.encode())
    try:
        async with opens(ministry, where=part.address) as listener:
            stopping = asyncio.create_task(asyncio.to_thread(part.stop))
            [end] = await listener.take(1)
            assert end.data == {"reason": "stopping"}
            assert await listener.take(1) == []
        await stopping
    finally:
        stuck.close()
    assert "Application shutdown complete" in part.log_tail()
    assert "ERROR" not in part.log_tail()


async def test_open_streams_and_their_messages_are_counted(
    opens: Opens, ministry: Headers, replica: Callable[..., Part], http: httpx.AsyncClient, region: Region
) -> None:
    part = replica()

    async def metrics() -> dict[str, float]:
        text = (await http.get(f"http://127.0.0.1:{part.env['METRICS_PORT']}/metrics")).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    async with opens(ministry, where=part.address, region=[region.code]) as listener:
        await submit(region)
        await listener.take(2)
        seen = await metrics()
        assert (seen["livinglab_streams_open"], seen["livinglab_stream_messages_total"]) == (1, 2)
    async with asyncio.timeout(WITHIN_S):
        while (seen := await metrics())["livinglab_streams_open"]:
            await asyncio.sleep(0.05)
    assert seen['livinglab_streams_ended_total{why="left"}'] == 1
