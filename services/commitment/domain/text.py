"""The text of a commitment: what is signed. From its first signature it can't change, for its hash is in each."""

from datetime import date
from hashlib import sha256
from typing import Any

import orjson

from contracts.fact import Frozen


class Clause(Frozen):
    """Numbered from 1 by its place."""

    title: str | None
    text: str


class Opening(Frozen):
    """Who may join without being named: any of these kinds, provinces or groups."""

    kinds: tuple[str, ...] = ()
    provinces: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Text(Frozen):
    """All that is printed but for who signs it."""

    title: str
    number: str | None
    place: str
    dated: date
    preamble: str
    legal_basis: tuple[str, ...]
    clauses: tuple[Clause, ...]
    period_from: date
    period_to: date | None

    def sha256(self) -> str:
        """Of its canonical JSON: keys sorted, UTF-8, no spaces."""
        told: dict[str, Any] = self.model_dump(mode="json")
        return sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
