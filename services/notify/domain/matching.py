"""Which subscriptions an event meets: a few tokens that it asks with, looked up among those that were asked for.

A subscription asks for types and places, and stores every pair of them as one token, `assessment.*|32`. An event asks
with the few that can match it: its type and the wildcards over it, times the places that it lies in. Neither side grows
with the number of the other.
"""

from collections.abc import Iterable

from contracts import events
from contracts.fact import TYPE_PREFIX
from contracts.regions import Directory

EVERYTHING = "*"
NATION = "ID"
"""The place that everything lies in, also what is about no region."""
TYPES_MAX = 20
PLACES_MAX = 100


def short(type: str) -> str:
    """`id.livinglab.assessment.submitted.v1` → `assessment.submitted`."""
    return type.removeprefix(TYPE_PREFIX).rpartition(".")[0]


def known_patterns() -> frozenset[str]:
    """What may be asked for: each type by name, all of a noun, everything."""
    names = {event.name for event in events.ALL}
    return frozenset({EVERYTHING} | names | {f"{name.partition('.')[0]}.*" for name in names})


def asked_tokens(types: Iterable[str], regions: Iterable[str], groups: Iterable[str]) -> list[str]:
    """Of a subscription: every pair of a type and a place, sorted. Neither regions nor groups: the whole nation."""
    places = [*regions, *(_group(name) for name in groups)] or [NATION]
    return sorted({f"{type}|{place}" for type in types for place in places})


def event_tokens(type: str, within: Iterable[str], directory: Directory) -> frozenset[str]:
    """Of an event that lies in these regions: about three types times its places, whatever others ask for."""
    name = short(type)
    types = (name, f"{name.partition('.')[0]}.*", EVERYTHING)
    places = {NATION}
    for code in within:
        places |= {code, *map(_group, directory.groups_of(code))}
    return frozenset(f"{type}|{place}" for type in types for place in places)


def _group(name: str) -> str:
    return f"@{name}"  # no region's code begins so
