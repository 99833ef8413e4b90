"""deploy/proxy/Caddyfile in the real Caddy, in front of small stand-ins for what it leads to."""

import re
import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import orjson
import pytest

from tests.ops import proxy, tools

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

FOUR_MIB = 4 * 1024 * 1024
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Upstream:
    """Answers everything, tells what it was asked, and streams at /…/stream: a line, then another when released."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.released = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if not self.path.endswith("/stream"):
                    return self._tell(0)
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self._chunk(b"first\n")
                upstream.released.wait(30)
                self._chunk(b"second\n")
                return self._chunk(b"")

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                try:
                    self._tell(len(self.rfile.read(length)))
                except ConnectionError:  # the proxy gave up on a body that was too large
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _tell(self, read: int) -> None:
                told = {"at": upstream.name, "path": self.path, "headers": dict(self.headers), "read": read}
                body = orjson.dumps(told)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"7"')
                self.end_headers()
                self.wfile.write(body)

            def _chunk(self, content: bytes) -> None:
                self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
                self.wfile.flush()

        return Handler


@pytest.fixture(scope="module")
def upstreams(services: list[str]) -> Generator[dict[str, Upstream]]:
    with ExitStack() as stack:
        made = {name: Upstream(name) for name in (*services, "keycloak", "grafana", "mail")}
        for upstream in made.values():
            stack.callback(upstream.close)
        yield made


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, upstreams: dict[str, Upstream]) -> Generator[proxy.Proxy]:
    directory = tmp_path_factory.mktemp("proxy")
    addresses = {name: upstream.address for name, upstream in upstreams.items()}
    with proxy.caddy(directory, addresses) as started:
        yield started


@pytest.fixture
def public(front: proxy.Proxy) -> Generator[httpx.Client]:
    with httpx.Client(base_url=front.address, timeout=20, trust_env=False) as client:
        yield client


def test_caddy_finds_the_file_valid_and_formatted(root: Path) -> None:
    file = root / "deploy" / "proxy" / "Caddyfile"
    tool = tools.go_tool(proxy.CADDY)
    done = tools.run([tool, "validate", "--adapter", "caddyfile", "--config", file])
    assert done.returncode == 0, done.stderr
    assert tools.run([tool, "fmt", file]).stdout == file.read_text()


@pytest.mark.parametrize(("right", "wrong"), [("max_size", "max_sise"), ("import refusals", "import refusal")])
def test_caddy_refuses_what_is_wrong(root: Path, tmp_path: Path, right: str, wrong: str) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text((root / "deploy" / "proxy" / "Caddyfile").read_text().replace(right, wrong))
    assert tools.run([tools.go_tool(proxy.CADDY), "validate", "--adapter", "caddyfile", "--config", file]).returncode


def test_what_is_tested_is_what_is_deployed(compose: dict[str, Any]) -> None:
    assert compose["services"]["proxy"]["image"] == f"caddy:{proxy.CADDY.partition('@v')[2]}"


def test_every_service_has_its_line_and_its_upstream(root: Path, services: list[str], compose: dict[str, Any]) -> None:
    text = (root / "deploy" / "proxy" / "Caddyfile").read_text()
    led = dict(re.findall(r"^\timport service (\w+) \{\$\w+:(.+)\}$", text, flags=re.MULTILINE))
    assert led == {service: f"{service}-api:8000" for service in services}
    assert {address.partition(":")[0] for address in led.values()} <= compose["services"].keys()


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/assessment/v1/assessments", "assessment"),
        ("/assessment/v1/assessments/spbe-2023:32.11/answers/1?x=%2F&y=a%20b", "assessment"),
        ("/scoring/v1/standings?cycle=spbe-2023", "scoring"),
        ("/scoring/v12/scores", "scoring"),
        ("/scoring/v1/openapi.json", "scoring"),
        ("/notify/v1/subscriptions/6d0f2f4e-4f0a-5d5e-9f6e-0e5f3f7b8a11/verification", "notify"),
        ("/notify/v1/deliveries?status=pending", "notify"),
        ("/notify/v1/openapi.json", "notify"),
        ("/auth/realms/livinglab/.well-known/openid-configuration", "keycloak"),
        ("/auth/resources/a/login.css", "keycloak"),
    ],
)
def test_each_path_leads_to_its_service_unchanged(public: httpx.Client, path: str, at: str) -> None:
    answer = public.get(path)
    assert (answer.status_code, answer.json()["at"], answer.json()["path"]) == (200, at, path)
    assert answer.headers["ETag"] == '"7"'
    assert "Server" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/livez",
        "/readyz",
        "/metrics",
        "/health",
        "/openapi.json",
        "/assessment",
        "/assessment/",
        "/assessment/livez",
        "/assessment/openapi.json",
        "/assessment/v1",
        "/assessment/vx/assessments",
        "/assessments/v1/assessments",
        "/x/assessment/v1/assessments",
        "/assessment/v1/../../livez",
        "/assessment/v1/%2e%2e/%2e%2e/livez",
        "/scoring/v1/..%2f..%2fmetrics",
        "/notify",
        "/notify/readyz",
        "/notify/v1",
        "/notify/v1/%2e%2e/%2e%2e/metrics",
        "/notifying/v1/subscriptions",
        "/auth/",
        "/auth/admin/",
        "/auth/admin/realms/livinglab/users",
        "/grafana/",
        "/mail/",
        "/auth/realms/../admin/realms",
        "/auth/realms/%2e%2e/admin/realms",
        "/auth/metrics",
        "/auth/health/ready",
    ],
)
def test_all_else_stays_inside(front: proxy.Proxy, path: str) -> None:
    # By hand: a client library would tidy the path first.
    with socket.create_connection(("127.0.0.1", front.port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: connection.recv(65_536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    problem = orjson.loads(body)
    assert (problem["status"], problem["code"]) == (404, "proxy_404")
    assert b"content-type: application/problem+json" in head.lower()


def test_the_console_is_on_a_port_of_its_own_with_nothing_else(front: proxy.Proxy) -> None:
    with httpx.Client(base_url=front.admin_address, timeout=20, trust_env=False) as administrator:
        assert administrator.get("/auth/admin/livinglab/console/").json()["at"] == "keycloak"
        assert administrator.get("/auth/realms/master/account").json()["at"] == "keycloak"
        assert administrator.get("/grafana/d/livinglab-flow").json()["at"] == "grafana"
        assert administrator.get("/mail/").json()["at"] == "mail"
        assert administrator.get("/assessment/v1/assessments").status_code == 404


@pytest.mark.parametrize("path", ["/grafana/api/ds/query", "/mail/api/v1/messages"])
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),  # a link in a message
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 404),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 404),  # a form
        ("GET", {"Sec-Fetch-Site": "same-origin", "Host": "rebound.example:8081"}, 404),
    ],
)
def test_pages_of_other_sites_neither_read_nor_change_what_asks_nobody_who_they_are(
    front: proxy.Proxy, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, f"{front.admin_address}{path}", headers=headers, timeout=20, trust_env=False)
    assert answer.status_code == status


def test_services_hear_the_trace_the_token_and_who_really_calls(public: httpx.Client) -> None:
    sent = {
        "traceparent": TRACE,
        "Authorization": "Bearer abc",
        "If-Match": '"3"',
        "Idempotency-Key": "k",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Host": "evil.example",
    }
    heard = httpx.Headers(public.get("/scoring/v1/scores", headers=sent).json()["headers"])
    assert {name: heard[name] for name in list(sent)[:4]} == {name: sent[name] for name in list(sent)[:4]}
    assert heard["X-Forwarded-For"] == "127.0.0.1"
    assert heard["X-Forwarded-Proto"] == "http"
    assert heard["X-Forwarded-Host"] == heard["Host"] == public.base_url.netloc.decode()


def test_a_body_up_to_4_mib_arrives_whole_and_a_larger_one_is_refused(public: httpx.Client) -> None:
    whole = public.post("/assessment/v1/assessments", content=b"x" * FOUR_MIB)
    assert whole.json()["read"] == FOUR_MIB
    refused = public.post("/assessment/v1/assessments", content=b"x" * (FOUR_MIB + 1))
    assert (refused.status_code, refused.json()["code"]) == (413, "proxy_413")


def test_what_is_streamed_arrives_while_it_is_made(public: httpx.Client, upstreams: dict[str, Upstream]) -> None:
    released = upstreams["scoring"].released
    released.clear()
    with public.stream("GET", "/scoring/v1/stream") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        assert not released.is_set()
        released.set()
        assert next(lines) == "second"


def test_a_service_that_is_away_is_502_in_the_same_form(
    tmp_path: Path, free_address: Callable[[], str], services: list[str]
) -> None:
    nobody = {name: free_address() for name in (*services, "keycloak", "grafana", "mail")}
    with proxy.caddy(tmp_path, nobody) as started:
        for service in services:
            answer = httpx.get(f"{started.address}/{service}/v1/any", timeout=20, trust_env=False)
            assert (answer.status_code, answer.json()["code"]) == (502, "proxy_502")
            assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.fixture
def free_address() -> Callable[[], str]:
    def find() -> str:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return f"127.0.0.1:{server.getsockname()[1]}"

    return find
