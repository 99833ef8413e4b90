"""Named points at which the fault tests kill the process.

Losslessness is proved by dying between two writes, which no signal from outside hits reliably (ADR 0004). Without
CRASH_AT in the environment a point costs one comparison.
"""

import os
import signal

POINTS = (
    "cas.before",
    "cas.after",
    "relay.acknowledged",
    "relay.archived",
    "relay.pulled",
    "batch.handled",
    "batch.published",
    "batch.committed",
    "send.between",
    "send.before",
    "send.answered",
    "sign.claimed",
    "sign.sending",
    "sign.answered",
    "sign.kept",
    "seal.kept",
)

_name, _, _count = os.environ.get("CRASH_AT", "").partition(":")
if _name and _name not in POINTS:
    raise RuntimeError(f"CRASH_AT names no crash point: {_name!r}; there are {', '.join(POINTS)}")
_left = int(_count or 1)


def crash_point(name: str) -> None:
    """Die here, as by `kill -9`, when CRASH_AT is `name` or, for the n-th time, `name:n`."""
    global _left
    if name == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
