"""Who calls: access tokens of one OIDC issuer, checked against its published keys."""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry
from pydantic import BaseModel, Field, ValidationError

from chassis.problem import Problem, Unavailable
from chassis.viewer import PUBLIC_VIEWER, Directory, Viewer, viewer_of
from contracts.roles import TokenClaims

ALGORITHMS = ("RS256", "PS256", "ES256")
TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
KEY_TYPES = frozenset({"RSA", "EC"})
LEEWAY_S = 30
TOKEN_MAX_CHARS = 8_192
KEYS_FRESH_S = 300.0
UNKNOWN_KEY_PAUSE_S = 30.0  # tokens with invented key ids must not become a flood at the issuer
FAILURE_PAUSE_S = 1.0
FETCH_TIMEOUT_S = 5.0  # for one step
REFRESH_TIMEOUT_S = 10.0  # for all of them: an issuer that trickles must not hold callers
SUBJECT = r"^[\x21-\x7e]{1,255}$"  # OpenID Connect Core, section 2: at most 255 ASCII characters
HEADERS = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)

log = structlog.stdlib.get_logger(__name__)


class Unauthenticated(Problem):
    """401 with the challenge that RFC 6750 asks for. Never says anything of the token's content."""

    status, code, title = 401, "unauthenticated", "Sign in first"

    def __init__(self, detail: str | None = None, detail_id: str | None = None) -> None:
        error = "" if self.code == "token_missing" else f' error="invalid_token", error_description="{self.title}"'
        super().__init__(detail, detail_id, headers={"WWW-Authenticate": f"Bearer{error}"})


class TokenMissing(Unauthenticated):
    """No bearer token was sent."""

    code = "token_missing"
    detail = "Send an access token: `Authorization: Bearer <token>`."
    detail_id = "Kirim token akses: `Authorization: Bearer <token>`."


class TokenExpired(Unauthenticated):
    """It was good once."""

    code, title = "token_expired", "The access token has expired"
    detail = "Get a new access token from the issuer and send the request again."
    detail_id = "Ambil token akses baru dari penerbit, lalu kirim lagi permintaannya."


class TokenInvalid(Unauthenticated):
    """Anything else that is wrong with a token."""

    code, title = "token_invalid", "The access token is not valid"

    def __init__(self, reason: str, reason_id: str) -> None:
        super().__init__(
            f"{reason}. Get an access token for this API from the issuer.",
            f"{reason_id}. Ambil token akses untuk API ini dari penerbit.",
        )


class LoginTooOld(Unauthenticated):
    """What is to be done asks for a log-in of a moment ago (RFC 9470)."""

    code, title = "login_too_old", "Sign in once more for this"

    def __init__(self, *, max_age_s: int) -> None:
        super().__init__(
            f"This needs a log-in that is at most {max_age_s} seconds old. Sign in again at the issuer, with "
            f"`max_age={max_age_s}`, and send the request with the new token.",
            f"Tindakan ini memerlukan login paling lama {max_age_s} detik yang lalu. Login ulang di penerbit dengan "
            f"`max_age={max_age_s}`, lalu kirim permintaan dengan token baru.",
        )
        self.headers["WWW-Authenticate"] = (
            f'Bearer error="insufficient_user_authentication", error_description="{self.title}", max_age="{max_age_s}"'
        )


class IssuerUnavailable(Unavailable):
    """Tokens cannot be checked, for the issuer never told its keys yet."""

    code, title = "issuer_unavailable", "Tokens cannot be checked right now"
    detail = "The token issuer does not answer. Nothing was changed. Try again after `Retry-After` seconds."
    detail_id = "Penerbit token tidak menjawab. Tidak ada yang berubah. Coba lagi setelah `Retry-After` detik."


class _Discovery(BaseModel):
    issuer: str
    jwks_uri: str


class _KeySet(BaseModel):
    keys: list[dict[str, Any]]


class _Header(BaseModel):
    """Read before the signature is checked, hence believed in nothing but the choice of the key."""

    alg: Literal["RS256", "PS256", "ES256"]  # never HS*: whoever knows the public key could sign
    kid: str
    typ: str
    crit: None = None  # no extension is understood here, so none may be critical


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=FETCH_TIMEOUT_S)


class IssuerKeys:
    """An issuer's public keys by id. Asks nothing before the first use; keeps the last good set when it is down."""

    def __init__(
        self,
        issuer: str,
        *,
        address: str | None = None,
        client: Callable[[], httpx.AsyncClient] = _client,
        elapsed: Callable[[], float],
    ) -> None:
        self._issuer = issuer
        self._address = address or issuer
        self._client = client
        self._elapsed = elapsed
        self._keys: Mapping[str, Key] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._next_s = float("-inf")
        self._next_for_unknown_s = float("-inf")

    async def find(self, key_id: str) -> Key | None:
        """The key, or None if the issuer has none of this id. Raises IssuerUnavailable while no set was ever had."""
        if not self._keys:
            await self._refresh()
            if not self._keys:
                raise IssuerUnavailable
        elif key_id not in self._keys:
            if self._refreshing is None and self._elapsed() >= self._next_for_unknown_s:
                self._next_for_unknown_s = self._elapsed() + UNKNOWN_KEY_PAUSE_S
                self._next_s = float("-inf")
            await self._refresh()
        else:
            self._begin()  # nobody waits for a routine refresh
        return self._keys.get(key_id)

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    async def _refresh(self) -> None:
        task = self._begin()
        if task is not None:
            await asyncio.shield(task)  # shared: one caller who leaves must not take the others' answer along

    def _begin(self) -> asyncio.Task[None] | None:
        if self._refreshing is None and self._elapsed() >= self._next_s:
            self._refreshing = asyncio.create_task(self._fetch(), name="issuer-keys")
        return self._refreshing

    async def _fetch(self) -> None:
        pause = UNKNOWN_KEY_PAUSE_S if self._keys else FAILURE_PAUSE_S
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_S), self._client() as http:
                discovery = _Discovery.model_validate_json(
                    await _get(http, f"{self._address.rstrip('/')}/.well-known/openid-configuration")
                )
                if discovery.issuer != self._issuer:
                    raise ValueError(f"the issuer calls itself {discovery.issuer!r}: set OIDC_ISSUER to exactly that")
                if urlsplit(discovery.jwks_uri).scheme != urlsplit(self._address).scheme:
                    raise ValueError("the keys are not served with the scheme that the issuer was asked with")
                keys = _usable(_KeySet.model_validate_json(await _get(http, discovery.jwks_uri)))
            if not keys:
                raise ValueError("the issuer publishes no key that could have signed a token")
            self._keys, pause = keys, KEYS_FRESH_S
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            log.warning("keys of the issuer not fetched", error=repr(error), kept=len(self._keys))
        finally:
            self._next_s = self._elapsed() + pause
            self._refreshing = None


async def _get(http: httpx.AsyncClient, url: str) -> bytes:
    response = await http.get(url, headers={"Accept": "application/json"})
    return response.raise_for_status().content


def _usable(published: _KeySet) -> dict[str, Key]:
    """Signature keys only (Keycloak publishes one for encryption too); a key we cannot read does not spoil the rest."""
    keys: dict[str, Key] = {}
    for data in published.keys:
        key_id = data.get("kid")
        if not isinstance(key_id, str) or data.get("kty") not in KEY_TYPES or data.get("use", "sig") != "sig":
            continue
        try:
            keys[key_id] = JWKRegistry.import_key(data)
        except (JoseError, ValueError, TypeError) as error:
            log.warning("a key of the issuer cannot be read", kid=key_id, error=type(error).__name__)
    return keys


class Tokens:
    """Checks access tokens. Building it does no I/O, so a service starts without its issuer."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        address: str | None = None,
        client: Callable[[], httpx.AsyncClient] = _client,
        now: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = IssuerKeys(issuer, address=address, client=client, elapsed=elapsed)
        self._claims = JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def claims(self, token: str) -> "ActorClaims":
        """What a good token says. Raises TokenExpired, TokenInvalid, or IssuerUnavailable (then nobody can tell)."""
        if len(token) > TOKEN_MAX_CHARS or not token.isascii():
            raise TokenInvalid("It is too long or not ASCII", "Terlalu panjang atau bukan ASCII")
        header = _header(token)
        if header.typ.lower() not in TOKEN_TYPES:
            raise TokenInvalid("It is not an access token", "Bukan token akses")
        key = await self._keys.find(header.kid)
        if key is None:
            raise TokenInvalid("Its issuer does not know its key", "Penerbitnya tidak mengenal kuncinya")
        try:
            claims = jwt.decode(token, key, registry=HEADERS).claims
            self._claims.validate(claims)
            return ActorClaims.model_validate(claims)
        except ExpiredTokenError as error:
            raise TokenExpired from error
        except ClaimError as error:
            raise _about(error.claim) from error
        except ValidationError as error:
            raise _about(str(error.errors()[0]["loc"][0])) from error
        except (JoseError, ValueError) as error:
            raise TokenInvalid("Its signature is not right", "Tanda tangannya tidak sesuai") from error

    async def close(self) -> None:
        """Leave nothing running."""
        await self._keys.close()


class ActorClaims(TokenClaims):
    """And what the JWT itself says that matters after it was checked."""

    sub: str = Field(pattern=SUBJECT)
    exp: float
    """Seconds since 1970."""
    auth_time: float | None = None
    """When this person last proved who they are, in seconds since 1970 (OpenID Connect Core, section 2)."""


def _header(token: str) -> _Header:
    try:
        return _Header.model_validate_json(urlsafe_b64decode(token.partition(".")[0] + "=="))
    except ValueError as error:
        accepted = ", ".join(ALGORITHMS)
        raise TokenInvalid(
            f"It is not a JWT with a key id, signed with one of {accepted}",
            f"Bukan JWT dengan id kunci, yang ditandatangani dengan salah satu dari {accepted}",
        ) from error


def _about(claim: str) -> TokenInvalid:
    return TokenInvalid(f"Its claim `{claim}` is missing or wrong", f"Klaim `{claim}` tidak ada atau salah")


async def viewer_in(request: Request) -> Viewer | None:
    """The viewer that the request's token speaks for; None without a token. Raises Unauthenticated, IssuerUnavailable.

    Checked once a request, whoever asks first: the rate limit before routing, or the operation.
    """
    known: dict[str, object] = request.scope.setdefault("state", {})
    if "viewer" not in known:
        try:
            known["viewer"] = await _authenticate(request)
        except (Unauthenticated, IssuerUnavailable) as problem:
            known["viewer"] = problem
    match known["viewer"]:
        case Problem() as problem:
            raise problem
        case Viewer() as viewer:
            return viewer
        case _:
            return None


async def _authenticate(request: Request) -> Viewer | None:
    sent = [value.partition(" ") for value in request.headers.getlist("authorization")]
    bearer = [token.strip() for scheme, _, token in sent if scheme.lower() == "bearer"]
    if not bearer:
        return None
    if len(sent) > 1:
        raise TokenInvalid("There are two `Authorization` headers", "Ada dua header `Authorization`")
    tokens: Tokens = request.app.state.tokens
    directory: Directory = request.app.state.directory
    claims = await tokens.claims(bearer[0])
    request.scope["state"]["believed_until"] = claims.exp + LEEWAY_S
    request.scope["state"]["auth_time"] = claims.auth_time
    return viewer_of(claims, directory)


async def actor_in(request: Request) -> str | None:
    """Whom to charge for a request: the actor of a good token, else None. For the rate limit."""
    try:
        viewer = await viewer_in(request)
    except (Unauthenticated, IssuerUnavailable):
        return None  # the operation answers with it; one that needs no viewer needs no token
    return viewer.actor if viewer else None


_BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="An access token of the OIDC issuer.")


async def _current(request: Request, _documented: Annotated[object, Security(_BEARER)]) -> Viewer:
    viewer = await viewer_in(request)
    if viewer is None:
        raise TokenMissing
    return viewer


async def _believed_until(request: Request, _viewer: Annotated[Viewer, Depends(_current)]) -> float:
    return request.scope["state"]["believed_until"]


async def _any(request: Request) -> Viewer:
    return await viewer_in(request) or PUBLIC_VIEWER


CurrentViewer = Annotated[Viewer, Depends(_current)]
"""For protected operations: 401 without a good token."""

BelievedUntil = Annotated[float, Depends(_believed_until)]
"""When the request's token is good no more, in seconds since 1970: for answers that last longer than that."""

AnyViewer = Annotated[Viewer, Depends(_any)]
"""For public operations: PUBLIC_VIEWER without a token; a bad token is 401 all the same, never quietly less."""


def fresh_login(max_age_s: int) -> Any:
    """FastAPI dependency of operations that ask for a log-in of a moment ago. Raises LoginTooOld."""

    async def check(request: Request, _viewer: CurrentViewer) -> None:
        logged_in: float | None = request.scope["state"]["auth_time"]
        if logged_in is None or logged_in < time.time() - max_age_s - LEEWAY_S:
            raise LoginTooOld(max_age_s=max_age_s)

    return Depends(check)
