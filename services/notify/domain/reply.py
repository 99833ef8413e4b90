"""What a mail server's reply means: for the letter, and for whom.

By its enhanced code where it has one (RFC 3463): subjects 1 and 2 are the address's, save 1.7 and 1.8, which are our
own, and 1.0 and 1.9, which do not say whose; all others the server's or its rules'. Else by the reply code (RFC 5321,
section 4.2.3).
"""

import re

from services.notify.domain.schedule import Verdict

_ENHANCED = re.compile(r"\s*[245]\.(\d{1,3}\.\d{1,3})\b")
_OF_ADDRESS = re.compile(r"(?:1\.(?![0789]$)|2\.)")
_FOR_GOOD = re.compile(r"1\.(?![0789]$)")
"""There is no such address. One that is full may have room tomorrow; 2.1 some servers say of one that gets too much."""
_MAILBOX_CODES = frozenset({450, 550, 551, 552, 553})


def mail_verdict(status: int | None, said: str) -> Verdict:
    """Refused is only what no later attempt can change; None: there was no reply."""
    if status is None:
        return Verdict.FAILED
    if 200 <= status < 300:
        return Verdict.DELIVERED
    detail = _detail(said)
    for_good = status >= 500 and detail is not None and _FOR_GOOD.match(detail)
    return Verdict.REFUSED if for_good else Verdict.FAILED


def is_of_address(status: int, said: str) -> bool:
    """Whether a refusal is the address's: else the server has no room, does not relay, or dislikes what it sees."""
    detail = _detail(said)
    return status in _MAILBOX_CODES if detail is None else _OF_ADDRESS.match(detail) is not None


def _detail(said: str) -> str | None:
    found = _ENHANCED.match(said)
    return found and found[1]
