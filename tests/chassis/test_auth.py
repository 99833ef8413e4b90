"""Tokens: only those of our issuer, for us, signed with a key it publishes for signing, and only while they last."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from chassis import problems
from chassis.auth import (
    AnyViewer,
    CurrentViewer,
    IssuerUnavailable,
    TokenExpired,
    TokenInvalid,
    Tokens,
    actor_in,
    viewer_in,
)
from contracts.regions import Directory
from contracts.roles import TokenClaims
from tests.chassis.issuer import (
    CLAIMS,
    ENCRYPTION,
    FOREIGN,
    ISSUER,
    NOW,
    ROTATED,
    SIGNING,
    Clock,
    Issuer,
    hs256,
    minted,
    raw,
)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tokens(issuer: Issuer, clock: Clock) -> AsyncIterator[Tokens]:
    tokens = Tokens(ISSUER, "livinglab-api", client=issuer.client, now=clock, elapsed=clock)
    yield tokens
    await tokens.close()


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt"])
async def test_a_good_token_is_believed(tokens: Tokens, typ: str) -> None:
    claims = await tokens.claims(minted(SIGNING, {"typ": typ}))
    assert (claims.sub, claims.organization, claims.roles) == ("a3f1", "32.11", ("operator",))


async def test_each_accepted_algorithm_works(tokens: Tokens, issuer: Issuer) -> None:
    issuer.keys = [ROTATED.as_dict(private=False), FOREIGN.as_dict(private=False)]
    await tokens.claims(minted(ROTATED, {"alg": "ES256", "kid": "sig-2"}))
    await tokens.claims(minted(FOREIGN, {"alg": "PS256"}))


BAD: dict[str, Callable[[], str]] = {
    "expired": lambda: minted(exp=NOW - 31),
    "not yet": lambda: minted(nbf=NOW + 31),
    "issued in the future": lambda: minted(iat=NOW + 31),
    "without an end": lambda: minted(exp=None),
    "end is a text": lambda: minted(exp=str(NOW + 300)),
    "end is true": lambda: minted(exp=True),
    "end is NaN": lambda: minted(exp=float("nan")),
    "another issuer": lambda: minted(iss="https://issuer.test/realms/other"),
    "issuer with a slash more": lambda: minted(iss=ISSUER + "/"),
    "issuer is a list": lambda: minted(iss=[ISSUER]),
    "no issuer": lambda: minted(iss=None),
    "another audience": lambda: minted(aud="account"),
    "other audiences": lambda: minted(aud=["account", "livinglab-api2"]),
    "audience is an object": lambda: minted(aud={"livinglab-api": 1}),
    "no audience": lambda: minted(aud=None),
    "no subject": lambda: minted(sub=None),
    "empty subject": lambda: minted(sub=""),
    "blank subject": lambda: minted(sub="   "),
    "subject with a line break": lambda: minted(sub="a3f1\n"),
    "subject is a number": lambda: minted(sub=7),
    "endless subject": lambda: minted(sub="x" * 256),
    "no organization": lambda: minted(organization=None),
    "organization is a list": lambda: minted(organization=["32.11"]),
    "roles are a text": lambda: minted(roles="operator"),
    "id token type": lambda: minted(SIGNING, {"typ": "id+jwt"}),
    "logout token type": lambda: minted(SIGNING, {"typ": "logout+jwt"}),
    "no type": lambda: minted(SIGNING, {"typ": None}),
    "no key id": lambda: minted(SIGNING, {"kid": None}),
    "critical extension": lambda: raw({"alg": "RS256", "typ": "at+jwt", "kid": "sig-1", "crit": ["b64"]}, CLAIMS),
    "signed by somebody else": lambda: minted(FOREIGN),
    "signed with the encryption key": lambda: minted(
        RSAKey.import_key(ENCRYPTION.as_dict(private=True) | {"use": "sig", "alg": "RS256"}), {"kid": "enc-1"}
    ),
    "an algorithm not on the list": lambda: minted(
        RSAKey.import_key(SIGNING.as_dict(private=True) | {"alg": "RS512"}), {"alg": "RS512"}
    ),
    "not the algorithm of the key": lambda: minted(
        RSAKey.import_key(SIGNING.as_dict(private=True) | {"alg": "PS256"}), {"alg": "PS256"}
    ),
    "another kind of key": lambda: minted(ROTATED, {"alg": "ES256", "kid": "sig-1"}),
    "alg none": lambda: raw({"alg": "none", "typ": "at+jwt", "kid": "sig-1"}, CLAIMS, b""),
    "alg None": lambda: raw({"alg": "None", "typ": "at+jwt", "kid": "sig-1"}, CLAIMS, b""),
    "HS256 with the public PEM": lambda: hs256(SIGNING.as_pem(private=False)),
    "HS256 with the public JWK": lambda: hs256(json.dumps(SIGNING.as_dict(private=False)).encode()),
    "HS256 with the modulus": lambda: hs256(str(SIGNING.as_dict(private=False)["n"]).encode()),
    "own key in the header": lambda: minted(FOREIGN, {"jwk": FOREIGN.as_dict(private=False), "kid": "mine"}),
    "changed claims": lambda: swapped(minted(), raw({}, CLAIMS | {"organization": "32.73"})),
    "no signature": lambda: minted().rpartition(".")[0] + ".",
    "two parts": lambda: minted().rpartition(".")[0],
    "four parts": lambda: minted() + ".x",
    "encrypted": lambda: "a.b.c.d.e",
    "critical nothing": lambda: raw({"alg": "RS256", "typ": "at+jwt", "kid": "sig-1", "crit": 5}, CLAIMS),
    "empty": lambda: "",
    "dots": lambda: "..",
    "header is a list": lambda: raw(["alg", "kid"], CLAIMS),
    "header is a text": lambda: raw("alg", CLAIMS),
    "header of odd types": lambda: raw({"alg": ["RS256"], "typ": 1, "kid": {}}, CLAIMS),
    "claims are a list": lambda: raw({"alg": "RS256", "typ": "at+jwt", "kid": "sig-1"}, [1]),
    "huge": lambda: minted(more="x" * 9_000),
    "not ASCII": lambda: minted() + "é",
    "NUL": lambda: "\0",
    "another kind of text": lambda: "hunter2",
}


def swapped(good: str, other: str) -> str:
    """The one's header and signature around the other's claims."""
    header, _, signature = good.split(".")
    return ".".join([header, other.split(".")[1], signature])


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(TokenExpired if name == "expired" else TokenInvalid) as refusal:
        await tokens.claims(BAD[name]())
    assert refusal.value.status == 401
    assert refusal.value.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')


@given(token=st.text(st.characters(max_codepoint=0x2FF)) | st.text("eyJ.-_AQ0="))
def test_garbage_is_refused_and_never_crashes(token: str) -> None:
    issuer = Issuer()
    with pytest.raises(TokenInvalid):
        asyncio.run(Tokens(ISSUER, "x", client=issuer.client).claims(token))
    assert issuer.fetches == 0


async def test_clocks_may_differ_by_the_leeway(tokens: Tokens) -> None:
    await tokens.claims(minted(exp=NOW - 29, nbf=NOW + 29, iat=NOW + 29))


async def test_nothing_is_fetched_before_the_first_token_and_then_once_for_all(tokens: Tokens, issuer: Issuer) -> None:
    assert issuer.fetches == 0
    await asyncio.gather(*(tokens.claims(minted()) for _ in range(20)))
    assert issuer.fetches == 1


async def test_a_flood_of_unknown_keys_is_one_fetch_in_30_s(tokens: Tokens, issuer: Issuer, clock: Clock) -> None:
    await tokens.claims(minted())
    for second in range(30):
        clock.now = NOW + second
        flood = (tokens.claims(minted(FOREIGN, {"kid": f"k{second}-{n}"})) for n in range(10))
        assert all(isinstance(r, TokenInvalid) for r in await asyncio.gather(*flood, return_exceptions=True))
    assert issuer.fetches == 2
    clock.now = NOW + 30
    with pytest.raises(TokenInvalid):
        await tokens.claims(minted(FOREIGN, {"kid": "one more"}))
    assert issuer.fetches == 3


async def test_a_new_key_is_found_at_its_first_token(tokens: Tokens, issuer: Issuer) -> None:
    await tokens.claims(minted())
    issuer.keys = [ROTATED.as_dict(private=False)]
    await tokens.claims(minted(ROTATED, {"alg": "ES256", "kid": "sig-2"}))
    with pytest.raises(TokenInvalid):
        await tokens.claims(minted())  # its key was withdrawn


async def test_keys_are_refreshed_every_5_minutes_and_nobody_waits(
    tokens: Tokens, issuer: Issuer, clock: Clock
) -> None:
    await tokens.claims(minted())
    issuer.gate.clear()
    clock.now = NOW + 299
    await tokens.claims(minted(exp=NOW + 900))
    await asyncio.sleep(0)
    assert issuer.fetches == 1
    clock.now = NOW + 300
    issuer.keys = [ROTATED.as_dict(private=False)]
    await tokens.claims(minted(exp=NOW + 900))  # answered from the old set while the issuer thinks
    issuer.gate.set()
    await tokens.claims(minted(ROTATED, {"alg": "ES256", "kid": "sig-2"}, exp=NOW + 900))
    assert issuer.fetches == 2


@pytest.mark.parametrize("trouble", ["down", "no keys", "not JSON", "another issuer", "plain http"])
async def test_the_last_good_keys_stay_when_the_issuer_fails(
    tokens: Tokens, issuer: Issuer, clock: Clock, trouble: str
) -> None:
    await tokens.claims(minted())
    spoil(issuer, trouble)
    for minute in (6, 12, 60):
        clock.now = NOW + minute * 60
        await tokens.claims(minted(exp=NOW + 9_000))
        with pytest.raises(TokenInvalid):
            await tokens.claims(minted(FOREIGN, {"kid": "unknown"}, exp=NOW + 9_000))
    assert issuer.fetches > 1


@pytest.mark.parametrize("trouble", ["down", "no keys", "not JSON", "another issuer", "plain http"])
async def test_without_any_keys_ever_it_is_503_and_soon_tried_again(
    tokens: Tokens, issuer: Issuer, clock: Clock, trouble: str
) -> None:
    good = issuer.keys, issuer.discovery
    spoil(issuer, trouble)
    answers = await asyncio.gather(*(tokens.claims(minted()) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(a, IssuerUnavailable) and a.status == 503 and a.headers["Retry-After"] for a in answers)
    assert issuer.fetches == 1
    issuer.keys, issuer.discovery = good
    issuer.down = False
    clock.now = NOW + 2
    await tokens.claims(minted())


def spoil(issuer: Issuer, trouble: str) -> None:
    """Make the issuer fail in this way."""
    match trouble:
        case "down":
            issuer.down = True
        case "no keys":
            issuer.keys = [ENCRYPTION.as_dict(private=False)]
        case "not JSON":
            issuer.discovery = "<html>"
        case "another issuer":
            issuer.discovery = {"issuer": "https://evil.test", "jwks_uri": "https://evil.test/certs"}
        case _:
            issuer.discovery = {"issuer": ISSUER, "jwks_uri": "http://issuer.test/certs"}


INSIDE = "http://issuer.inside:8080/realms/lab"


async def test_an_issuer_may_be_asked_at_another_address_than_its_name(issuer: Issuer, clock: Clock) -> None:
    issuer.discovery = {"issuer": ISSUER, "jwks_uri": f"{INSIDE}/certs"}
    tokens = Tokens(ISSUER, "livinglab-api", address=INSIDE, client=issuer.client, now=clock, elapsed=clock)
    assert (await tokens.claims(minted())).organization == "32.11"
    assert issuer.asked == [f"{INSIDE}/.well-known/openid-configuration", f"{INSIDE}/certs"]


@pytest.mark.parametrize("address", [INSIDE, INSIDE.replace("http:", "https:")])
async def test_who_answers_at_another_address_must_be_the_issuer_and_not_lower_the_scheme(
    issuer: Issuer, clock: Clock, address: str
) -> None:
    called = INSIDE if address == INSIDE else ISSUER
    issuer.discovery = {"issuer": called, "jwks_uri": f"{INSIDE}/certs"}
    tokens = Tokens(ISSUER, "livinglab-api", address=address, client=issuer.client, now=clock, elapsed=clock)
    with pytest.raises(IssuerUnavailable):
        await tokens.claims(minted())


async def test_a_key_that_cannot_be_read_does_not_spoil_the_others(tokens: Tokens, issuer: Issuer) -> None:
    odd = [
        {"kty": "EC", "kid": "p", "crv": "P-999"},
        {"kty": "oct", "kid": "o", "k": "AAAA"},
        {"kty": "RSA", "kid": "r"},
    ]
    issuer.keys = [*odd, {"kid": "no type"}, {"kty": "AKP", "kid": "future"}, *issuer.keys]
    await tokens.claims(minted())


async def test_one_caller_who_leaves_does_not_take_the_fetch_along(tokens: Tokens, issuer: Issuer) -> None:
    issuer.gate.clear()
    leaves, stays = (asyncio.create_task(tokens.claims(minted())) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.sleep(0)
    issuer.gate.set()
    assert (await stays).sub == "a3f1"
    assert leaves.cancelled()
    assert issuer.fetches == 1


async def test_closing_gives_up_a_fetch_under_way(tokens: Tokens, issuer: Issuer) -> None:
    issuer.gate.clear()
    waits = asyncio.create_task(tokens.claims(minted()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await tokens.close()
    with pytest.raises(asyncio.CancelledError):
        await waits


@pytest.fixture
async def client(tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.tokens = tokens
    app.state.directory = Directory.load()
    problems.install(app)

    async def protected(viewer: CurrentViewer) -> list[str | None]:
        """Only with a token."""
        return [viewer.actor, viewer.organization]

    async def public(viewer: AnyViewer) -> str:
        """Also without."""
        return viewer.actor

    app.get("/protected")(protected)
    app.get("/public")(public)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": ""}])
async def test_without_a_token_protected_is_401_and_public_is_public(
    client: httpx.AsyncClient, sent: dict[str, str]
) -> None:
    refused = await client.get("/protected", headers=sent)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_missing")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert (await client.get("/public", headers=sent)).json() == ""


async def test_a_good_token_gives_the_viewer_in_both(client: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"bEARER  {minted()}"}
    assert (await client.get("/protected", headers=headers)).json() == ["a3f1", "32.11"]
    assert (await client.get("/public", headers=headers)).json() == "a3f1"


@pytest.mark.parametrize("path", ["/protected", "/public"])
async def test_a_bad_token_is_401_everywhere_and_never_quietly_less(
    client: httpx.AsyncClient, path: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token = minted(FOREIGN, {"kid": "unknown-1"})
    response = await client.get(path, headers=bearer(token))
    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    said = response.text + str(response.headers) + caplog.text + "".join(capsys.readouterr())
    assert token not in said
    assert token.split(".")[2] not in said
    assert "unknown-1" not in said
    expired = await client.get(path, headers=bearer(minted(exp=NOW - 60)))
    assert (expired.status_code, expired.json()["code"]) == (401, "token_expired")


async def test_two_authorization_headers_are_refused(client: httpx.AsyncClient) -> None:
    twice = [("Authorization", f"Bearer {minted()}"), ("Authorization", "Basic eDp5")]
    assert (await client.get("/protected", headers=twice)).json()["code"] == "token_invalid"


async def test_an_issuer_that_never_answered_is_503_only_for_who_sends_a_token(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.down = True
    response = await client.get("/protected", headers=bearer(minted()))
    assert (response.status_code, response.json()["code"]) == (503, "issuer_unavailable")
    assert response.headers["retry-after"]
    assert (await client.get("/public")).status_code == 200


@pytest.mark.parametrize(("token", "actor"), [(minted(), "a3f1"), ("bad", None)])
async def test_a_token_is_checked_once_a_request_whoever_asks(tokens: Tokens, token: str, actor: str | None) -> None:
    checked: list[str] = []

    class Counted:
        async def claims(self, token: str) -> TokenClaims:
            checked.append(token)
            return await tokens.claims(token)

    app = FastAPI()
    app.state.tokens, app.state.directory = Counted(), Directory.load()
    request = Request({"type": "http", "app": app, "headers": [(b"authorization", f"Bearer {token}".encode())]})
    assert await actor_in(request) == actor
    if actor is None:
        with pytest.raises(TokenInvalid):
            await viewer_in(request)
    else:
        assert await viewer_in(request) is await viewer_in(request)
    assert checked == [token]
