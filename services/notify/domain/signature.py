"""Signatures of webhooks, as Standard Webhooks 1.0 has them (github.com/standard-webhooks/standard-webhooks).

Signed is `<id>.<seconds>.<body>`; one header carries every signature: `v1` HMAC-SHA256 with a secret that the
subscriber alone was shown, and `v1a` Ed25519 with the Lab's own key, for those who would rather share no secret.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from secrets import token_bytes

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET_PREFIX, PUBLIC_PREFIX = "whsec_", "whpk_"
SECRET_BYTES = 32


def new_secret() -> str:
    """A fresh secret, in the form that receivers' libraries take it."""
    return SECRET_PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode()


def public_form(key: Ed25519PublicKey) -> str:
    """A public key in the form of the specification."""
    return PUBLIC_PREFIX + b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def signed_headers(
    message: str, body: bytes, *, seconds: int, secrets: Sequence[str], key: Ed25519PrivateKey
) -> dict[str, str]:
    """The three headers of message `message`, sent at `seconds` since 1970.

    `secrets`: each that is good now; two of them while one replaces the other.
    """
    content = b"%s.%d.%s" % (message.encode(), seconds, body)
    signatures = ["v1," + b64encode(hmac.digest(_bytes_of(secret), content, "sha256")).decode() for secret in secrets]
    signatures.append(f"v1a,{b64encode(key.sign(content)).decode()}")
    return {"webhook-id": message, "webhook-timestamp": str(seconds), "webhook-signature": " ".join(signatures)}


def _bytes_of(secret: str) -> bytes:
    return b64decode(secret.removeprefix(SECRET_PREFIX))
