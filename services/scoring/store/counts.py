"""How what was counted lies in a document: `parts` and `leaders`, each by basis, audience and kind.

Apart, because a read wants one of some dozen places, and `leaders` are the larger part by far.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from chassis.store import Document
from services.scoring.domain.summary import Leader, Part, Ranking, Tally


def document_of(tally: Tally) -> Document:
    """What is stored of a scope. The same tally gives equal documents, whatever order it was counted in."""
    parts: Document = {}
    for (basis, audience, kind), part in sorted(tally.parts.items()):
        parts.setdefault(basis, {}).setdefault(audience, {})[kind] = {
            "shown": dict(sorted(part.shown.items())),
            "predicates": dict(sorted(part.predicates.items())),
            "total": Decimal128(part.total),
            "count": part.count,
        }
    leaders: Document = {}
    for (basis, audience, kind), rankings in sorted(tally.rankings.items()):
        leaders.setdefault(basis, {}).setdefault(audience, {})[kind] = {
            str(number): {
                "levels": dict(sorted(ranking.levels.items())),
                "leaders": [[one.region, one.level, one.shown, Decimal128(-one.below[1])] for one in ranking.leaders],
            }
            for number, ranking in sorted(rankings.items())
        }
    as_of: Document = {}
    for (basis, audience), at in sorted(tally.as_of.items()):
        as_of.setdefault(basis, {})[audience] = at
    return {"parts": parts, "leaders": leaders, "as_of": as_of}


def tally_of(document: Document) -> Tally:
    """The tally that a whole document holds."""
    return Tally(
        parts={counted: part_of(part) for counted, part in _leaves(document.get("parts", {}))},
        rankings={
            counted: {int(number): ranking_of(one) for number, one in rankings.items()}
            for counted, rankings in _leaves(document.get("leaders", {}))
        },
        as_of={
            (basis, audience): at
            for basis, audiences in document.get("as_of", {}).items()
            for audience, at in audiences.items()
        },
    )


def part_of(document: Document) -> Part:
    """One part."""
    total: Decimal = document["total"].to_decimal()
    return Part(Counter(document["shown"]), Counter(document["predicates"]), total, document["count"])


def ranking_of(document: Document) -> Ranking:
    """One indicator's."""
    leaders = [
        Leader.of(region, level, shown, exact.to_decimal()) for region, level, shown, exact in document["leaders"]
    ]
    return Ranking(Counter(document["levels"]), leaders)


def _leaves(tree: Document) -> Iterator[tuple[tuple[str, str, str], Any]]:
    for basis, audiences in tree.items():
        for audience, kinds in audiences.items():
            for kind, leaf in kinds.items():
                yield (basis, audience, kind), leaf
