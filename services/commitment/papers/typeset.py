"""Typesetting by Typst: the same bytes for the same input, in every process.

Fonts are those inside the wheel; no date and no clock enters the file. Texts are data to the template, never markup.
"""

import io
import json
from collections.abc import Collection
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pikepdf
import segno
import typst

from services.commitment.papers.paper import Document, Place, Stamp, Typeset

TEMPLATES = Path(__file__).parent.parent / "templates"
A4_HEIGHT_PT = 841.8898
BOX_CM = (5.4, 1.7)
"""Of a signature, width and height."""
_CM_PT = 72 / 2.54
LOCKED_AND_PRINTED = 132
"""PDF 32000-1, table 165: bits Print and Locked."""
SIGNATURES_EXIST = 3
"""SigFlags, in the first revision: set by the first signature it looks to pyHanko's policy like a change beside it."""


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)


def typeset(document: Document, *, signed_by_hand: Collection[str] = ()) -> Typeset:
    """Set a document, with an empty signature field for each block but those that are signed by hand."""
    inputs = {"document": _json({**asdict(document), "qr": _qr(document.verification_url), "box": BOX_CM})}
    source = (TEMPLATES / "commitment.typ").read_bytes()
    pdf = _compile(source, inputs)
    found = json.loads(typst.query(source, "<block>", field="value", sys_inputs=inputs, font_paths=_fonts()))
    places = {one["block"]: _place(one) for one in found}
    fields = {name: place for name, place in places.items() if name not in signed_by_hand}
    return Typeset(_with_fields(pdf, fields), places)


def stamp(shown: Stamp) -> bytes:
    """The appearance of a signature: one page of the size of its box."""
    inputs = {"stamp": _json({**asdict(shown), "box": BOX_CM})}
    return _compile((TEMPLATES / "stamp.typ").read_bytes(), inputs, tags=False)


def _compile(source: bytes, inputs: dict[str, str], *, tags: bool = True) -> bytes:
    pdf: Any = typst.compile(source, format="pdf", sys_inputs=inputs, font_paths=_fonts(), timestamp=0, pdf_tags=tags)
    return bytes(pdf)


def _place(found: dict[str, Any]) -> Place:
    width, height = (side * _CM_PT for side in BOX_CM)
    top = A4_HEIGHT_PT - found["y"]
    return Place(found["page"] - 1, found["x"], top - height, found["x"] + width, top)


def _with_fields(pdf: bytes, places: dict[str, Place]) -> bytes:
    """By pikepdf: pyHanko's writer puts chance and a clock into the file. Classic cross-reference tables, since every
    later signature reads them: at the 64th 0.86 instead of 0.78 of bare pyHanko's speed.
    """
    with pikepdf.open(io.BytesIO(pdf)) as file:
        fields = pikepdf.Array()
        for name, place in places.items():
            page = file.pages[place.page]
            rect = [round(side, 2) for side in (place.left, place.bottom, place.right, place.top)]
            widget = file.make_indirect(
                pikepdf.Dictionary(
                    Type=pikepdf.Name.Annot,
                    Subtype=pikepdf.Name.Widget,
                    FT=pikepdf.Name.Sig,
                    T=pikepdf.String(name),
                    F=LOCKED_AND_PRINTED,
                    Rect=pikepdf.Array(rect),
                    P=page.obj,
                )
            )
            fields.append(widget)
            if pikepdf.Name.Annots not in page.obj:
                page.obj.Annots = pikepdf.Array()
            page.obj.Annots.append(widget)
        file.Root.AcroForm = file.make_indirect(pikepdf.Dictionary(Fields=fields, SigFlags=SIGNATURES_EXIST))
        out = io.BytesIO()
        file.save(
            out,
            deterministic_id=True,
            object_stream_mode=pikepdf.ObjectStreamMode.disable,
            fix_metadata_version=False,
        )
        return out.getvalue()


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False)


def _qr(url: str) -> str:
    out = io.BytesIO()
    segno.make(url, error="m", micro=False).save(out, kind="svg", border=0, xmldecl=False)
    return out.getvalue().decode()
