"""Signing in at the real Keycloak with the committed realm, behind the real proxy, and acting on the real services."""

import asyncio
import base64
import hashlib
import html
import json
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from contracts.roles import Role
from lab import system
from tests.acting import Headers, Region
from tests.ops import proxy
from tests.ops.keycloak import FOLDER, REALM, VERSION, Administrator, Json, keycloak

pytestmark = [pytest.mark.ops, pytest.mark.timeout(540)]

PASSWORD = "kata-sandi-untuk-uji-1"
EXPIRES_WITHIN_S = 120.0  # a second of life and the leeway that services allow, with much to spare
PORTAL = "http://localhost:3000/kembali"
# Who signs in: organization and roles.
PEOPLE: Mapping[str, tuple[str, list[Role]]] = {
    "entri": ("32.11", [Role.DATA_ENTRY]),
    "penanggung": ("32.11", [Role.RESPONSIBLE]),
    "koordinator": ("32.11", [Role.COORDINATOR]),
    "tetangga": ("32.73", [Role.RESPONSIBLE, Role.COORDINATOR]),
    "peninjau": ("kemenpanrb", [Role.REVIEWER]),
    "asesor": ("universitas-x", [Role.EXTERNAL_ASSESSOR]),
    "pembina": ("kemendagri", [Role.SUPERVISOR]),
}
# Clients of tests only: for each what it has beyond a public client with passwords.
CLIENTS: Mapping[str, Json] = {
    "uji": {"defaultClientScopes": ["livinglab-api"], "fullScopeAllowed": False},
    "uji-sebentar": {"defaultClientScopes": ["livinglab-api"], "attributes": {"access.token.lifespan": "1"}},
    "uji-lain": {"defaultClientScopes": ["basic", "roles"]},
}


@dataclass(frozen=True)
class Town:
    """Everything that runs."""

    issuer: str
    front: proxy.Proxy
    inside: str
    """Keycloak without the proxy."""
    home: Path
    """Where Keycloak runs."""
    administrator: Administrator
    subjects: Mapping[str, str]
    """Name → `sub`."""

    def grant(self, client: str, **form: str) -> httpx.Response:
        """Ask for tokens."""
        return httpx.post(f"{self.issuer}/protocol/openid-connect/token", data={"client_id": client} | form, timeout=30)

    def token(self, name: str, *, client: str = "uji") -> str:
        """An access token of somebody."""
        answer = self.grant(client, grant_type="password", username=name, password=PASSWORD)
        return answer.raise_for_status().json()["access_token"]

    def headers(self, name: str, *, client: str = "uji") -> Headers:
        """The Authorization header of somebody."""
        return {"Authorization": f"Bearer {self.token(name, client=client)}"}

    def machine(self) -> Headers:
        """The ministry's system, which signs in as itself."""
        internal = self.administrator.client_id_of("livinglab-kemendagri")
        secret = self.administrator.get(f"clients/{internal}/client-secret")["value"]
        answer = self.grant("livinglab-kemendagri", grant_type="client_credentials", client_secret=secret)
        return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory,
    load_compose: Callable[[Path, dict[str, str]], dict[str, Any]],
    root: Path,
    compose_variables: dict[str, str],
) -> Generator[Town]:
    directory = tmp_path_factory.mktemp("town")
    front = proxy.places(directory / "caddy")
    given = compose_variables | {"PUBLIC_ADDRESS": front.address, "ADMIN_PORT": str(front.admin_port)}
    composed = load_compose(root / "docker-compose.yml", given)["services"]
    with ExitStack() as stack:
        provider = keycloak(directory / "keycloak", composed["keycloak"])
        stack.callback(provider.stop)
        provider.launch()  # comes up beside the rest
        told = composed["assessment-api"]["environment"]
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("OIDC_ISSUER", told["OIDC_ISSUER"])
            environment.setenv(
                "OIDC_ADDRESS", told["OIDC_ADDRESS"].replace("keycloak:8080", f"127.0.0.1:{provider.port}")
            )
            running = system.up(directory / "lab", outlives_parent=False)
        stack.callback(system.down, directory / "lab")
        upstreams = {name: urlsplit(address).netloc for name, address in running.services.items()}
        upstreams["keycloak"] = f"127.0.0.1:{provider.port}"
        stack.enter_context(proxy.caddy(directory / "caddy", upstreams))
        provider.wait_ready()
        # Through the administrator's own port of the proxy.
        client = stack.enter_context(httpx.Client(base_url=f"{front.admin_address}/auth", timeout=30))
        bootstrap = composed["keycloak"]["environment"]
        administrator = Administrator.sign_in(
            client, name=bootstrap["KC_BOOTSTRAP_ADMIN_USERNAME"], password=bootstrap["KC_BOOTSTRAP_ADMIN_PASSWORD"]
        )
        for name, more in CLIENTS.items():
            public = {"clientId": name, "publicClient": True, "directAccessGrantsEnabled": True}
            administrator.post("clients", public | {"standardFlowEnabled": False} | more)
        subjects = {
            name: administrator.add_user(name, PASSWORD, organization=organization, roles=[*roles])
            for name, (organization, roles) in PEOPLE.items()
        }
        home = provider.directory / "home"
        yield Town(told["OIDC_ISSUER"], front, provider.address, home, administrator, subjects)


@pytest.fixture
async def assessment(town: Town) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{town.front.address}/assessment/v1", timeout=30) as client:
        yield client


@pytest.fixture
async def scoring(town: Town) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{town.front.address}/scoring/v1", timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def realm() -> Json:
    return json.loads((FOLDER / "realm.json").read_bytes())


def claims_of(token: str) -> Json:
    """What a token says, unchecked."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def with_claims(token: str, **claims: object) -> str:
    """The same header and signature around other claims."""
    head, _, signature = token.split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims_of(token) | claims).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def test_realm_has_the_roles_of_the_contracts_and_nobody_and_no_secret(realm: Json) -> None:
    roles = [role.value for role in Role]
    assert [role["name"] for role in realm["roles"]["realm"]] == roles
    assert realm["scopeMappings"] == [{"clientScope": "livinglab-api", "roles": roles}]
    assert [(user["username"], user["serviceAccountClientId"]) for user in realm["users"]] == [
        ("service-account-livinglab-kemendagri", "livinglab-kemendagri")
    ]
    assert not re.search(r'"(secret|credentials|privateKey|password)"', json.dumps(realm))


@pytest.mark.parametrize("name", PEOPLE)
def test_token_says_what_services_ask_and_nothing_of_the_person(town: Town, name: str) -> None:
    organization, roles = PEOPLE[name]
    claims = claims_of(town.token(name))
    said = {claim: claims[claim] for claim in ("iss", "aud", "sub", "organization", "roles")}
    assert said == {
        "iss": town.issuer,
        "aud": "livinglab-api",
        "sub": town.subjects[name],
        "organization": organization,
        "roles": claims["roles"],
    }
    assert sorted(claims["roles"]) == sorted(roles)
    assert claims.keys() - said.keys() == {"exp", "iat", "jti", "typ", "azp", "scope", "sid"}
    assert name not in json.dumps({key: value for key, value in claims.items() if key != "roles"})


def test_keys_are_told_inside_at_the_address_asked_and_the_issuer_stays(town: Town) -> None:
    document = ".well-known/openid-configuration"
    inside = httpx.get(f"{town.inside}/realms/{REALM}/{document}", timeout=30).json()
    outside = httpx.get(f"{town.issuer}/{document}", timeout=30).json()
    assert (inside["issuer"], outside["issuer"]) == (town.issuer, town.issuer)
    assert inside["jwks_uri"].startswith(town.inside)
    assert outside["jwks_uri"].startswith(town.issuer)
    assert inside["authorization_endpoint"] == outside["authorization_endpoint"]


async def test_sumedang_fills_signs_and_submits_and_others_see_what_they_may(
    town: Town, assessment: httpx.AsyncClient, scoring: httpx.AsyncClient
) -> None:
    responsible = Region("32.11", "spbe-2023", town.headers("penanggung"), assessment, scoring)
    entry, coordinator, neighbour, ministry, assessor = (
        replace(responsible, headers=town.headers(name))
        for name in ("entri", "koordinator", "tetangga", "peninjau", "asesor")
    )
    assert (await entry.open()).status_code == 201
    assert (await entry.fill({a["number"]: 3 for a in (await entry.read())["answers"]})).status_code == 200
    assert (await responsible.sign()).status_code == 403
    assert (await coordinator.sign()).status_code == 200
    assert (await responsible.submit()).json()["status"] == "submitted"

    score = (await responsible.score())["scores"]["self"]
    assert (score["index"]["shown"], score["predicate"]) == ("3.00", "Baik")
    seen = {
        who: [
            (await assessment.get(responsible.address, headers=headers)).status_code,
            (await scoring.get(f"/scores/{responsible.id}", headers=headers)).status_code,
        ]
        for who, headers in (("own", entry.headers), ("neighbour", neighbour.headers), ("nobody", {}))
    }
    assert seen == {"own": [200, 200], "neighbour": [404, 404], "nobody": [404, 404]}

    assert (await assessment.get(assessor.address, headers=assessor.headers)).status_code == 404
    chosen = {
        "assessors": [{"assessor": town.subjects["asesor"], "organization": "universitas-x"}],
        "route": "evaluasi",
    }
    assert (await ministry.post("assignment", chosen)).status_code == 200
    assert (await assessor.post("review")).json()["status"] == "under_review"

    for supervisor in (town.machine(), town.headers("pembina")):
        asked = {"cycle": "spbe-2023", "kind": "regency"}
        standings = (await scoring.get("/standings", params=asked, headers=supervisor)).json()
        assert [(row["region"], row["index"]["shown"]) for row in standings["items"]] == [("32.11", "3.00")]


async def test_the_machine_of_a_ministry_is_that_ministry_with_one_role(town: Town) -> None:
    claims = claims_of(town.machine()["Authorization"].removeprefix("Bearer "))
    assert (claims["aud"], claims["organization"], claims["roles"]) == ("livinglab-api", "kemendagri", ["pembina"])


async def test_tokens_not_meant_for_us_or_made_by_others_are_refused(
    town: Town, assessment: httpx.AsyncClient, scoring: httpx.AsyncClient
) -> None:
    good = town.token("penanggung")
    elsewhere = town.token("penanggung", client="uji-lain")
    assert "livinglab-api" not in str(claims_of(elsewhere)["aud"])
    header = json.loads(base64.urlsafe_b64decode(good.split(".")[0] + "=="))
    own_key = RSAKey.generate_key(2048, {"kid": header["kid"]})
    self_made = jwt.encode(header, claims_of(good), own_key)
    bad = {
        "`aud`": elsewhere,
        "signature": with_claims(good, organization="32.73"),
        "Its signature": self_made,
    }
    for client, address in ((assessment, "/assessments"), (scoring, "/scores")):
        accepted = await client.get(address, params={"region": "32.11"}, headers=bearer(good))
        assert accepted.status_code == 200, accepted.text
        for reason, token in bad.items():
            refused = await client.get(address, params={"region": "32.11"}, headers=bearer(token))
            assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
            assert reason in refused.json()["detail"]


def account_of(town: Town, name: str) -> httpx.Client:
    """Somebody's own account, as Keycloak's page for it asks."""
    headers = town.headers(name, client="uji-lain") | {"Accept": "application/json"}
    return httpx.Client(base_url=f"{town.issuer}/account", headers=headers, timeout=30)


def test_nobody_gives_themselves_another_organization(town: Town) -> None:
    with account_of(town, "tetangga") as account:
        mine = account.get("/").raise_for_status().json()
        assert mine["attributes"]["organization"] == ["32.73"]
        mine["lastName"] = "Baru"
        renamed = account.post("/", json=mine)
        assert renamed.status_code == 204, renamed.text
        for wanted in (["32.11"], ["kemenpanrb"], []):
            moved = account.post("/", json=mine | {"attributes": mine["attributes"] | {"organization": wanted}})
            assert moved.status_code == 400, moved.text
        smuggled = mine | {"attributes": mine["attributes"] | {"roles": ["administrator"], "Organization": ["32.11"]}}
        account.post("/", json=smuggled)
        assert account.get("/").json()["lastName"] == "Baru"
    claims = claims_of(town.token("tetangga"))
    assert (claims["organization"], sorted(claims["roles"])) == ("32.73", ["koordinator-spbe", "penanggung-jawab"])


def test_only_a_code_or_a_slug_is_an_organization(town: Town) -> None:
    for wrong in ("Sumedang", "32.11.01", "32.11 ", "<b>"):
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            town.administrator.add_user("salah", PASSWORD, organization=wrong, roles=[])


def test_image_is_of_the_version_tested(root: Path, compose: dict[str, Any]) -> None:
    assert f"FROM quay.io/keycloak/keycloak:{VERSION}\n" in (FOLDER / "Dockerfile").read_text()
    assert compose["services"]["keycloak"]["image"] == f"livinglab/keycloak:{VERSION}"


def test_keycloak_writes_only_where_compose_lets_it(town: Town, compose: dict[str, Any]) -> None:
    page = asked_to_sign_in(town, code_challenge="x" * 43, code_challenge_method="S256")
    style = re.findall(r'href="(/auth/resources/[^"]+\.css)"', page.text)[0]
    assert (
        httpx.get(f"{town.front.address}{style}", timeout=30).headers["Content-Encoding"] == "gzip"
    )  # it keeps a copy
    began = (town.home / "data" / "import" / "realm.json").stat().st_mtime
    written = {
        path.relative_to(town.home).parts[:2]
        for folder in (town.home, *(town.home / name for name in ("lib", "providers", "themes")))
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_mtime > began
    }
    image = PurePosixPath("/opt/keycloak")
    lent = [PurePosixPath(path) for path in compose["services"]["keycloak"]["tmpfs"]]
    allowed = {path.relative_to(image).parts for path in lent if path.is_relative_to(image)}
    # The database, a file here, is elsewhere as deployed.
    assert {("data", "h2")} <= written <= allowed | {("data", "h2")}


def test_console_is_on_the_administrators_port_only(town: Town) -> None:
    path = f"/auth/admin/{REALM}/console/"
    assert httpx.get(f"{town.front.admin_address}{path}", timeout=30).status_code == 200
    assert httpx.get(f"{town.front.address}{path}", timeout=30).status_code == 404


def asked_to_sign_in(town: Town, **params: str) -> httpx.Response:
    """The portal sends a browser here."""
    asked = {"client_id": "livinglab-portal", "response_type": "code", "redirect_uri": PORTAL, "state": "s"}
    asked |= {"scope": "openid profile"}
    return httpx.get(f"{town.issuer}/protocol/openid-connect/auth", params=asked | params, timeout=30)


def signed_in(town: Town, page: httpx.Response, name: str) -> str:
    """The code that the browser brings back to the portal."""
    (action,) = re.findall(r'action="([^"]+)"', page.text)
    # By hand: on a loopback address browsers send cookies marked Secure also without TLS, the client library does not.
    cookies = "; ".join(cookie.partition(";")[0] for cookie in page.headers.get_list("set-cookie"))
    form = {"username": name, "password": PASSWORD}
    answer = httpx.post(html.unescape(action), data=form, headers={"Cookie": cookies}, timeout=30)
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(PORTAL)
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


async def test_portal_signs_people_in_by_code_and_proof(town: Town, scoring: httpx.AsyncClient) -> None:
    proof = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(proof.encode()).digest()).rstrip(b"=").decode()
    asked = {"code_challenge": challenge, "code_challenge_method": "S256"}
    redeem = {"grant_type": "authorization_code", "redirect_uri": PORTAL}
    stolen = signed_in(town, asked_to_sign_in(town, **asked), "koordinator")
    refused = town.grant("livinglab-portal", code=stolen, code_verifier="x" * 64, **redeem)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")

    code = signed_in(town, asked_to_sign_in(town, **asked), "koordinator")
    tokens = town.grant("livinglab-portal", code=code, code_verifier=proof, **redeem).raise_for_status().json()
    claims = claims_of(tokens["access_token"])
    assert (claims["organization"], claims["roles"]) == ("32.11", ["koordinator-spbe"])
    assert 0 < claims["auth_time"] <= claims["iat"], "what a signature asks for"
    assert claims_of(tokens["id_token"])["name"] == "Koordinator Uji"
    assert not claims.keys() & {"name", "preferred_username", "email", "realm_access", "resource_access"}
    answer = await scoring.get("/scores", params={"region": "32.11"}, headers=bearer(tokens["access_token"]))
    assert answer.status_code == 200
    as_if = await scoring.get("/scores", params={"region": "32.11"}, headers=bearer(tokens["id_token"]))
    assert as_if.status_code == 401


def test_portal_takes_no_shortcuts(town: Town) -> None:
    without_proof = asked_to_sign_in(town)
    assert without_proof.status_code == 302
    assert parse_qs(urlsplit(without_proof.headers["Location"]).query)["error"] == ["invalid_request"]
    assert asked_to_sign_in(town, redirect_uri="https://evil.example/").status_code == 400
    by_password = town.grant("livinglab-portal", grant_type="password", username="entri", password=PASSWORD)
    assert (by_password.status_code, by_password.json()["error"]) == (400, "unauthorized_client")


async def test_a_token_that_has_expired_is_refused_by_its_name(town: Town, scoring: httpx.AsyncClient) -> None:
    brief = town.headers("penanggung", client="uji-sebentar")
    async with asyncio.timeout(EXPIRES_WITHIN_S):
        while True:
            answer = await scoring.get("/scores", params={"region": "32.11"}, headers=brief)
            if answer.status_code != 200:
                break
            await asyncio.sleep(0.5)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
