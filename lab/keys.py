"""The notify service's keys on this machine: made at the first start, kept for the next."""

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

KEY_BYTES = 32


def webhook_settings(directory: Path) -> dict[str, str]:
    """Its keys, and leave to call receivers on this machine. Kept in `directory`, readable by its owner only."""
    path = directory / "keys.json"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        keys = {
            "WEBHOOK_SIGNING_KEY": b64encode(secrets.token_bytes(KEY_BYTES)).decode(),
            "WEBHOOK_SEALING_KEYS": urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode(),
        }
        path.write_text(json.dumps(keys), encoding="utf-8")
    kept: dict[str, str] = json.loads(path.read_bytes())
    return {**kept, "WEBHOOK_LAB": "true"}
