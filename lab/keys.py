"""The notify service's own settings on this machine; its keys are made at the first start, and kept for the next."""

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

KEY_BYTES = 32
SECONDS_FOR_HOURS = (0, 1, 2, 4, 8, 15, 30, 60, 120, 300)
"""Who tries a receiver in a lab has no days to wait."""


def webhook_settings(directory: Path) -> dict[str, str]:
    """Its keys, leave to call receivers on this machine, and a short patience. Kept in `directory`, for its owner."""
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
    schedule = json.dumps(SECONDS_FOR_HOURS)
    return {**kept, "WEBHOOK_LAB": "true", "WEBHOOK_SCHEDULE_S": schedule, "WEBHOOK_PAUSE_S": "0.5"}
