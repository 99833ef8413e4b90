"""Regions and groups of them: the committed Kemendagri list as an immutable directory."""

import csv
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Self, TypedDict

DATA = Path(__file__).parent / "data"


class Kind(StrEnum):
    """What a region is. Ranks are compared inside one kind only."""

    PROVINCE = "province"
    REGENCY = "regency"
    CITY = "city"


@dataclass(frozen=True, slots=True)
class Region:
    """A region as the list has it. None = unknown; contracts/data/README.md gives columns and sources."""

    code: str
    name: str
    kind: Kind
    province: str
    self_governing: bool
    population: int | None
    area_km2: Decimal | None
    valid_from: date | None
    valid_to: date | None
    predecessors: tuple[str, ...] | None

    def governs(self, on: date) -> bool:
        """Whether it governs itself on that day."""
        begun = self.valid_from is None or self.valid_from <= on
        return self.self_governing and begun and (self.valid_to is None or on <= self.valid_to)


class UnknownRegion(LookupError):
    """No region has this code. Codes are text: `11.10` is not `11.1`."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"no region has the code {code!r}; codes are text such as '32.11' (contracts/data/regions.csv)"
        )
        self.code = code


class UnknownGroup(LookupError):
    """No group has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no group {name!r}; those there are: {', '.join(sorted(_groups()))}")
        self.name = name


class Directory:
    """All regions of one list. Immutable; what it computes it remembers.

    A region that was split, merged or renumbered stays in the list with its last day, `valid_to`: facts name it for
    ever. Whoever came of it names it among its `predecessors`. Who lost a part to a new region has no last day and goes
    on under its code: what it holds is still its own (docs/adr/0021).
    """

    __slots__ = ("_by_code", "_changes", "_children", "_closures", "_governments", "_lineages", "_successors")

    def __init__(self, regions: Iterable[Region]) -> None:
        """Raises ValueError when a code stands twice."""
        by_code: dict[str, Region] = {}
        for region in regions:
            if region.code in by_code:
                raise ValueError(f"the code {region.code} stands twice in the list of regions")
            by_code[region.code] = region
        self._by_code: Mapping[str, Region] = by_code
        self._children = _children(by_code)
        self._closures: dict[str, frozenset[str]] = {}
        self._successors: dict[str, list[str]] = {}
        for region in by_code.values():
            for earlier in self._ended(region):
                self._successors.setdefault(earlier, []).append(region.code)
        self._lineages: dict[str, set[str]] = {}
        for earlier in self._successors:
            self._lineages.setdefault(self.successor(earlier), set()).add(earlier)
        changes = {region.valid_from for region in by_code.values() if region.valid_from}
        changes |= {region.valid_to + timedelta(days=1) for region in by_code.values() if region.valid_to}
        self._changes: Sequence[date] = sorted({date.min, *changes})
        """Days from which on the list is another one."""
        self._governments: dict[tuple[str | None, date], Mapping[Kind, Sequence[str]]] = {}

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The list in `path`, by default the committed one. Raises ValueError naming the line that cannot be read."""
        path = path or DATA / "regions.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows, None)  # the names of the columns
            return cls(_parsed(rows, path.name))

    def __len__(self) -> int:
        return len(self._by_code)

    def __iter__(self) -> Iterator[Region]:
        return iter(self._by_code.values())

    def find(self, code: str) -> Region | None:
        """The region, or None."""
        return self._by_code.get(code)

    def get(self, code: str) -> Region:
        """The region. Raises UnknownRegion."""
        region = self._by_code.get(code)
        if region is None:
            raise UnknownRegion(code)
        return region

    def closure(self, code: str) -> frozenset[str]:
        """The region, all that lie in it, and all that any of these came from. Raises UnknownRegion.

        A predecessor's other parts are not in it: after a split they belong to somebody else.
        """
        known = self._closures.get(code)
        if known is None:
            known = self._closures[code] = self._reach(self.get(code))
        return known

    def containing(self, code: str) -> frozenset[str]:
        """Those in whose closure this code is: itself and its successors, and whatever lies above any of them."""
        reached: set[str] = set()
        pending = [code]
        while pending:  # first along time ...
            reached.update(pending)
            later = {code for earlier in pending for code in self._successors.get(earlier, ())}
            pending = list(later - reached)
        for member in tuple(reached):  # ... then upwards: who was above a predecessor is not above what came of it
            region = self.find(member)
            while region and (above := _parent(region, self._by_code)):
                reached.add(above)
                region = self.find(above)
        return frozenset(reached)

    def ended(self, code: str) -> bool:
        """Whether this is a region that is no more."""
        known = self._by_code.get(code)
        return known is not None and known.valid_to is not None

    def successor(self, code: str) -> str:
        """The code that a renumbered region has now; of a region that was split, and of all others, their own."""
        return self.onward(code)[-1]

    def onward(self, code: str) -> Sequence[str]:
        """The code, and those that the region got by being renumbered since, in their order."""
        codes = [code]
        while len(later := self._successors.get(codes[-1], ())) == 1 and later[0] not in codes:
            codes.append(later[0])
        return codes

    def lineage(self, code: str) -> frozenset[str]:
        """The code, and all that the region had before it was renumbered, or its parts before they merged."""
        return frozenset({code, *self._lineages.get(code, ())})

    def groups_of(self, code: str) -> frozenset[str]:
        """The names of the groups that it is a member of, now or under a code that it had."""
        return frozenset(name for name, members in _groups().items() if not members.isdisjoint(self.lineage(code)))

    def group(self, name: str) -> frozenset[str]:
        """The members of a named group, also under the codes that they have now. Raises UnknownGroup."""
        group = _groups().get(name)
        if group is None:
            raise UnknownGroup(name)
        return group | {self.successor(code) for code in group}

    def governments(self, province: str | None = None, *, on: date) -> Mapping[Kind, Sequence[str]]:
        """Who governs themselves that day, by code, per kind and sorted: of the nation, or of a province and its parts.

        Jakarta's six parts are not among them: 546 of the 552 in the committed list.
        """
        on = self._changes[
            bisect_right(self._changes, on) - 1
        ]  # so that what is remembered does not grow with the days
        known = self._governments.get((province, on))
        if known is None:
            found: dict[Kind, list[str]] = {kind: [] for kind in Kind}
            for region in self:
                if region.governs(on) and province in (None, region.province):
                    found[region.kind].append(region.code)
            known = self._governments[province, on] = {kind: tuple(sorted(codes)) for kind, codes in found.items()}
        return known

    def _ended(self, region: Region) -> list[str]:
        """Of its predecessors, those that are no more; one that the list does not have is not either."""
        earlier = [(code, self._by_code.get(code)) for code in region.predecessors or ()]
        return [code for code, known in earlier if known is None or known.valid_to is not None]

    def _reach(self, region: Region) -> frozenset[str]:
        reached: set[str] = set()
        pending = [region.code]
        while pending:
            code = pending.pop()
            if code not in reached:
                reached.add(code)
                pending.extend(self._children.get(code, ()))
        pending = list(reached)
        while pending:
            before = {p for code in pending if (r := self._by_code.get(code)) for p in self._ended(r)}
            pending = list(before - reached)
            reached.update(pending)
        return frozenset(reached)


class _Group(TypedDict):
    members: list[str]


@cache
def _groups() -> Mapping[str, frozenset[str]]:
    groups: dict[str, _Group] = json.loads((DATA / "groups.json").read_bytes())
    return {name: frozenset(group["members"]) for name, group in groups.items()}


def _children(by_code: Mapping[str, Region]) -> Mapping[str, Sequence[str]]:
    children: dict[str, list[str]] = {}
    for region in by_code.values():
        parent = _parent(region, by_code)
        if parent is not None:
            children.setdefault(parent, []).append(region.code)
    return children


def _parent(region: Region, by_code: Mapping[str, Region]) -> str | None:
    """The nearest region above it: by code inside its province, else the province itself, whatever its code."""
    above = region.code.rpartition(".")[0]
    while above:
        found = by_code.get(above)
        if found is not None and found.province == region.province:
            return above
        above = above.rpartition(".")[0]
    return region.province if region.province != region.code else None


_KINDS: Mapping[str, Kind] = {kind.value: kind for kind in Kind}
_BOOLEANS: Mapping[str, bool] = {"true": True, "false": False}


def _parsed(rows: Iterable[Sequence[str]], file: str) -> Iterator[Region]:
    today = datetime.now(UTC).date()
    for line, row in enumerate(rows, start=2):
        try:
            code, name, kind, province, self_governing, population, area_km2, valid_from, valid_to, predecessors = row
            if valid_to and date.fromisoformat(valid_to) >= today:  # who is no more is so for everybody at once
                raise ValueError(f"{code} has not ended on {valid_to}: deploy this list on the day after")
            yield Region(
                code=code,
                name=name,
                kind=_KINDS[kind],
                province=province,
                self_governing=_BOOLEANS[self_governing],
                population=int(population) if population else None,
                area_km2=Decimal(area_km2) if area_km2 else None,
                valid_from=date.fromisoformat(valid_from) if valid_from else None,
                valid_to=date.fromisoformat(valid_to) if valid_to else None,
                predecessors=tuple(predecessors.split()) if predecessors else None,
            )
        except (ValueError, KeyError, ArithmeticError) as error:
            raise ValueError(f"{file}, line {line} is no region: {error!r}") from error
