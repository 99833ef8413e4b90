"""Whatever an endpoint does, a delivery ends, is told, and reaches nobody else."""

import asyncio
import gzip
import ssl
from pathlib import Path
from socket import AF_INET, AddressFamily

import pytest
from aiohttp.abc import ResolveResult

from services.notify.webhook import ADDRESSES_MAX, ANSWER_MAX_BYTES, BODY_MAX_BYTES, POOLS_MAX, Answer, Webhooks
from tests.notify.receiver import (
    Behaviour,
    Names,
    Receiving,
    Refusing,
    Sending,
    chain,
    floods,
    hangs,
    hangs_up,
    resets,
    says,
    until,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EVENT = b'{"specversion":"1.0"}'
HEADERS = {"Content-Type": "application/cloudevents+json", "webhook-id": "1"}


async def post(client: Webhooks, url: str, *, allowed: tuple[str, ...] = ()) -> Answer:
    return await client.post(url, body=EVENT, headers=HEADERS, allowed=allowed)


def told(answer: Answer) -> tuple[int | None, str | None]:
    return answer.status, answer.failure


async def test_an_event_arrives_as_it_was_sent(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    answer = await post(sending(), receiver.url)
    assert (told(answer), answer.body, answer.headers) == ((200, None), b"ok", {})
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /hook?a=%20b HTTP/1.1"
    assert {b"User-Agent: livinglab-webhooks/1", b"Accept-Encoding: identity", b"webhook-id: 1"} < set(lines)
    assert body == EVENT


async def test_an_endpoint_is_asked_whether_it_wants_events(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(
        says(
            b"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nWebHook-Allowed-Rate: 120\r\nRetry-After: \xff\r\n"
            b"Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        )
    )
    client = sending(resolver=Names(["127.0.0.1"]))
    url = f"http://portal.example:{receiver.port}/hook"
    answer = await client.options(url, headers={"WebHook-Request-Origin": "livinglab"})
    assert answer.headers == {"webhook-allowed-origin": "*", "webhook-allowed-rate": "120"}
    await post(client, url)
    assert receiver.requests[0].startswith(b"OPTIONS /hook")
    assert b"cookie" not in receiver.requests[1].lower()


async def test_connections_are_kept(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    client = sending()
    for _ in range(3):
        await post(client, receiver.url)
    assert (len(receiver.requests), await receiver.strangers()) == (3, 1)


async def test_an_endpoint_that_hangs_is_given_up(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(hangs)
    assert told(await post(sending(timeout_s=0.3), receiver.url)) == (None, "timeout")


async def test_headers_that_drip_are_given_up(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(b"HTTP/1.1 200 OK\r\n", *[b"a"] * 100, pause=0.05))
    assert told(await post(sending(timeout_s=0.3), receiver.url)) == (None, "timeout")


async def test_a_status_stands_though_its_body_drips(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(b"HTTP/1.1 202 OK\r\nContent-Length: 999\r\n\r\n", *[b"a"] * 100, pause=0.05))
    answer = await post(sending(timeout_s=0.3), receiver.url)
    assert told(answer) == (202, None)
    assert len(answer.body) < 100
    await until(lambda: not receiver.open)


async def test_a_status_stands_though_its_body_breaks_off(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(b"HTTP/1.1 500 No\r\nContent-Length: 999\r\nConnection: close\r\n\r\nab"))
    receiver.behave = chain(receiver.behave, hangs_up)
    answer = await post(sending(), receiver.url)
    assert (told(answer), answer.body) == ((500, None), b"ab")


@pytest.mark.parametrize(
    ("head", "piece", "failure"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000, "protocol"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"a" * 65536, "protocol"),
        (b"HTTP/1.1 200 ", b"a" * 65536, "protocol"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "disconnected"),
        (b"", b"\r\n" * 10_000, "disconnected"),
    ],
    ids=["headers", "header", "status", "interim answers", "empty lines"],
)
async def test_what_never_ends_is_cut(
    receiving: Receiving, sending: Sending, head: bytes, piece: bytes, failure: str
) -> None:
    receiver = await receiving(floods(head, piece))
    assert told(await post(sending(), receiver.url)) == (None, failure)
    await until(lambda: not receiver.open)


@pytest.mark.parametrize(
    ("head", "piece", "length"),
    [
        (b"Content-Length: 99999999999", b"a" * 65536, BODY_MAX_BYTES),
        (b"Connection: close", b"a" * 65536, BODY_MAX_BYTES),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 65536, 0),
    ],
    ids=["length", "until the end", "chunk extension"],
)
async def test_of_a_body_that_never_ends_the_beginning_is_read(
    receiving: Receiving, sending: Sending, head: bytes, piece: bytes, length: int
) -> None:
    receiver = await receiving(floods(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" * (length > 0), piece))
    client = sending()
    answer = await post(client, receiver.url)
    assert (told(answer), len(answer.body)) == ((200, None), length)
    await until(lambda: not receiver.open)


async def test_a_body_in_the_smallest_chunks_costs_no_more(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(floods(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 1000))
    answer = await post(sending(), receiver.url)
    assert told(answer) == (200, None)
    assert 0 < len(answer.body) <= ANSWER_MAX_BYTES // 6


async def test_a_compressed_body_stays_compressed(receiving: Receiving, sending: Sending) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    assert len(bomb) < BODY_MAX_BYTES
    receiver = await receiving(
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb), bomb)
    )
    assert (await post(sending(), receiver.url)).body == bomb


async def test_no_redirect_is_followed(receiving: Receiving, sending: Sending) -> None:
    other = await receiving(says(OK))
    for status in (301, 302, 303, 307, 308):
        receiver = await receiving(
            says(f"HTTP/1.1 {status} Over\r\nLocation: {other.url}\r\nContent-Length: 0\r\n\r\n".encode())
        )
        assert told(await post(sending(), receiver.url)) == (status, None)
    assert await other.strangers() == 0


@pytest.mark.parametrize("behave", [hangs_up, resets])
async def test_a_broken_connection_is_told(receiving: Receiving, sending: Sending, behave: Behaviour) -> None:
    receiver = await receiving(behave)
    assert told(await post(sending(), receiver.url)) == (None, "disconnected")
    assert len(receiver.requests) == 1


async def test_on_a_kept_connection_that_breaks_an_event_is_sent_once(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    client = sending()
    await post(client, receiver.url)
    receiver.behave = hangs_up
    assert told(await post(client, receiver.url)) == (None, "disconnected")
    assert len(receiver.requests) == 2


async def test_who_does_not_listen_is_told(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    url, server = receiver.url, receiver.server
    assert server is not None
    server.close()
    assert told(await post(sending(), url)) == (None, "connect")


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/9.9 abc\r\n\r\n", b"\x00\xff" * 99, b"HTTP/1.1 200 OK\r\n:\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"],
)  # fmt: skip
async def test_what_is_not_http_is_told(receiving: Receiving, sending: Sending, garbage: bytes) -> None:
    receiver = await receiving(says(garbage))
    assert told(await post(sending(), receiver.url)) == (None, "protocol")


async def test_a_certificate_is_checked(receiving: Receiving, sending: Sending, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver = await receiving(says(OK), context)
    assert told(await post(sending(), receiver.url)) == (None, "tls")
    assert receiver.requests == []
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert told(await post(sending(ssl_context=trusting), receiver.url)) == (200, None)


async def test_who_speaks_no_tls_is_told(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    receiver_url = receiver.url.replace("http:", "https:")
    answer = await post(sending(timeout_s=0.3), receiver_url)
    assert told(answer) in [(None, "tls"), (None, "timeout")]
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"])
async def test_a_forbidden_address_is_not_connected_to(receiving: Receiving, sending: Sending, host: str) -> None:
    receiver = await receiving(says(OK))
    answer = await post(sending(lab=False), f"http://{host}:{receiver.port}/")
    assert told(answer) == (None, "forbidden_address")
    assert await receiver.strangers() == 0


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["::1", "127.0.0.1", "10.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_a_name_of_forbidden_addresses_is_not_connected_to(
    receiving: Receiving, sending: Sending, answers: list[str]
) -> None:
    receiver = await receiving(says(OK))
    client = sending(lab=False, resolver=Names(answers))
    for url in (f"http://bad.example:{receiver.port}/", f"https://bad.example:{receiver.port}/"):
        assert told(await post(client, url)) == (None, "forbidden_address")
    assert await receiver.strangers() == 0


async def test_a_name_that_moves_to_loopback_is_not_connected_to(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    url = f"http://moves.example:{receiver.port}/"
    names = Names(["2000::1"], ["127.0.0.1"])  # first where IANA has given nothing out: nobody is disturbed
    first = await post(sending(lab=False, timeout_s=0.1, resolver=names), url)
    assert told(first) in [(None, "connect"), (None, "timeout")]
    assert told(await post(sending(lab=False, resolver=names), url)) == (None, "forbidden_address")
    assert await receiver.strangers() == 0


async def test_an_address_that_changes_after_the_look_up_is_not_connected_to(
    receiving: Receiving, sending: Sending
) -> None:
    receiver = await receiving(says(OK))

    class Later(Names):
        async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
            found = await super().resolve(host, port, family)
            asyncio.get_running_loop().call_soon(lambda: found[0].update(host="127.0.0.1"))
            return found

    answer = await post(sending(lab=False, resolver=Later(["2000::1"])), f"http://turns.example:{receiver.port}/")
    assert told(answer) == (None, "forbidden_address")
    assert await receiver.strangers() == 0


async def test_of_mixed_addresses_only_permitted_ones_are_connected_to(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    names = Names(["169.254.169.254", "fe80::1", *["10.0.0.1"] * ADDRESSES_MAX, "127.0.0.1"])
    answer = await post(sending(resolver=names), f"http://mixed.example:{receiver.port}/")
    assert told(answer) == (200, None)


async def test_a_name_of_many_addresses_is_tried_at_few(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    names = Names([*["127.9.9.9"] * ADDRESSES_MAX, "127.0.0.1"])
    answer = await post(sending(resolver=names), f"http://many.example:{receiver.port}/")
    assert told(answer) == (None, "connect")
    assert await receiver.strangers() == 0


@pytest.mark.parametrize("names", [Names([]), Refusing([])])
async def test_a_name_without_an_address_is_told(sending: Sending, names: Names) -> None:
    assert told(await post(sending(resolver=names), "https://nowhere.example/")) == (None, "dns")


async def test_names_are_looked_up_in_the_system(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    assert told(await post(sending(), f"http://localhost:{receiver.port}/")) == (200, None)
    assert told(await post(sending(lab=False), f"http://localhost:{receiver.port}/")) == (None, "forbidden_address")


async def test_allowed_networks_open_what_is_private_alone(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    private = f"http://[fd12:3456:789a::1]:{receiver.port}/"  # a made-up prefix: routed nowhere
    client = sending(lab=False, timeout_s=0.1)
    opened = await post(client, private, allowed=("fd12:3456:789a::/48",))
    assert told(opened) in [(None, "connect"), (None, "timeout")]
    assert told(await post(client, private)) == (None, "forbidden_address")
    loopback = await post(client, f"http://127.0.0.1:{receiver.port}/", allowed=("127.0.0.0/8", "0.0.0.0/0"))
    assert told(loopback) == (None, "forbidden_address")
    assert await receiver.strangers() == 0


async def test_connections_are_shared_only_under_the_same_allowed_networks(
    receiving: Receiving, sending: Sending
) -> None:
    receiver = await receiving(says(OK))
    client = sending()
    for _ in range(2):
        for allowed in ((), ("10.0.0.0/8",), ("10.1.0.0/16",)):
            await post(client, receiver.url, allowed=allowed)
    assert (len(receiver.requests), await receiver.strangers()) == (6, 3)


async def test_connections_of_few_sets_of_networks_are_kept(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(OK))
    client = sending()
    for number in range(POOLS_MAX + 5):
        await post(client, receiver.url, allowed=(f"10.{number}.0.0/16",))
    await until(lambda: receiver.open == POOLS_MAX)
    await client.close()
    await until(lambda: not receiver.open)


async def test_no_more_requests_are_under_way_than_set(receiving: Receiving, sending: Sending) -> None:
    receiver = await receiving(says(b"", OK, pause=0.01))
    client = sending(in_flight_max=2)
    answers = await asyncio.gather(*[post(client, receiver.url) for _ in range(10)])
    assert {told(answer) for answer in answers} == {(200, None)}
    assert await receiver.strangers() <= 2


async def test_no_proxy_of_the_environment_is_asked(
    receiving: Receiving, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, proxy = await receiving(says(OK)), await receiving(says(OK))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert told(await post(sending(), receiver.url)) == (200, None)
    assert (len(receiver.requests), await proxy.strangers()) == (1, 0)
