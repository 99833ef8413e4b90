"""A table of study visits, read into what somebody could have entered one by one."""

import re
from collections.abc import Iterator
from datetime import date

from chassis.table import NotCsv, Remark, Table, Where, missing_column, wrong_width
from contracts.regions import Directory
from services.commitment.domain.organization import is_organization
from services.commitment.domain.visit import MET_MAX, Asked

CSV_MAX_BYTES = 1_000_000
ROWS_MAX = 2_000
FAULTS_MAX = 50
"""Who has more to mend has the wrong file."""
_ALIASES = {"pengunjung": "organization", "tuan_rumah": "host", "tanggal": "visited_on", "perihal": "subject",
            "ditemui": "met"}  # fmt: skip
_NEEDED = ("organization", "host", "visited_on", "subject")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def of_csv(content: bytes, *, directory: Directory, today: date, faults: list[Remark]) -> Iterator[Asked]:
    """Rows without a fault. Whatever is wrong is added to `faults`, with its place."""
    try:
        yield from _rows(content, directory=directory, today=today, faults=faults)
    except NotCsv as unreadable:
        faults.append(unreadable.remark)


def _rows(content: bytes, *, directory: Directory, today: date, faults: list[Remark]) -> Iterator[Asked]:
    lines = iter(Table(content, max_bytes=CSV_MAX_BYTES))
    names = [_ALIASES.get(name.strip().lower(), name.strip().lower()) for name in next(lines, (1, []))[1]]
    faults += [missing_column(needed) for needed in _NEEDED if needed not in names]
    if faults:
        return
    for count, (line, texts) in enumerate(lines, start=1):
        if count > ROWS_MAX:
            faults.append(
                Remark(Where("", line, 1), "too_many_rows", f"more than {ROWS_MAX} rows; send them in parts",
                       f"lebih dari {ROWS_MAX} baris; kirim bertahap")
            )  # fmt: skip
        if len(faults) >= FAULTS_MAX or count > ROWS_MAX:
            return
        if len(texts) != len(names):
            faults.append(wrong_width(line, len(texts), len(names)))
            continue
        row = {name: (text.strip(), column) for column, (name, text) in enumerate(zip(names, texts, strict=True), 1)}
        before = len(faults)
        faults += _faults_of(row, line, directory=directory, today=today)
        if len(faults) == before:
            met = row.get("met", ("", 0))[0]
            yield Asked(
                organization=row["organization"][0],
                host=row["host"][0],
                visited_on=date.fromisoformat(row["visited_on"][0]),
                subject=row["subject"][0],
                met=tuple(name.strip() for name in met.split("|") if name.strip()),
            )


def _faults_of(row: dict[str, tuple[str, int]], line: int, *, directory: Directory, today: date) -> Iterator[Remark]:
    for name in ("organization", "host"):
        text, column = row[name]
        if not is_organization(text, directory):
            yield Remark(
                Where(name, line, column), "unknown_organization", "no region's code, and no institution's slug",
                "bukan kode daerah, bukan pula kode lembaga",
            )  # fmt: skip
    if row["organization"][0] == row["host"][0]:
        yield Remark(
            Where("host", line, row["host"][1]), "visits_itself", "visitor and host are the same",
            "pengunjung dan tuan rumah sama",
        )  # fmt: skip
    text, column = row["visited_on"]
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or day > today:
        yield Remark(
            Where("visited_on", line, column), "not_a_day", "not a day that has come, as 2022-11-21",
            "bukan tanggal yang sudah lewat, seperti 2022-11-21",
        )  # fmt: skip
    text, column = row["subject"]
    if not 3 <= len(text) <= 300:
        yield Remark(
            Where("subject", line, column), "wrong_length", "between 3 and 300 characters", "antara 3 dan 300 karakter"
        )  # fmt: skip
    text, column = row.get("met", ("", 0))
    if text.count("|") >= MET_MAX or len(text) > 2_000:
        yield Remark(
            Where("met", line, column), "too_many", f"at most {MET_MAX} persons, separated by |",
            f"paling banyak {MET_MAX} orang, dipisahkan |",
        )  # fmt: skip
