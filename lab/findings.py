"""What the demo found, for people: on a terminal, or readable in the log of a build."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from lab.audience import Heard
from lab.commitment import Answered, Signed
from lab.official import Decreed
from lab.readers import Read

DIFFERENCES_SHOWN = 40
KINDS = {"province": ("Provinsi", "provinces"), "regency": ("Kabupaten", "regencies"), "city": ("Kota", "cities")}
MINISTRY_INDEX_2023 = "2.79"


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of standings, as the service answered."""

    kind: str
    rank: int
    region: str
    name: str
    value: str
    shown: str
    predicate: str

    @classmethod
    def of(cls, kind: str, row: Mapping[str, Any]) -> "Standing":
        """From the service's JSON."""
        figure = row["index"]
        return cls(
            kind, row["rank"], row["region"], row["name"] or row["region"], figure["value"], figure["shown"],
            row["predicate"],
        )  # fmt: skip

    @property
    def order(self) -> tuple[Fraction, str]:
        """The highest index first."""
        return -Fraction(self.value), self.region


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it went. Waits run from sending a submission to having its score from Kafka, in seconds."""

    events: int
    seconds: float
    waits: Sequence[float]
    at_once: int


def heading(out: Console, indonesian: str, english: str) -> None:
    """Of a section, in both languages."""
    out.print()
    out.print(f"[bold]{indonesian}[/bold] · {english}", highlight=False)


def show_equality(out: Console, equal: int, of: int, differing: Mapping[str, Sequence[str]]) -> None:
    """The sentence that the demo is for, and every region that is not as published."""
    heading(out, "Skor terhadap hasil yang diterbitkan", "scores against the published results of 2023")
    verdict = f"{equal} of {of} regions equal the published index, domains and predicate"
    out.print(verdict, style="bold green" if equal == of else "bold red", highlight=False, soft_wrap=True)
    out.print(
        "Basis self, level rekonstruksi: level sets that give the published sums, not what the regions answered.",
        style="dim",
        soft_wrap=True,
    )
    for name in sorted(differing)[:DIFFERENCES_SHOWN]:
        out.print(f"  {name}: {'; '.join(differing[name])}", style="red", markup=False, highlight=False, soft_wrap=True)
    if len(differing) > DIFFERENCES_SHOWN:
        out.print(f"  … and {len(differing) - DIFFERENCES_SHOWN} more", style="red")


def show_top(out: Console, rows: Sequence[Standing], *, count: int = 10) -> None:
    """The highest indices of all kinds; the rank is the one inside the kind."""
    heading(out, "Sepuluh tertinggi", f"top {count}, basis self, rekonstruksi")
    table = _table("", "", "index", "predikat", "in its kind")
    for place, row in enumerate(sorted(rows, key=lambda row: row.order)[:count], start=1):
        table.add_row(str(place), escape(row.name), row.shown, row.predicate, f"{KINDS[row.kind][0]} {row.rank}")
    out.print(table)


def show_province(out: Console, rows: Sequence[Standing], *, highlighted: str) -> None:
    """A province and what lies in it, one region pointed at."""
    heading(out, "Jawa Barat", "West Java, basis self, rekonstruksi")
    table = _table("", "", "index", "predikat", "")
    for row in rows:
        pointed = row.region == highlighted
        rank = "" if row.kind == "province" else f"{KINDS[row.kind][0]} {row.rank}"
        style = "bold green" if pointed else None
        table.add_row(rank, escape(row.name), row.shown, row.predicate, "◄" if pointed else "", style=style)
    out.print(table)


def show_nation(out: Console, summary: Mapping[str, Any], bands: Sequence[str]) -> None:
    """The summary of all regions beside what the nation set out to reach."""
    kinds: Mapping[str, Any] = summary["kinds"]
    aims: Sequence[Mapping[str, Any]] = summary["aims"]
    heading(out, "Gambaran nasional terhadap sasaran", "the nation against the aim, basis self, rekonstruksi")
    table = _table("", "index", "sasaran · aim", "Baik +", "sasaran · aim")
    for kind in (kind for kind in KINDS if kind in kinds):
        part = kinds[kind]
        share = Fraction(100 * at_least("Baik", part["predicates"], bands), part["count"])
        aim = _aim(aims, about="share", kind=kind)
        table.add_row(
            f"{part['count']} {KINDS[kind][0]}",
            part["mean"]["shown"],
            "",
            f"{float(share):.1f} %",
            _against(share, aim),
        )
    count = sum(part["count"] for part in kinds.values())
    mean = sum((Fraction(part["mean"]["value"]) * part["count"] for part in kinds.values()), Fraction(0)) / count
    good = sum(at_least("Baik", part["predicates"], bands) for part in kinds.values())
    table.add_section()
    table.add_row(
        f"{count} daerah",
        f"{float(mean):.2f}",
        _against(mean, _aim(aims, about="index", kind=None)),
        f"{100 * good / count:.1f} %",
        "",
    )
    out.print(table)
    for source in dict.fromkeys(aim["source"] for aim in aims):
        out.print(f"Sasaran · aims: {source}", style="dim", markup=False, highlight=False)
    out.print(
        f"The means are computed from these {count} rows. The ministry printed {MINISTRY_INDEX_2023} for 2023; "
        "its printed averages are not the means of its printed rows, for reasons not known.",
        style="dim",
        highlight=False,
    )
    out.print("Tindak lanjut · follow-up rate: not measured yet, it comes with the commitment service.", style="dim")


def show_publication(out: Console, steps: Sequence[tuple[str, str, str]], score: Mapping[str, Any]) -> None:
    """Who did what, where the assessment then stood, and the scores that everybody may see in the end."""
    heading(out, "Menuju publikasi", "Sumedang walked to publication by four roles (simulasi)")
    table = _table("", "", "status")
    for who, what, status in steps:
        table.add_row(escape(who), escape(what), status)
    out.print(table)
    stages = [f"{stage} {told['index']['shown']} {told['predicate']}" for stage, told in score["scores"].items()]
    out.print(
        f"Kini terlihat oleh semua · now seen by everybody, not before: {'; '.join(stages)}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def show_imports(out: Console, decreed: Sequence[Decreed], imports: Sequence[Mapping[str, Any]]) -> None:
    """What was taken over from which decree."""
    heading(out, "Hasil resmi", "official results imported by KemenPANRB, as published, never computed")
    for one, told in zip(decreed, imports, strict=True):
        out.print(
            f"{one.cycle}: {told['rows']} regions and the national average {one.national}, {one.decree}; "
            f"{len(told['warnings'])} names are written otherwise than in our list",
            highlight=False,
            soft_wrap=True,
        )
    out.print("The decrees' numbers are from secondary sources, their dates are made (simulasi).", style="dim")


def show_signed(out: Console, signed: Signed) -> None:
    """The nine signatures, and what anybody finds who verifies the document."""
    heading(
        out,
        "Komitmen bersama Jawa Barat, 12 Juli 2023",
        "signed by nine over HTTP (simulasi: certificates of the lab's authority, of offices only, not for law)",
    )
    table = _table("daerah · region", "jabatan · office", "waktu · time stamp", "utuh · intact", "tepercaya · trusted")
    for one in signed.verified["signatures"]:
        yes = {True: "ya", False: "TIDAK"}
        row = (one["organization_name"], one["office"], one["at"], yes[one["intact"]], yes[one["trusted"]])
        table.add_row(*(escape(str(cell)) for cell in row))
    out.print(table)
    verdicts = {"Verifikasi": signed.verified, "Salinan yang ditambahi · a copy with something added": signed.changed}
    for name, one in verdicts.items():
        out.print(f"{name}: {one['said_id']} · {one['said_en']}", markup=False, highlight=False, soft_wrap=True)
    if signed.pdfsig is None:
        said = "not installed here (poppler-utils)"
    else:
        valid = sum("Signature is Valid" in line for line in signed.pdfsig)
        whole = any("Total document signed" in line for line in signed.pdfsig)
        said = f"{valid} × Signature is Valid; {'Total document signed' if whole else 'NOT the whole document'}"
    out.print(f"pdfsig: {said}", highlight=False)
    out.print(f"Dokumennya · the document: {signed.file}", highlight=False, soft_wrap=True)


def show_answer(out: Console, answered: Answered) -> None:
    """What was pledged and done, and the rate that was asked for."""
    fulfilled = sum(status == "fulfilled" for status in answered.pledges.values())
    heading(out, "Ikrar dan tindak lanjut", "pledges of 3.50 (from official results) and follow-ups (simulasi)")
    out.print(f"Ikrar terpenuhi · pledges fulfilled: {fulfilled} of {len(answered.pledges)}", highlight=False)
    for title in answered.followups:
        out.print(f"  {title}", markup=False, highlight=False)
    for name, english, funnel in (
        ("Jawaban atas komitmen ini", "what came of this commitment", answered.funnel),
        ("Jawaban atas kunjungan ke Sumedang", "what came of the visits to Sumedang", answered.visitors),
    ):
        heading(out, name, english)
        for indonesian, said in zip(funnel["said_id"], funnel["said_en"], strict=True):
            out.print(f"  {indonesian}", markup=False, highlight=False, soft_wrap=True)
            out.print(f"  {said}", style="dim", markup=False, highlight=False, soft_wrap=True)


def show_year_on_year(
    out: Console, before: Mapping[str, Standing], after: Mapping[str, Standing], *, highlighted: str
) -> None:
    """A province's official indices in two years under one instrument, the greatest gain first."""
    heading(out, "Jawa Barat, 2023 ke 2024", "West Java year on year, basis official")
    table = _table("", "2023", "2024", "selisih", "predikat", "")
    gains = {code: Fraction(row.value) - Fraction(before[code].value) for code, row in after.items() if code in before}
    for code, gain in sorted(gains.items(), key=lambda pair: -pair[1]):
        pointed = code == highlighted
        row, style = after[code], "bold green" if pointed else None
        steps = " → ".join(dict.fromkeys((before[code].predicate, row.predicate)))  # one, where it stayed
        figures = (before[code].shown, row.shown, f"{float(gain):+.2f}")
        table.add_row(escape(row.name), *figures, steps, "◄" if pointed else "", style=style)
    out.print(table)
    better = sum(gain > 0 for gain in gains.values())
    out.print(f"{better} of {len(gains)} rose.", highlight=False)


def show_comparison(out: Console, comparison: Mapping[str, Any]) -> None:
    """Regions side by side: index and domains, and how far the others are from the first."""
    regions: Sequence[Mapping[str, Any]] = comparison["regions"]
    first = regions[0]["name"]
    heading(out, f"{first} di samping yang lain", f"{first} beside others, {comparison['cycle']}, basis official")
    table = _table("", *(region["name"] for region in regions))
    names = ["index", *(f"domain_{number}" for number in regions[0]["domains"])]
    for name in names:
        cells = [_part_of(region, name)["shown"] for region in regions]
        apart = [_part_of(region["against_first"], name) for region in regions[1:]]
        table.add_row(name, cells[0], *(f"{cell}  ({gap})" for cell, gap in zip(cells[1:], apart, strict=True)))
    table.add_row("predikat", *(region["predicate"] for region in regions))
    out.print(table)


def _part_of(region: Mapping[str, Any], name: str) -> Any:
    layer, _, number = name.partition("_")
    return region[f"{layer}s"][number] if number else region[layer]


def show_disagreement(out: Console, portrait: Mapping[str, Any]) -> None:
    """The Lab's own figure beside the decreed one, per cycle; never hidden."""
    for cycle in portrait["cycles"]:
        if told := cycle["disagreement"]:
            out.print(
                f"{portrait['name']} {cycle['period']}: resmi · official {told['official']['shown']}, "
                f"Lab ({told['basis']}, simulasi) {told['own']['shown']}, selisih · difference {told['difference']}",
                highlight=False,
                soft_wrap=True,
            )


def show_audience(out: Console, all_heard: Sequence[Heard]) -> None:
    """Who heard how much, and how soon."""
    heading(out, "Kementerian dan provinsi mendengar", "ministries and a province hear of it, by signed webhooks")
    shown = _table("organisasi", "peristiwa · events", "berulang · repeated", "ditolak · refused", "p50", "p99")
    for heard in all_heard:
        p50, p99 = (f"{percentile(heard.waits, percent):.2f} s" for percent in (50, 99))
        shown.add_row(heard.organization, str(heard.events), str(heard.repeated), str(heard.refused), p50, p99)
    out.print(shown)
    out.print(
        "p50, p99: submit → received. The receiver of 32 was down while the regions reported, and caught up; that of "
        "kemenpanrb was sent a forged message, and refused it.",
        highlight=False,
        soft_wrap=True,
    )


def show_readers(out: Console, read: Read) -> None:
    """Live, in an inbox, by e-mail."""
    heading(out, "Pembina di Kemendagri membaca", "supervisors at Kemendagri read of it")
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    shown.add_row("layar · live stream", f"{read.on_screen} nilai Jawa Barat · scores of West Java, as they came")
    shown.add_row("kotak masuk · inbox", f"{read.unread} belum dibaca · unread; {read.latest[0]}")
    shown.add_row("surel · e-mail", read.letter)
    out.print(shown)


def show_pace(out: Console, pace: Pace) -> None:
    """Rates and waits of this run; `make bench` measures."""
    heading(out, "Laju", "pace of this run")
    out.print(
        f"{pace.events:,} events in {pace.seconds:.1f} s: {pace.events / pace.seconds:,.0f} events per second, "
        f"while {pace.at_once} regions at a time opened, filled and sent",
        highlight=False,
        soft_wrap=True,
    )
    out.print(
        f"submit → score, from the request sent to the score read from Kafka: "
        f"p50 {1000 * percentile(pace.waits, 50):.0f} ms, p99 {1000 * percentile(pace.waits, 99):.0f} ms",
        highlight=False,
        soft_wrap=True,
    )


def at_least(predicate: str, predicates: Mapping[str, int], bands: Sequence[str]) -> int:
    """How many have `predicate` or a better one. `bands` are ordered from the best down."""
    return sum(predicates.get(band, 0) for band in bands[: bands.index(predicate) + 1])


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` % of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _aim(aims: Sequence[Mapping[str, Any]], *, about: str, kind: str | None) -> Mapping[str, Any] | None:
    return next((aim for aim in aims if aim["about"] == about and aim["kind"] == kind), None)


def _against(value: Fraction, aim: Mapping[str, Any] | None) -> str:
    if aim is None:
        return ""
    wanted = Fraction(aim["value"])
    unit = " %" if aim["about"] == "share" else ""
    return f"{aim['value']}{unit} by {aim['due_year']}: {'reached' if value >= wanted else 'not yet'}"


def _table(*columns: str) -> Table:
    return Table(*(Column(name, justify="right" if name == "index" else "left") for name in columns), box=None)
