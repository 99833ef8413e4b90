"""The keys of the service: what signs webhooks, and what seals subscribers' secrets at rest."""

from base64 import b64decode
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.notify.domain.signature import public_form
from services.notify.settings import NotifySettings

REMEMBERED = 10_000
PLACE = b"place:"
"""Keeps what one purpose sealed from being opened for another."""


class Keys:
    """From the settings; nothing of them is ever logged. Raises ValueError for keys that are missing or none."""

    def __init__(self, settings: NotifySettings) -> None:
        if settings.webhook_signing_key is None or settings.webhook_sealing_keys is None:
            raise ValueError(
                "set WEBHOOK_SIGNING_KEY (openssl rand -base64 32) and WEBHOOK_SEALING_KEYS (the same, piped through "
                "tr '+/' '-_'), and keep them: without them no subscriber's secret can be read again"
            )
        seed = b64decode(settings.webhook_signing_key.get_secret_value(), validate=True)
        self.signing = Ed25519PrivateKey.from_private_bytes(seed)
        sealing = [key.strip() for key in settings.webhook_sealing_keys.get_secret_value().split(",")]
        self._seals = MultiFernet([Fernet(key) for key in sealing])
        # Opened in memory only, where a process that signs thousands a second needs them.
        self.open = lru_cache(REMEMBERED)(self._open)

    @property
    def public(self) -> str:
        """What receivers check `v1a` signatures with."""
        return public_form(self.signing.public_key())

    def seal(self, secret: str) -> str:
        """For keeping."""
        return self._seals.encrypt(secret.encode()).decode()

    def seal_place(self, place: bytes) -> str:
        """Where a stream is, for its reader, to whom it must not tell how much there is that they may not see."""
        return self._seals.encrypt(PLACE + place).decode()

    def open_place(self, sealed: str) -> bytes:
        """Raises ValueError for what no replica of ours has sealed."""
        try:
            opened = self._seals.decrypt(sealed)
        except (InvalidToken, ValueError) as error:  # the latter: it is not even ASCII
            raise ValueError("this was not sealed by us") from error
        if not opened.startswith(PLACE):
            raise ValueError("this is no place of a stream")
        return opened[len(PLACE) :]

    def _open(self, sealed: str) -> str:
        """What was sealed. Raises ValueError where none of the keys fits: a key was dropped too early."""
        try:
            return self._seals.decrypt(sealed).decode()
        except InvalidToken as error:
            raise ValueError("a subscriber's secret was sealed with a key that WEBHOOK_SEALING_KEYS lacks") from error
