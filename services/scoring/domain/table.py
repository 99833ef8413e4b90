"""Two forms of a table of official results, read into the same rows: CSV, and the records of the national API.

The API's records are those of the national results service: `kode, tahun, nama_instansi, kategori, daerah` and
`nilai` with D2001 … (domains), A2001 … (aspects) and `indeks` (docs/start-ministry.md).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from chassis.table import NotCsv, Remark, Table, Where, missing_column, wrong_width
from services.scoring.domain.official import Judged, Row, known_field, shown
from services.scoring.domain.score import Instrument

CSV_MAX_BYTES = 1_000_000
"""Ten times a table of all governments."""
ALIASES = {
    "kode": "code", "tahun": "year", "nama": "name", "nama_instansi": "name", "kategori": "kind", "jenis": "kind",
    "daerah": "province", "indeks": "index", "predikat": "predicate",
}  # fmt: skip
_LAYER_CODE = re.compile(r"([da])20([0-9]{2})", re.ASCII | re.IGNORECASE)
_LAYER_NAME = re.compile(r"(domain|aspect)_([0-9]{1,3})", re.ASCII)
_LAYERS = {"d": "domain", "a": "aspect"}
_DECIMAL_COMMA = re.compile(r"([0-9]{1,2}),([0-9]{1,10})", re.ASCII)


Text = Annotated[str, WithJsonSchema({"type": ["string", "number"]})]


class Record(BaseModel):
    """A record of the national API. Figures are numbers or text; as text every decimal survives."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    kode: str = Field(max_length=16, examples=["32.11"])
    tahun: Annotated[Text, Field(max_length=4, examples=[2023])]
    nama_instansi: str = Field(default="", max_length=200, examples=["Kabupaten Sumedang"])
    kategori: str = Field(default="", max_length=40, examples=["Kabupaten"])
    daerah: str = Field(default="", max_length=200, examples=["Jawa Barat"])
    nilai: dict[str, Text] = Field(max_length=40, examples=[{"D2001": "5.00", "indeks": "4.14"}])


def of_records(records: Sequence[Record], instrument: Instrument, judged: Judged) -> Iterator[Row]:
    """Rows of the API's records; places are paths such as 3.nilai.indeks."""
    for position, record in enumerate(records):
        if judged.hopeless:
            return
        texts = {
            "kode": record.kode, "tahun": record.tahun, "nama_instansi": record.nama_instansi,
            "kategori": record.kategori, "daerah": record.daerah,
            **{f"nilai.{name}": text for name, text in record.nilai.items()},
        }  # fmt: skip
        cells: dict[str, tuple[str, Where]] = {}
        for name, text in texts.items():
            where = Where(f"{position}.{name}")
            field = _field(name.removeprefix("nilai."))
            if not known_field(field, instrument) or field in cells:
                judged.faults.append(_unknown_field(where, name))
            cells[field] = (text.strip(), where)
        yield Row(Where(f"{position}."), cells)


def of_csv(content: bytes, instrument: Instrument, judged: Judged) -> Iterator[Row]:
    """Rows of a table whose first line names its columns; delimited by comma, semicolon or tab.

    After a semicolon a comma may be the decimal sign, as spreadsheets write it in Indonesia. Adds the faults of the
    form; the rows' are for `judge`.
    """
    try:
        yield from _rows(content, instrument, judged)
    except NotCsv as unreadable:
        judged.faults.append(unreadable.remark)


def _rows(content: bytes, instrument: Instrument, judged: Judged) -> Iterator[Row]:
    table = Table(content, max_bytes=CSV_MAX_BYTES)
    lines = iter(table)
    names = _names(next(lines, (1, []))[1], instrument, judged)
    for line, texts in lines:
        if judged.hopeless:
            return
        if len(texts) != len(names):
            judged.faults.append(wrong_width(line, len(texts), len(names)))
        else:
            yield Row(Where("", line, 1), _row(line, names, texts, decimal_comma=table.delimiter == ";"))


def _names(heading: Sequence[str], instrument: Instrument, judged: Judged) -> list[str]:
    names = [_field(name) for name in heading]
    for column, name in enumerate(names, start=1):
        if not known_field(name, instrument) or name in names[: column - 1]:
            judged.faults.append(_unknown_field(Where(shown(name), 1, column), name))
        if judged.hopeless:
            break
    for needed in ("code", "index"):
        if needed not in names:
            judged.faults.append(missing_column(needed))
    return names


def _row(line: int, names: Sequence[str], texts: Sequence[str], *, decimal_comma: bool) -> dict[str, tuple[str, Where]]:
    cells: dict[str, tuple[str, Where]] = {}
    for column, (name, raw) in enumerate(zip(names, texts, strict=True), start=1):
        text = raw.strip()
        if decimal_comma and (number := _DECIMAL_COMMA.fullmatch(text)):
            text = f"{number[1]}.{number[2]}"
        cells[name] = (text, Where(name, line, column))
    return cells


def _field(name: str) -> str:
    plain = name.strip().lower()
    if layer := _LAYER_CODE.fullmatch(plain) or _LAYER_NAME.fullmatch(plain):  # domain_01 is domain_1, and D2001 too
        return f"{_LAYERS[layer[1][0]]}_{int(layer[2])}"
    return ALIASES.get(plain, plain)


def _unknown_field(where: Where, name: str) -> Remark:
    return Remark(
        where, "unknown_column", f"{shown(name)} is no field of this instrument's results, or stands twice",
        f"{shown(name)} bukan isian hasil instrumen ini, atau ada dua kali",
    )  # fmt: skip
