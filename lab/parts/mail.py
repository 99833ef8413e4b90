"""E-mail: a mail server that takes every letter, sends none on, and keeps them in a folder for whoever looks."""

import smtplib
import sys
from pathlib import Path

from lab.parts.process import Part, ports

LETTERS = "letters"
"""A Maildir beside the part's log: `mutt -f`, or Python's `mailbox`, reads it."""


def mail_server(directory: Path, *, outlives_parent: bool = False) -> Part:
    """Its address is a URI as `SMTP_URI` has it."""
    (port,) = ports(directory, 1)

    def missing() -> str | None:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=2) as client:
                client.noop()
        except OSError as failure:  # also what smtplib raises
            return f"no answer on 127.0.0.1:{port} ({failure})"
        return None

    return Part(
        "smtp",
        address=f"smtp+plain://127.0.0.1:{port}",
        port=port,
        command=[
            *(sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}"),
            *("-c", "aiosmtpd.handlers.Mailbox", str(directory / LETTERS)),
        ],
        directory=directory,
        probe=missing,
        outlives_parent=outlives_parent,
    )
