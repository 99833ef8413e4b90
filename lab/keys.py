"""Settings of services of their own on this machine; keys are made at the first start, and kept for the next."""

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

KEY_BYTES = 32
SECONDS_FOR_HOURS = (0, 1, 2, 4, 8, 15, 30, 60, 120, 300)
"""Who tries a receiver in a lab has no days to wait."""
CHECKPOINT_EVERY_S = 5


def webhook_settings(directory: Path) -> dict[str, str]:
    """Its keys, leave to call receivers on this machine, and a short patience. Kept in `directory`, for its owner."""
    made = {"WEBHOOK_SIGNING_KEY": b64encode, "WEBHOOK_SEALING_KEYS": urlsafe_b64encode}
    kept = _kept(directory, made)
    schedule = json.dumps(SECONDS_FOR_HOURS)
    return {**kept, "WEBHOOK_LAB": "true", "WEBHOOK_SCHEDULE_S": schedule, "WEBHOOK_PAUSE_S": "0.5"}


def commitment_settings(directory: Path, *, pki: Path | None) -> dict[str, str]:
    """Its key for checkpoints, and the authority that its signers have certificates of."""
    kept = _kept(directory, {"AUDIT_SIGNING_KEY": b64encode}) | {"AUDIT_EVERY_S": str(CHECKPOINT_EVERY_S)}
    return kept | ({"LOCAL_PKI": str(pki)} if pki else {})


def _kept(directory: Path, made: Mapping[str, Callable[[bytes], bytes]]) -> dict[str, str]:
    path = directory / "keys.json"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        keys = {name: encode(secrets.token_bytes(KEY_BYTES)).decode() for name, encode in made.items()}
        path.write_text(json.dumps(keys), encoding="utf-8")
    return json.loads(path.read_bytes())
