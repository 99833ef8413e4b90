"""The development issuer, asked as a client and as a service would."""

import stat
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from joserfc import jwt
from joserfc.jwk import KeySet

from lab import oidc

ISSUER = "http://127.0.0.1:1"


@pytest.fixture
def client(tmp_path: Path) -> AsyncClient:
    return AsyncClient(
        transport=ASGITransport(oidc.issuer_app(issuer=ISSUER, key=oidc.kept_key(tmp_path / "key.json"))),
        base_url=ISSUER,
    )


@pytest.mark.asyncio
async def test_its_tokens_are_signed_by_its_published_keys(client: AsyncClient) -> None:
    answer = await client.post("/token", data={"organization": "32.11", "role": ["operator", "kepala-daerah"]})
    discovery = (await client.get("/.well-known/openid-configuration")).json()
    keys = KeySet.import_key_set((await client.get(discovery["jwks_uri"].removeprefix(ISSUER))).json())
    token = jwt.decode(answer.json()["access_token"], keys, algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == ISSUER == discovery["issuer"]
    assert token.claims["aud"] == "livinglab-api"
    assert token.claims["organization"] == "32.11"
    assert token.claims["roles"] == ["operator", "kepala-daerah"]
    assert token.claims["exp"] - token.claims["iat"] == answer.json()["expires_in"]


@pytest.mark.asyncio
async def test_the_private_key_is_never_published(client: AsyncClient) -> None:
    (key,) = (await client.get("/jwks")).json()["keys"]
    assert "d" not in key
    assert key["kid"]


def test_the_key_outlives_a_restart_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    assert oidc.kept_key(path).kid == oidc.kept_key(path).kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("form", [{}, {"organization": "32.11"}, {"role": "operator"}])
@pytest.mark.asyncio
async def test_a_token_for_nobody_or_nothing_is_refused(client: AsyncClient, form: dict[str, str]) -> None:
    answer = await client.post("/token", data=form)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


def test_a_negative_lifetime_gives_an_expired_token() -> None:
    key = oidc.new_key()
    token = jwt.decode(
        oidc.mint(key, issuer=ISSUER, organization="32.11", roles=["operator"], lifetime_s=-60),
        key,
        algorithms=["ES256"],
    )
    assert token.claims["iat"] < token.claims["exp"]
    with pytest.raises(Exception, match="expired"):
        jwt.JWTClaimsRegistry().validate(token.claims)


def test_the_same_role_of_the_same_organization_is_the_same_person() -> None:
    key = oidc.new_key()

    def subject(organization: str) -> str:
        token = oidc.mint(key, issuer=ISSUER, organization=organization, roles=["operator"])
        return jwt.decode(token, key, algorithms=["ES256"]).claims["sub"]

    assert subject("32.11") == subject("32.11") != subject("32.12")
