"""Official results as KemenPANRB published them: judged row by row, changed in nothing, computed in nothing. Pure.

A row that names a region is its result; one that says `nasional` is a published average, kept as it was printed: it is
not the mean of the printed rows (domain notes of 2023 and 2024: differences of a few hundredths, cause unknown).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

from chassis.table import Remark, Where
from contracts.assessment import CycleOpened
from contracts.fact import Frozen
from contracts.regions import Directory, Kind, Region
from contracts.scoring import Figure, OfficialScore
from services.scoring.domain.score import Instrument, figure, predicate

REMARKS_MAX = 50
"""Of each sort: who has more to mend has the wrong file."""
ROWS_MAX = 2_000
"""Nearly four times the governments that there are."""
NATIONAL = frozenset({"nasional", "nation"})
SHOWN_MAX_CHARS = 40
_NUMBER = re.compile(r"[0-9]{1,2}(\.[0-9]{1,10})?", re.ASCII)
_LAYER = re.compile(r"(domain|aspect)_([0-9]{1,3})", re.ASCII)
_KINDS = {
    "province": Kind.PROVINCE, "provinsi": Kind.PROVINCE, "pemerintah provinsi": Kind.PROVINCE,
    "regency": Kind.REGENCY, "kabupaten": Kind.REGENCY, "pemerintah kabupaten": Kind.REGENCY,
    "city": Kind.CITY, "kota": Kind.CITY, "pemerintah kota": Kind.CITY,
}  # fmt: skip
_NOT_OF_A_NAME = re.compile(r"^(pemerintah )?(provinsi|kabupaten|kota|daerah (khusus ibukota|istimewa)) |[^a-z]")


@dataclass(frozen=True, slots=True)
class Row:
    """A line as it was sent: field → its text and place. Fields are those of `FIELDS`, domain_1 …, aspect_1 …"""

    where: Where
    cells: Mapping[str, tuple[str, Where]]


class Result(Frozen):
    """One region's result: figures as text, as they were sent."""

    region: str
    index: str
    predicate: str | None
    domains: dict[int, str]
    aspects: dict[int, str]


class Average(Frozen):
    """A published average: of a kind, or of all (null)."""

    kind: Kind | None
    index: str


@dataclass(slots=True)
class Judged:
    """What a table comes to. With a fault nothing of it is to be written."""

    results: list[Result] = field(default_factory=list[Result])
    averages: list[Average] = field(default_factory=list[Average])
    faults: list[Remark] = field(default_factory=list[Remark])
    warnings: list[Remark] = field(default_factory=list[Remark])

    @property
    def hopeless(self) -> bool:
        """More faults are not looked for."""
        return len(self.faults) >= REMARKS_MAX


FIELDS = ("code", "year", "name", "kind", "province", "index", "predicate")


def known_field(name: str, instrument: Instrument) -> bool:
    """Whether a table under this instrument may have such a field."""
    layer = _LAYER.fullmatch(name)
    if layer is None:
        return name in FIELDS
    return int(layer[2]) in (instrument.domains if layer[1] == "domain" else instrument.aspects)


def judge(
    rows: Iterable[Row], *, cycle: CycleOpened, instrument: Instrument, directory: Directory, judged: Judged
) -> None:
    """Add what the rows come to. Ends early at REMARKS_MAX faults or ROWS_MAX rows."""
    bench = _Bench(cycle, instrument, directory, judged)
    for count, row in enumerate(rows, start=1):
        if count > ROWS_MAX:
            bench.fault(
                row.where, "too_many_rows", f"more than {ROWS_MAX} rows; there are not that many governments",
                f"lebih dari {ROWS_MAX} baris; pemerintah daerah tidak sebanyak itu",
            )  # fmt: skip
        if judged.hopeless or count > ROWS_MAX:
            return
        bench.judge(row)
    if not (judged.results or judged.averages or judged.faults):
        bench.fault(Where("code"), "nothing", "there is not one row", "tidak ada satu baris pun")


def check_decree(decree: str, decided: date, *, cycle: CycleOpened, today: date) -> list[Remark]:
    """What is wrong with a decree: its text and its date."""
    faults: list[Remark] = []
    # Its first character: the decree stands in exports, where a spreadsheet would take "=…" for a formula.
    if not decree[:1].isalnum() or not decree.isprintable():
        faults.append(
            Remark(
                Where("decree"), "no_decree", "name the decree, such as Keputusan Menteri PANRB Nomor 13 Tahun 2024",
                "sebutkan keputusannya, misalnya Keputusan Menteri PANRB Nomor 13 Tahun 2024",
            )
        )  # fmt: skip
    if decided > today:
        faults.append(
            Remark(
                Where("decree_date"), "in_the_future", f"{decided} has not come yet; today is {today}",
                f"{decided} belum tiba; hari ini {today}",
            )
        )  # fmt: skip
    elif decided < date(cycle.period, 1, 1):
        faults.append(
            Remark(
                Where("decree_date"), "before_the_cycle", f"{decided} is before the year of the cycle, {cycle.period}",
                f"{decided} sebelum tahun siklus, {cycle.period}",
            )
        )  # fmt: skip
    return faults


def official_score(
    result: Result, *, cycle: CycleOpened, instrument: Instrument, decree: str, decree_date: date
) -> OfficialScore:
    """As it is published. Where no predicate was stated, it is the band of the index by the cycle's rule."""
    of_band = predicate(Fraction(result.index), instrument, cycle.predicate_basis)
    return OfficialScore(
        index=figure(Fraction(result.index)),
        predicate=result.predicate or of_band,
        predicate_stated=result.predicate is not None,
        domains=_figures(result.domains),
        aspects=_figures(result.aspects),
        decree=decree,
        decree_date=decree_date,
    )


def _figures(texts: Mapping[int, str]) -> dict[int, Figure]:
    return {number: figure(Fraction(text)) for number, text in sorted(texts.items())}


@dataclass(slots=True)
class _Bench:
    """Judges rows one after the other, and remembers which regions it has seen."""

    cycle: CycleOpened
    instrument: Instrument
    directory: Directory
    judged: Judged
    seen: dict[str, Where] = field(default_factory=dict[str, Where])

    def judge(self, row: Row) -> None:
        before = len(self.judged.faults)
        code, where = row.cells.get("code", ("", Where(f"{row.where.field}code", row.where.line, 1)))
        self._year(row)
        kind = self._kind(row)
        index = self._figure(row, "index", required=True)
        layers = {name: number for name in row.cells if _LAYER.fullmatch(name) and (number := self._figure(row, name))}
        stated = self._predicate(row)
        national = code.lower() in NATIONAL
        first = self.seen.setdefault(f"nasional {kind or ''}" if national else code, where)
        if first is not where:
            at = f"line {first.line}" if first.line else first.field
            self.fault(where, "repeated", f"{shown(code)} stands twice, first at {at}",
                       f"{shown(code)} ada dua kali, pertama di {at}")  # fmt: skip
        region = None if national else self._region(code, kind, where)
        if len(self.judged.faults) > before or index is None:
            return
        if region is None:
            self.judged.averages.append(Average(kind=kind, index=index))
            if layers or stated:
                self._warning(where, "index_alone", "of an average the index alone is kept",
                              "dari rata-rata hanya indeks yang disimpan")  # fmt: skip
            return
        self._warn(row, region, index, stated)
        numbered = {(layer[1], int(layer[2])): text for name, text in layers.items() if (layer := _LAYER.match(name))}
        self.judged.results.append(
            Result(
                region=region.code,
                index=index,
                predicate=stated,
                domains={number: text for (layer, number), text in numbered.items() if layer == "domain"},
                aspects={number: text for (layer, number), text in numbered.items() if layer == "aspect"},
            )
        )

    def fault(self, where: Where, code: str, message: str, message_id: str) -> None:
        if not self.judged.hopeless:
            self.judged.faults.append(Remark(where, code, message, message_id))

    def _region(self, code: str, kind: Kind | None, where: Where) -> Region | None:
        region = self.directory.find(code)
        if region is None:
            self.fault(where, "unknown_region", f"there is no region {shown(code)}; codes are text, such as 32.11",
                       f"tidak ada daerah {shown(code)}; kode ditulis sebagai teks, misalnya 32.11")  # fmt: skip
        elif not region.self_governing:
            self.fault(where, "not_a_government", f"{region.name} has no government of its own, hence no result",
                       f"{region.name} bukan pemerintah daerah tersendiri, jadi tidak memiliki hasil")  # fmt: skip
        elif kind not in (None, region.kind):
            self.fault(where, "other_kind", f"{code} is {region.name}; its kind is {region.kind}, not {kind}",
                       f"{code} adalah {region.name}; jenisnya {region.kind}, bukan {kind}")  # fmt: skip
        return region

    def _year(self, row: Row) -> None:
        text, where = row.cells.get("year", ("", row.where))
        if text and text != str(self.cycle.period):
            self.fault(where, "other_year", f"{shown(text)} is not the year of the cycle, {self.cycle.period}",
                       f"{shown(text)} bukan tahun siklus, {self.cycle.period}")  # fmt: skip

    def _kind(self, row: Row) -> Kind | None:
        text, where = row.cells.get("kind", ("", row.where))
        if text and text.lower() not in _KINDS:
            self.fault(where, "unknown_kind", f"{shown(text)} is none of provinsi, kabupaten, kota",
                       f"{shown(text)} bukan provinsi, kabupaten, atau kota")  # fmt: skip
        return _KINDS.get(text.lower())

    def _figure(self, row: Row, name: str, *, required: bool = False) -> str | None:
        text, where = row.cells.get(name, ("", row.where))
        if not text:
            if required:
                self.fault(where, "missing", f"{name} is missing", f"{name} belum diisi")
            return None
        if not _NUMBER.fullmatch(text) or not self.instrument.lowest <= Fraction(text) <= self.instrument.highest:
            scale = f"{self.instrument.lowest} to {self.instrument.highest}"
            skala = f"{self.instrument.lowest} sampai {self.instrument.highest}"
            self.fault(where, "not_a_figure", f"{shown(text)} is not a figure from {scale} with at most 10 decimals",
                       f"{shown(text)} bukan angka {skala} dengan paling banyak 10 desimal")  # fmt: skip
            return None
        return text

    def _predicate(self, row: Row) -> str | None:
        text, where = row.cells.get("predicate", ("", row.where))
        named = {name.lower(): name for name, _ in self.instrument.bands}
        if text and text.lower() not in named:
            self.fault(where, "unknown_predicate", f"{shown(text)} is none of {', '.join(named.values())}",
                       f"{shown(text)} bukan salah satu dari {', '.join(named.values())}")  # fmt: skip
        return named.get(text.lower())

    def _warn(self, row: Row, region: Region, index: str, stated: str | None) -> None:
        name, where = row.cells.get("name", ("", row.where))
        if name and _bare(name) != _bare(region.name):
            self._warning(where, "name_differs", f"{region.code} is {region.name} in our list, here {shown(name)}",
                          f"{region.code} adalah {region.name} dalam daftar kami, di sini {shown(name)}")  # fmt: skip
        of_band = predicate(Fraction(index), self.instrument, self.cycle.predicate_basis)
        if stated not in (None, of_band):
            where = row.cells["predicate"][1]
            self._warning(where, "predicate_differs", f"by the cycle's rule {index} is {of_band}; kept as published",
                          f"menurut aturan siklus {index} adalah {of_band}; disimpan seperti diterbitkan")  # fmt: skip

    def _warning(self, where: Where, code: str, message: str, message_id: str) -> None:
        if len(self.judged.warnings) < REMARKS_MAX:
            self.judged.warnings.append(Remark(where, code, message, message_id))


def shown(text: str) -> str:
    """Somebody's own words, short and on one line."""
    return repr(text if len(text) <= SHOWN_MAX_CHARS else f"{text[:SHOWN_MAX_CHARS]}…")


def _bare(name: str) -> str:
    return re.sub(r"[^a-z]", "", _NOT_OF_A_NAME.sub("", name.lower()))
