"""The audit trail of a commitment: every act is an entry that holds the hash of the one before it.

An entry's hash is the SHA-256 of DOMAIN and its canonical JSON: keys sorted, UTF-8, no spaces, and only strings, whole
numbers, booleans, null, lists and objects, which is RFC 8785 for this subset. The head lies in the aggregate, set by
the same write as the act, and in every fact of it: whoever rewrites the entries has to rewrite those as well.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

import orjson

from contracts.fact import Frozen

DOMAIN = b"livinglab.trail.v1\n"
FORM = 1


class Act(StrEnum):
    """What was done. Local turns that came to nothing are no acts: nothing left the house."""

    DRAFTED = "drafted"
    CHANGED = "changed"
    OPENED = "opened"
    AMENDED = "amended"
    PARTY_NAMED = "party_named"
    JOINED = "joined"
    SIGNATORY_NAMED = "signatory_named"
    SENT = "sent"
    SIGNED = "signed"
    PAPER_RECORDED = "paper_recorded"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    ENTERED_FORCE = "entered_force"
    SEALED = "sealed"
    COMPLETED = "completed"
    WITHDRAWN = "withdrawn"


class Head(Frozen):
    """Where a trail ends."""

    entries: int
    hash: str


class Finding(Frozen):
    """Something that does not fit: `code` is stable, `about` names the place."""

    code: str
    about: str
    said: str


def beginning(commitment: str) -> Head:
    """Before the first entry."""
    return Head(entries=0, hash=sha256(commitment.encode()).hexdigest())


def append(
    head: Head, commitment: str, act: Act, *, by: str, organization: str | None, at: datetime, about: Mapping[str, Any]
) -> tuple[Head, dict[str, Any]]:
    """The new head, and the entry as it is filed: `about` holds no names, secrets or texts, but ids and hashes."""
    entry = {
        "v": FORM,
        "commitment": commitment,
        "seq": head.entries + 1,
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "act": act.value,
        "by": by,
        "organization": organization,
        "about": dict(about),
        "prev": head.hash,
    }
    digest = hash_of(entry)
    after = Head(entries=head.entries + 1, hash=digest)
    return after, {"_id": entry_id(commitment, after.entries), **entry, "hash": digest}


def entry_id(commitment: str, seq: int) -> str:
    """Sorts as the entries do."""
    return f"{commitment}/{seq:08}"


def hash_of(entry: Mapping[str, Any]) -> str:
    """Of an entry, whatever it was filed with besides. Raises TypeError for what no entry can hold."""
    told = {name: value for name, value in entry.items() if name not in ("_id", "hash")}
    return sha256(DOMAIN + orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def digest(value: Frozen) -> str:
    """Of what an entry speaks of without holding it: SHA-256 of its canonical JSON."""
    return sha256(orjson.dumps(value.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).hexdigest()


def is_as_hashed(entry: Mapping[str, Any]) -> bool:
    """Whether its hash is that of its content: also asked of what somebody put there by hand."""
    try:
        return entry.get("hash") == hash_of(entry)
    except TypeError:
        return False


def verify(commitment: str, entries: Sequence[Mapping[str, Any]], head: Head) -> list[Finding]:
    """What was edited, deleted, inserted, reordered or cut off, if anything. `entries`: all, by their ids."""
    found: list[Finding] = []
    before = beginning(commitment)
    for entry in entries:
        about = f"{commitment} #{entry.get('seq')}"
        if entry.get("_id") != entry_id(commitment, before.entries + 1) or entry.get("seq") != before.entries + 1:
            found.append(
                Finding(code="out_of_order", about=about, said=f"entry {before.entries + 1} was expected here")
            )
        if entry.get("prev") != before.hash:
            found.append(Finding(code="chain_broken", about=about, said="it does not follow from the entry before it"))
        if not is_as_hashed(entry):
            found.append(Finding(code="edited", about=about, said="its content is not what its hash was made of"))
        seq = entry.get("seq")
        before = Head(entries=seq if isinstance(seq, int) else before.entries + 1, hash=str(entry.get("hash")))
    if before != head:
        said = f"the commitment says that entry {head.entries} is the last, with another hash or number than is filed"
        found.append(Finding(code="head_differs", about=commitment, said=said))
    return found


def holds(entries: Sequence[Mapping[str, Any]], head: Head) -> bool:
    """Whether a head that somebody kept (a fact, a checkpoint) is that of an entry in this trail."""
    return any(entry.get("seq") == head.entries and entry.get("hash") == head.hash for entry in entries)
