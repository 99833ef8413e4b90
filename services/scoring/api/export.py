"""All that is public of a cycle, for whoever reckons on: CSV and JSON lines, streamed, described as CSV on the Web.

https://www.w3.org/TR/tabular-metadata/: the metadata name every column, its meaning, its type, and the licence.
"""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Sequence
from typing import Any

import orjson
from fastapi.responses import Response, StreamingResponse

from chassis.body import CSV
from chassis.openapi import routes
from chassis.problems import problems
from chassis.store import Document
from contracts.assessment import CycleOpened
from contracts.regions import Directory
from contracts.scoring import Basis
from services.scoring.api.parameters import CyclePath, InstrumentStore, Regions, ScoreStore
from services.scoring.domain.score import Instrument
from services.scoring.store.scores import Scores, levels_of
from services.scoring.usecases import read

router = routes("scoring")

PAGE = 200
LICENSE = "https://creativecommons.org/licenses/by/4.0/"
"""Of what the Lab adds. Official results are KemenPANRB's: cite the decree beside them."""
JSON_LINES = "application/x-ndjson"
CSV_METADATA = "application/csvm+json"
_FIXED: dict[str, tuple[str, str, str]] = {
    "region": ("string", "Kode Kemendagri sebagai teks, atau nasional: rata-rata yang diterbitkan",
               "Kemendagri code, text (11.10 is not 11.1), or nasional: a published average"),
    "name": ("string", "Nama daerah", "Name of the region"),
    "kind": ("string", "province, regency, atau city", "province, regency or city"),
    "province": ("string", "Kode provinsi", "Code of the province"),
    "cycle": ("string", "Siklus penilaian", "Cycle"),
    "period": ("integer", "Tahun", "Year"),
    "instrument": ("string", "Instrumen; jangan bandingkan antarinstrumen", "Instrument; do not compare across them"),
    "basis": ("string", "Dasar skor: tahap penilaian (hitungan Lab) atau official (keputusan KemenPANRB)",
              "What the score rests on: a stage (computed by the Lab) or official (decreed by KemenPANRB)"),
    "index": ("decimal", "Indeks, hingga 10 desimal", "Index, up to 10 decimals"),
    "index_shown": ("decimal", "Indeks, dua desimal, dibulatkan setengah ke atas", "Index, two decimals, half up"),
    "predicate": ("string", "Predikat", "Predicate"),
    "decree": ("string", "Keputusan, bila resmi", "Decree, of official results"),
    "decree_date": ("date", "Tanggal keputusan", "Date of the decree"),
    "as_of": ("datetime", "Saat fakta sumbernya", "Time of the fact that it follows from"),
}  # fmt: skip
_OF_THE_DOCUMENT = ("region", "kind", "province", "cycle", "period", "instrument")
_LAYERS: dict[str, tuple[str, str, str]] = {
    "domain": ("decimal", "Indeks domain {number} dari {instrument}", "Index of domain {number} of {instrument}"),
    "aspect": ("decimal", "Indeks aspek {number} dari {instrument}", "Index of aspect {number} of {instrument}"),
    "indicator": (
        "decimal",
        "Tingkat indikator {number} dari {instrument}",
        "Level of indicator {number} of {instrument}",
    ),
}


@router.get(
    "/exports/{cycle}.csv",
    responses=problems(422, 429, 503) | {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
    response_class=StreamingResponse,
)
async def export_csv(
    cycle: CyclePath, scores: ScoreStore, instruments: InstrumentStore, directory: Regions
) -> StreamingResponse:
    """Everything public of a cycle as CSV: a row per region and basis. Described by `….csv-metadata.json`."""
    opened = await read.opened(cycle, instruments=instruments)
    columns = list(_columns(await instruments.get(opened.instrument)))

    async def lines() -> AsyncGenerator[str]:
        yield _csv_line(columns)
        async for page in _pages(cycle, scores):
            yield "".join(_csv_line([row.get(name, "") for name in columns]) for row in _rows(page, directory))
        averages = _averages(await scores.averages(cycle), opened)
        yield "".join(_csv_line([row.get(name, "") for name in columns]) for row in averages)

    return _streamed(lines(), f"{CSV}; charset=utf-8", f"{cycle}.csv")


@router.get(
    "/exports/{cycle}.jsonl",
    responses=problems(422, 429, 503) | {200: {"content": {JSON_LINES: {"schema": {"type": "string"}}}}},
    response_class=StreamingResponse,
)
async def export_json_lines(
    cycle: CyclePath, scores: ScoreStore, instruments: InstrumentStore, directory: Regions
) -> StreamingResponse:
    """The same as JSON lines: an object per region and basis, with the columns of the CSV."""
    opened = await read.opened(cycle, instruments=instruments)

    async def lines() -> AsyncGenerator[bytes]:
        async for page in _pages(cycle, scores):
            yield b"".join(orjson.dumps(row) + b"\n" for row in _rows(page, directory))
        yield b"".join(orjson.dumps(row) + b"\n" for row in _averages(await scores.averages(cycle), opened))

    return _streamed(lines(), JSON_LINES, f"{cycle}.jsonl")


@router.get(
    "/exports/{cycle}.csv-metadata.json",
    responses=problems(422, 429, 503) | {200: {"content": {CSV_METADATA: {"schema": {"type": "object"}}}}},
    response_class=Response,
)
async def export_metadata(cycle: CyclePath, instruments: InstrumentStore) -> Response:
    """What each column means, and under which licence: W3C's metadata for CSV on the Web."""
    opened = await read.opened(cycle, instruments=instruments)
    described = _metadata(opened, await instruments.get(opened.instrument))
    return Response(orjson.dumps(described), media_type=CSV_METADATA)


async def _pages(cycle: str, scores: Scores) -> AsyncGenerator[list[Document]]:
    after = ""
    # Page by page, each a query of its own: a slow reader holds no cursor, and memory holds one page.
    while page := await scores.published(cycle, after=after, limit=PAGE):
        yield page
        after = page[-1]["_id"]


def _rows(page: Sequence[Document], directory: Directory) -> Iterator[dict[str, Any]]:
    for document in page:
        region = directory.find(document["region"])
        for basis, score in document["scores"].items():
            if "index" in score:
                yield {
                    **{name: document[name] for name in _OF_THE_DOCUMENT},
                    "name": region.name if region else "",
                    "basis": basis,
                    "index": score["index"]["value"],
                    "index_shown": score["index"]["shown"],
                    "predicate": score["predicate"],
                    "decree": score.get("decree"),
                    "decree_date": score.get("decree_date"),
                    "as_of": document["time"].isoformat(),
                    **_numbered("domain", {n: figure["value"] for n, figure in score["domains"].items()}),
                    **_numbered("aspect", {n: figure["value"] for n, figure in score["aspects"].items()}),
                    **_numbered("indicator", dict(enumerate(levels_of(document, basis), start=1))),
                }


def _averages(averages: Sequence[Document], opened: CycleOpened) -> Iterator[dict[str, Any]]:
    """Published averages stand among the rows as `nasional`: of a kind, or of all."""
    for average in averages:
        yield {
            "region": "nasional",
            "name": "Rata-rata yang diterbitkan",
            "kind": average["kind"],
            "cycle": opened.cycle,
            "period": opened.period,
            "instrument": opened.instrument,
            "basis": Basis.OFFICIAL,
            "index": average["index"],
            "decree": average["decree"],
            "decree_date": average["decree_date"],
            "as_of": average["at"].isoformat(),
        }


def _numbered(layer: str, texts: dict[Any, str | None]) -> dict[str, str | None]:
    return {f"{layer}_{number}": text for number, text in texts.items()}


def _columns(instrument: Instrument) -> Iterator[str]:
    yield from _FIXED
    layers = {"domain": instrument.domains, "aspect": instrument.aspects, "indicator": instrument.numbers}
    for layer, numbers in layers.items():
        yield from (f"{layer}_{number}" for number in sorted(numbers))


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _streamed(content: AsyncIterable[Any], media_type: str, name: str) -> StreamingResponse:
    described = f'<{name.partition(".")[0]}.csv-metadata.json>; rel="describedby"; type="{CSV_METADATA}"'
    return StreamingResponse(
        content,
        media_type=media_type,
        headers={
            "Cache-Control": "no-cache",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Link": f'{described}, <{LICENSE}>; rel="license"',
        },
    )


def _metadata(opened: CycleOpened, instrument: Instrument) -> dict[str, Any]:
    return {
        "@context": "http://www.w3.org/ns/csvw",
        "url": f"{opened.cycle}.csv",
        "dc:title": _in_both(opened.name_id, opened.name_en),
        "dc:description": _in_both(
            "Hitungan Lab adalah potret daerah, bukan indeks resmi; yang resmi bertanda basis official.",
            "What the Lab computed is a region's portrait, never the official index; basis official marks those.",
        ),
        "dc:license": {"@id": LICENSE},
        "tableSchema": {
            "primaryKey": ["region", "kind", "basis"],
            "columns": [_column(name, opened.instrument) for name in _columns(instrument)],
        },
    }


def _column(name: str, instrument: str) -> dict[str, Any]:
    layer, _, number = name.rpartition("_")
    told = _FIXED.get(name) or _LAYERS[layer]
    datatype, indonesian, english = (text.format(number=number, instrument=instrument) for text in told)
    return {
        "name": name,
        "titles": name,
        "datatype": datatype,
        "dc:description": _in_both(indonesian, english),
    }


def _in_both(indonesian: str, english: str) -> list[dict[str, str]]:
    return [{"@value": indonesian, "@language": "id"}, {"@value": english, "@language": "en"}]
