"""The development authority for signatures: time stamps, OCSP, CRLs, and a certificate for everybody."""

import socket
import sys
from pathlib import Path

from lab.parts.process import Part, ports
from lab.pki import TSA_PATH

PREPARED_WITHIN_S = 60


def authority(directory: Path, *, outlives_parent: bool = False) -> Part:
    """Its address is that of its time stamps; keys and certificates are in its directory (LOCAL_PKI)."""
    (port,) = ports(directory, 1)

    def missing() -> str | None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError as failure:
            return f"no answer on 127.0.0.1:{port} ({failure})"
        return None

    return Part(
        "pki",
        address=f"http://127.0.0.1:{port}{TSA_PATH}",
        port=port,
        command=[sys.executable, "-m", "lab.pki", "serve", str(directory), "--port", str(port), "--everybody"],
        directory=directory,
        probe=missing,
        ready_within_s=PREPARED_WITHIN_S,
        outlives_parent=outlives_parent,
    )
