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
    filed = {commitment: {(e.get("seq"), e.get("hash")) for e in entries} for commitment, entries in trails.items()}
    found: list[Finding] = []
    heads: dict[str, Head] = {}
    number, previous = 0, BEFORE_THE_FIRST
    for one in checkpoints:
        wrong = [
            (one.number != number + 1, "checkpoint_out_of_order", f"checkpoint {number + 1} was expected here"),
            (one.previous != previous, "checkpoint_chain_broken", "it does not follow from the one before it"),
            (not _is_signed(one, keys), "checkpoint_forged", "its signature is of none of the keys"),
        ]
        for commitment, head in heads_of([one]).items():
            had = heads[commitment].entries if commitment in heads else 0
            lacks = (head.entries, head.hash) not in filed.get(commitment, ())
            wrong += [
                (head.entries <= had, "head_set_back", f"{commitment} had {had} entries before"),
                (lacks, "trail_rewritten", f"{commitment} does not hold entry {head.entries} as it was then"),
            ]
            heads[commitment] = head
        wrong.append((one.root != _root(heads), "root_differs", "its heads and those before do not give its root"))
        found += [
            Finding(code=code, about=f"checkpoint {one.number}", said=said) for is_so, code, said in wrong if is_so
        ]
        number, previous = one.number, one.hash
    by_number = {one.number: one.hash for one in checkpoints}
    for one in kept:
        about = f"kept checkpoint {one.number}"
        if not _is_signed(one, keys):
            said = "its signature is of none of the keys, so it proves nothing"
            found.append(Finding(code="kept_forged", about=about, said=said))
        elif by_number.get(one.number) != one.hash:
            found.append(Finding(code="kept_differs", about=about, said="another one, or none, has its number here"))
    return found


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
