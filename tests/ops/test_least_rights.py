"""The story under the rights that are deployed and no others; who is given another's is refused, and says so."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

from contracts import events
from lab import topics
from lab.keys import commitment_settings, webhook_settings
from lab.parts import Part, service
from lab.parts.process import repository_root
from lab.rights import grant
from tests.acting import Region
from tests.committing import drafted
from tests.listening import hears_of_everything
from tests.notify.office import Endpoint, listening
from tests.ops import rights
from tests.ops.keycloak import REALM, Administrator, keycloak

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

WITHIN_S = 60.0
LOG_MAX = 1_000
"""Lines that are looked at."""
SERVICES = ("assessment", "scoring", "commitment", "notify")
KAFKA = {name: f"kafka-of-{name}" for name in (*SERVICES, "operator")}
MONGODB = {name: f"mongodb-of-{name}" for name in SERVICES}
TOLD = {
    events.ASSESSMENT_SUBMITTED.type,
    events.SCORE_RECALCULATED.type,
    events.COMMITMENT_OPENED.type,
    events.FOLLOWUP_RECORDED.type,
}


@dataclass
class Secured:
    """What services stand on, and how each is told of it."""

    directory: Path
    environment: Mapping[str, Mapping[str, str]]
    accounts: rights.Accounts

    def service(self, name: str, label: str | None = None, **changed: str) -> Part:
        """A process of a service, with what is deployed for it but for what is changed."""
        return service(self.directory / (label or name), name, {**self.environment[name], **changed})


@pytest.fixture(scope="module")
async def secured(
    tmp_path_factory: pytest.TempPathFactory,
    load_compose: Callable[[Path, dict[str, str]], dict[str, Any]],
    root: Path,
    compose_variables: dict[str, str],
) -> AsyncGenerator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    composed = load_compose(root / "docker-compose.yml", compose_variables)["services"]["keycloak"]
    provider = keycloak(directory / "keycloak", composed)
    broker, kafka_address = rights.secured_broker(directory / "kafka", KAFKA)
    mongod = rights.secured_mongod(directory / "mongod")
    parts = (provider, broker, mongod)
    async with AsyncExitStack() as stack:
        for part in parts:
            stack.push_async_callback(asyncio.to_thread, part.stop)
            part.launch()
        for part in parts:
            await asyncio.to_thread(part.wait_ready)
        await asyncio.to_thread(topics.create_missing, broker.address)
        await asyncio.to_thread(grant, broker.address, rights.USERS, KAFKA)
        uris = await asyncio.to_thread(rights.initiate, mongod, MONGODB)
        client = stack.enter_context(httpx.Client(base_url=provider.address, timeout=30))
        bootstrap = composed["environment"]
        administrator = Administrator.sign_in(
            client, name=bootstrap["KC_BOOTSTRAP_ADMIN_USERNAME"], password=bootstrap["KC_BOOTSTRAP_ADMIN_PASSWORD"]
        )
        told = {"publicClient": True, "directAccessGrantsEnabled": True, "defaultClientScopes": ["livinglab-api"]}
        administrator.post("clients", {"clientId": rights.CLIENT, "fullScopeAllowed": False, **told})
        inside = f"{provider.address}/realms/{REALM}"
        shared = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka_address,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SSL_CAFILE": str(directory / "kafka" / "ca.pem"),
            "OIDC_ISSUER": f"{bootstrap['KC_HOSTNAME']}/realms/{REALM}",
            "OIDC_ADDRESS": inside,
        }
        own = {
            "notify": webhook_settings(directory / "notify-keys"),
            "commitment": commitment_settings(directory / "commitment-keys", pki=None),
        }
        environment = {
            name: {
                **shared,
                **own.get(name, {}),
                "MONGODB_URI": uris[name],
                "KAFKA_SASL_USERNAME": name,
                "KAFKA_SASL_PASSWORD": KAFKA[name],
            }
            for name in SERVICES
        }
        yield Secured(directory, environment, rights.Accounts(administrator, inside))


async def test_the_story_passes(secured: Secured) -> None:
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(listening(Endpoint()))
        addresses: dict[str, str] = {}
        clients: dict[str, httpx.AsyncClient] = {}
        for name in SERVICES:
            part = secured.service(name)
            addresses[name] = stack.enter_context(part).address
            client = httpx.AsyncClient(base_url=f"{part.address}/{name}/v1", timeout=20, trust_env=False)
            clients[name] = await stack.enter_async_context(client)
        http = clients["notify"]
        endpoint.secret = await hears_of_everything(http, addresses["notify"], secured.accounts, endpoint.url)

        headers = secured.accounts("32.11", "penanggung-jawab", "koordinator-spbe")
        region = Region("32.11", "spbe-2023", headers, clients["assessment"], clients["scoring"])
        await region.open()
        await region.fill(4)
        assert (await region.submit()).status_code == 200
        assert (await region.score())["scores"]["self"]["index"]["shown"] == "4.00"
        one = await drafted(clients["commitment"], secured.accounts, secured.directory, "32.11", ["32.11", "32.73"])
        await one.open()
        await one.follow_up("32.11")

        deadline = monotonic() + WITHIN_S
        while not (told := {json.loads(body)["type"] for _, body in endpoint.came}) >= TOLD:
            assert monotonic() < deadline, f"the ministry was told of {sorted(told)}"
            await asyncio.sleep(0.1)


async def test_who_operates_it_rebuilds_a_topic(secured: Secured) -> None:
    operator = {"KAFKA_SASL_USERNAME": "operator", "KAFKA_SASL_PASSWORD": KAFKA["operator"]}
    rebuild = await asyncio.create_subprocess_exec(
        *(repository_root() / ".venv" / "bin" / "livinglab", "republish", "livinglab.assessment", "--yes"),
        env={**secured.environment["assessment"], **operator},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, trouble = await rebuild.communicate()
    assert rebuild.returncode == 0, trouble.decode()
    assert "1 facts published from archives" in told.decode()


async def says(part: Part, *words: str) -> None:
    """Until a line of its log holds all of these."""
    deadline = monotonic() + WITHIN_S
    while not any(all(word in line for word in words) for line in part.log_tail(1000).splitlines()):
        assert monotonic() < deadline, part.log_tail()
        await asyncio.sleep(0.1)


async def test_who_may_not_write_a_topic_says_so_and_loses_nothing(secured: Secured) -> None:
    """An assessment service that was given notify's user for Kafka; then its own."""
    wrong = {"KAFKA_SASL_USERNAME": "notify", "KAFKA_SASL_PASSWORD": KAFKA["notify"]}
    headers = secured.accounts("32.73", "penanggung-jawab", "koordinator-spbe")
    async with AsyncExitStack() as stack:
        clients: dict[str, httpx.AsyncClient] = {}
        scoring = stack.enter_context(secured.service("scoring"))
        mistaken = stack.enter_context(secured.service("assessment", **wrong))
        for name, part in (("assessment", mistaken), ("scoring", scoring)):
            client = httpx.AsyncClient(base_url=f"{part.address}/{name}/v1", timeout=20, trust_env=False)
            clients[name] = await stack.enter_async_context(client)
        region = Region("32.73", "spbe-2023", headers, clients["assessment"], clients["scoring"])
        await region.open()
        await region.fill(3)
        assert (await region.submit()).status_code == 200
        await says(mistaken, "relay comes again", "user notify may not write", "TopicAuthorizationFailedError")
        await asyncio.to_thread(mistaken.stop)
        stack.enter_context(secured.service("assessment"))
        assert (await region.score())["scores"]["self"]["index"]["shown"] == "3.00"


async def test_who_may_not_read_a_topic_says_so_and_does_not_storm_the_broker(secured: Secured) -> None:
    """A notify service that was given assessment's user for Kafka."""
    wrong = {"KAFKA_SASL_USERNAME": "assessment", "KAFKA_SASL_PASSWORD": KAFKA["assessment"]}
    part = secured.service("notify", "curious", **wrong)
    part.launch()  # it is never ready
    try:
        await says(part, "kafka refuses this user", "assessment", "AuthorizationFailedError")
        await says(part, "not to be read by this user", "livinglab.score")
        assert part.log_tail(LOG_MAX).count("not authorized for this client") < LOG_MAX / 2
    finally:
        await asyncio.to_thread(part.stop)


async def test_who_reads_anothers_database_does_not_start_and_says_so(secured: Secured) -> None:
    part = secured.service("scoring", "nosy", MONGODB_DATABASE="assessment")
    part.launch()
    try:
        await says(part, "the database is not ready", "not authorized on assessment")
    finally:
        await asyncio.to_thread(part.stop)
