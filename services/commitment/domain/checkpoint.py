"""Checkpoints: from time to time the heads of all trails, signed, each holding the hash of the one before it.

Whoever keeps one elsewhere can prove later that a trail was rewritten, even by somebody who rewrote the whole database.
A checkpoint names the heads that changed; its root is the hash of all of them, so that the heads, added up, must fit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.fact import Frozen
from services.commitment.domain.trail import Finding, Head

DOMAIN = b"livinglab.checkpoint.v1\n"
FORM = 1
BEFORE_THE_FIRST = sha256(DOMAIN).hexdigest()


class Checkpoint(Frozen):
    """`heads`: commitment, entries and hash of each trail that grew since the checkpoint before."""

    number: int
    at: str
    """UTC, as in the trail's entries."""
    previous: str
    heads: tuple[tuple[str, int, str], ...]
    root: str
    signature: str
    """Ed25519 over all of the above, in hex."""

    @property
    def signed(self) -> bytes:
        """What the signature is made of: DOMAIN and canonical JSON, as an entry of the trail."""
        told: dict[str, Any] = {"v": FORM, **self.model_dump(mode="json", exclude={"signature"})}
        return DOMAIN + orjson.dumps(told, option=orjson.OPT_SORT_KEYS)

    @property
    def hash(self) -> str:
        """What the next one holds as `previous`."""
        return sha256(self.signed).hexdigest()


def heads_of(checkpoints: Iterable[Checkpoint]) -> dict[str, Head]:
    """The last head of each trail that they name, in their order."""
    return {
        commitment: Head(entries=entries, hash=digest)
        for checkpoint in checkpoints
        for commitment, entries, digest in checkpoint.heads
    }


def checkpoint(
    last: Checkpoint | None,
    *,
    before: Mapping[str, Head],
    now: Mapping[str, Head],
    at: datetime,
    sign: Callable[[bytes], bytes],
) -> Checkpoint:
    """The next one. `before`: the heads up to `last` (`heads_of`); `now`: of all trails."""
    unsigned = Checkpoint(
        number=last.number + 1 if last else 1,
        at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        previous=last.hash if last else BEFORE_THE_FIRST,
        heads=_rows({commitment: head for commitment, head in now.items() if before.get(commitment) != head}),
        root=_root({**before, **now}),
        signature="",
    )
    return unsigned.model_copy(update={"signature": sign(unsigned.signed).hex()})


def verify(
    checkpoints: Sequence[Checkpoint],
    trails: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    keys: Sequence[Ed25519PublicKey],
    kept: Iterable[Checkpoint] = (),
) -> list[Finding]:
    """What was edited, removed, reordered or forged, and which trail was rewritten, cut or removed, if any.

    checkpoints: all, by number. trails: the entries of each commitment; that they follow from each other is the trail's
    own matter. keys: the present public key and earlier ones. kept: checkpoints that somebody kept elsewhere.
    """
    found: list[Finding] = []
    filed = {commitment: {(e.get("seq"), e.get("hash")) for e in entries} for commitment, entries in trails.items()}
    heads: dict[str, Head] = {}
    number, previous = 0, BEFORE_THE_FIRST
    for one in checkpoints:
        about = f"checkpoint {one.number}"
        if one.number != number + 1:
            found.append(_finding("checkpoint_out_of_order", about, f"checkpoint {number + 1} was expected here"))
        if one.previous != previous:
            found.append(_finding("checkpoint_chain_broken", about, "it does not follow from the one before it"))
        if not _is_signed(one, keys):
            found.append(_finding("checkpoint_forged", about, "its signature is of none of the keys"))
        for commitment, head in heads_of([one]).items():
            found += _held(commitment, head, heads.get(commitment), filed, about)
            heads[commitment] = head
        if one.root != _root(heads):
            found.append(_finding("root_differs", about, "its heads and those before do not add up to its root"))
        number, previous = one.number, one.hash
    by_number = {one.number: one.hash for one in checkpoints}
    for one in kept:
        about = f"kept checkpoint {one.number}"
        if not _is_signed(one, keys):
            found.append(_finding("kept_forged", about, "its signature is of none of the keys: it proves nothing"))
        elif by_number.get(one.number) != one.hash:
            found.append(_finding("kept_differs", about, "another one, or none, is filed under its number"))
    return found


def _held(
    commitment: str,
    head: Head,
    before: Head | None,
    filed: Mapping[str, set[tuple[Any, Any]]],
    about: str,
) -> list[Finding]:
    if before and head.entries <= before.entries:
        return [_finding("head_set_back", about, f"{commitment} had {before.entries} entries before")]
    if (head.entries, head.hash) not in filed.get(commitment, ()):
        return [_finding("trail_rewritten", about, f"{commitment} does not hold entry {head.entries} as it was then")]
    return []


def _is_signed(one: Checkpoint, keys: Iterable[Ed25519PublicKey]) -> bool:
    for key in keys:
        try:
            key.verify(bytes.fromhex(one.signature), one.signed)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _rows(heads: Mapping[str, Head]) -> tuple[tuple[str, int, str], ...]:
    return tuple(sorted((commitment, head.entries, head.hash) for commitment, head in heads.items()))


def _root(heads: Mapping[str, Head]) -> str:
    return sha256(DOMAIN + orjson.dumps(_rows(heads))).hexdigest()


def _finding(code: str, about: str, said: str) -> Finding:
    return Finding(code=code, about=about, said=said)
