"""A development OIDC issuer: gives anybody a token for any organization and role. Never deploy it.

In a deployment the ministry's own provider stands here; the services can't tell the two apart. Run it with
`LAB_OIDC_ISSUER=http://127.0.0.1:P LAB_OIDC_KEY=key.json python -m uvicorn --factory lab.oidc:create_app --port P`.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import ECKey

ALGORITHM = "ES256"
AUDIENCE = "livinglab-api"
LIFETIME_S = 8 * 3600


def new_key() -> ECKey:
    """A fresh ES256 signing key; its id is its thumbprint."""
    return ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, auto_kid=True)


def kept_key(path: Path) -> ECKey:
    """The key in this file, made at the first call: tokens stay valid across restarts. Readable by its owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, delete=False) as file:  # made with mode 0600
            file.write(orjson.dumps(new_key().as_dict(private=True)))
        Path(file.name).replace(path)
    return ECKey.import_key(orjson.loads(path.read_bytes()))


def mint(
    key: ECKey,
    *,
    issuer: str,
    organization: str,
    roles: Sequence[str],
    subject: str | None = None,
    audience: str = AUDIENCE,
    lifetime_s: int = LIFETIME_S,
    logged_in_s_ago: int = 0,
) -> str:
    """An access token (`at+jwt`). Without a subject: an opaque id, the same for the same organization and roles.

    A negative lifetime gives a token that has expired. Nothing is checked: tests need wrong tokens too.
    """
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "sub": subject or str(uuid5(NAMESPACE_URL, f"{issuer}/{organization}/{'+'.join(sorted(roles))}")),
        "iat": now if lifetime_s >= 0 else now + lifetime_s - 1,
        "exp": now + lifetime_s,
        "auth_time": now - logged_in_s_ago,
        "organization": organization,
        "roles": list(roles),
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid, "typ": "at+jwt"}, claims, key)


def create_app() -> FastAPI:
    """The issuer as configured by LAB_OIDC_ISSUER (its own base URL) and LAB_OIDC_KEY (file of its key)."""
    return issuer_app(
        issuer=os.environ["LAB_OIDC_ISSUER"],
        key=kept_key(Path(os.environ["LAB_OIDC_KEY"])),
    )


def issuer_app(*, issuer: str, key: ECKey) -> FastAPI:
    """Discovery, JWKS, and `POST /token` (form: organization, role (repeatable), subject, lifetime_s)."""
    app = FastAPI(title="Development OIDC issuer", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/.well-known/openid-configuration")
    async def discovery() -> dict[str, Any]:
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks",
            "token_endpoint": f"{issuer}/token",
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    @app.get("/jwks")
    async def jwks() -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False)]}

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode(errors="replace"))
        organization, roles, subject = (
            form.get("organization", []),
            form.get("role", []),
            form.get("subject", []),
        )
        lifetime = form.get("lifetime_s", [str(LIFETIME_S)])[-1]
        if len(organization) != 1 or not roles:
            return _refusal("send one `organization` and at least one `role`, as a form")
        if not lifetime.removeprefix("-").isdecimal():
            return _refusal(f"lifetime_s is a number of seconds, not {lifetime!r}")
        access_token = mint(
            key,
            issuer=issuer,
            organization=organization[0],
            roles=roles,
            subject=subject[0] if subject else None,
            lifetime_s=int(lifetime),
        )
        answer = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": int(lifetime),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return app


def _refusal(description: str) -> JSONResponse:
    """An error as RFC 6749 section 5.2 has it."""
    return JSONResponse({"error": "invalid_request", "error_description": description}, status_code=400)
