"""An OIDC issuer in memory, and tokens of every kind: good, bad, and such as no library would make."""

import asyncio
import base64
import hmac
import json
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from chassis.auth import ALGORITHMS

ISSUER = "https://issuer.test/realms/lab"
NOW = 1_700_000_000
SIGNING = RSAKey.generate_key(2048, {"kid": "sig-1", "use": "sig", "alg": "RS256"})
ENCRYPTION = RSAKey.generate_key(2048, {"kid": "enc-1", "use": "enc", "alg": "RSA-OAEP"})
ROTATED = ECKey.generate_key("P-256", {"kid": "sig-2", "use": "sig", "alg": "ES256"})
FOREIGN = RSAKey.generate_key(2048, {"kid": "sig-1", "use": "sig"})
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": ["account", "livinglab-api"],
    "sub": "a3f1",
    "exp": NOW + 300,
    "iat": NOW,
    "organization": "32.11",
    "roles": ["operator"],
}


class Issuer:
    """Serves discovery and keys in memory, counts what it is asked, and can be down, slow or wrong."""

    def __init__(self) -> None:
        self.keys: list[Any] = [ENCRYPTION.as_dict(private=False), SIGNING.as_dict(private=False)]
        self.discovery: Any = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/certs"}
        self.down = False
        self.fetches = 0
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await self.gate.wait()
        self.asked.append(str(request.url))
        if request.url.path.endswith("/certs"):
            return httpx.Response(200, json={"keys": self.keys})
        self.fetches += 1
        if self.down:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json=self.discovery)


class Clock:
    """Wall clock and stopwatch in one, moved by hand."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def minted(key: Any = SIGNING, header: dict[str, Any] | None = None, /, **claims: Any) -> str:
    """A good token but for what is given; None removes a claim or header."""
    merged = {"alg": "RS256", "typ": "at+jwt", "kid": "sig-1"} | (header or {})
    held = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    kept = {name: value for name, value in merged.items() if value is not None}
    return jwt.encode(kept, held, key, algorithms=[*ALGORITHMS, "RS512"], default_type=None)


def raw(header: Any, claims: Any, signature: bytes = b"x") -> str:
    """A token that no library would make."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hs256(secret: bytes) -> str:
    """The classic: signed symmetrically with what everybody can download."""
    signed = raw({"alg": "HS256", "typ": "at+jwt", "kid": "sig-1"}, CLAIMS).rpartition(".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).rstrip(b"=").decode()
    return f"{signed}.{signature}"
