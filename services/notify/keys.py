"""The keys of the service: what signs webhooks, and what seals subscribers' secrets at rest."""

from base64 import b64decode
from enum import StrEnum
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.notify.domain.signature import public_form
from services.notify.settings import NotifySettings

REMEMBERED = 10_000


class Purpose(StrEnum):
    """What one purpose sealed is not opened for another."""

    PLACE = "place"
    """Of a stream, for its reader, to whom it must not tell how much there is that they may not see."""
    CONFIRM = "confirm"
    """A link that says yes to e-mails."""
    UNSUBSCRIBE = "unsubscribe"
    """A link that ends them."""


class Keys:
    """From the settings; nothing of them is ever logged. Raises ValueError for keys that are missing or none."""

    def __init__(self, settings: NotifySettings) -> None:
        if settings.webhook_signing_key is None or settings.webhook_sealing_keys is None:
            raise ValueError(
                "set WEBHOOK_SIGNING_KEY (openssl rand -base64 32) and WEBHOOK_SEALING_KEYS (the same, piped through "
                "tr '+/' '-_'), and keep them: without them no subscriber's secret can be read again"
            )
        try:
            seed = b64decode(settings.webhook_signing_key.get_secret_value(), validate=True)
            self.signing = Ed25519PrivateKey.from_private_bytes(seed)
        except ValueError as error:
            raise ValueError("WEBHOOK_SIGNING_KEY is not the base64 of 32 bytes (openssl rand -base64 32)") from error
        sealing = [key.strip() for key in settings.webhook_sealing_keys.get_secret_value().split(",")]
        try:
            self._seals = MultiFernet([Fernet(key) for key in sealing])
        except ValueError as error:
            raise ValueError(
                "WEBHOOK_SEALING_KEYS are not the URL-safe base64 of 32 bytes each (openssl rand -base64 32 | tr '+/' "
                "'-_'), separated by commas"
            ) from error
        # Opened in memory only, where a process that signs thousands a second needs them.
        self.open = lru_cache(REMEMBERED)(self._open)

    @property
    def public(self) -> str:
        """What receivers check `v1a` signatures with."""
        return public_form(self.signing.public_key())

    def seal(self, secret: str) -> str:
        """For keeping."""
        return self._seals.encrypt(secret.encode()).decode()

    def seal_for(self, purpose: Purpose, what: bytes) -> str:
        """For somebody outside, who brings it back unread and unchanged."""
        return self._seals.encrypt(f"{purpose.value}:".encode() + what).decode()

    def open_for(self, purpose: Purpose, sealed: str, *, within_s: int | None = None) -> bytes:
        """What was sealed for this purpose, `within_s` seconds ago at most. Raises ValueError for anything else."""
        try:
            opened = self._seals.decrypt(sealed, ttl=within_s)
        except (InvalidToken, ValueError) as error:  # the latter: it is not even ASCII
            raise ValueError("this was not sealed by us, or too long ago") from error
        before, found, what = opened.partition(b":")
        if not found or before != purpose.value.encode():
            raise ValueError(f"this was not sealed for {purpose.value}")
        return what

    def _open(self, sealed: str) -> str:
        """What was sealed. Raises ValueError where none of the keys fits: a key was dropped too early."""
        try:
            return self._seals.decrypt(sealed).decode()
        except InvalidToken as error:
            raise ValueError("a subscriber's secret was sealed with a key that WEBHOOK_SEALING_KEYS lacks") from error
