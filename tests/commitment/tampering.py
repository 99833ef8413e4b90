"""What can be done to a document between or after signatures."""

from io import BytesIO
from typing import Any

import pikepdf
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

RED_BOX = b"q 1 0 0 1 60 400 cm 1 0 0 rg 0 0 200 60 re f Q"


def overlaid(pdf: bytes) -> bytes:
    """A red box over the first page, in a revision of its own."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    writer.add_stream_to_page(0, writer.add_object(generic.StreamObject(stream_data=RED_BOX)))
    return _written(writer)


def relabelled(pdf: bytes) -> bytes:
    """An entry more in the catalog, in a revision of its own."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    writer.root["/PageLabels"] = generic.DictionaryObject()
    writer.update_root()
    return _written(writer)


def with_a_box(pdf: bytes, name: str) -> IncrementalPdfFileWriter:
    """A signature field of that name, which is a large red box on the first page; not written yet."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    append_signature_field(writer, SigFieldSpec(name, on_page=0, box=(40, 300, 500, 700)))
    form: Any = writer.root["/AcroForm"]
    field = form["/Fields"][-1].get_object()
    shape = {"/Type": "/XObject", "/Subtype": "/Form"}
    box = generic.ArrayObject([generic.FloatObject(str(side)) for side in (0, 0, 460, 400)])
    red = generic.StreamObject(
        {generic.pdf_name(key): generic.pdf_name(value) for key, value in shape.items()}
        | {generic.pdf_name("/BBox"): box},
        stream_data=b"1 0 0 rg 0 0 460 400 re f",
    )
    field["/AP"] = generic.DictionaryObject({generic.pdf_name("/N"): writer.add_object(red)})
    return writer


def with_a_kid(pdf: bytes, name: str) -> bytes:
    """A signature field without a place of its own, and below it one that can be seen."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    page_ref: Any = writer.find_page_for_modification(0)[0]
    sides = generic.ArrayObject([generic.FloatObject(str(side)) for side in (40, 300, 500, 700)])
    kid = generic.DictionaryObject(
        {
            generic.pdf_name("/Type"): generic.pdf_name("/Annot"),
            generic.pdf_name("/Subtype"): generic.pdf_name("/Widget"),
            generic.pdf_name("/Rect"): sides,
            generic.pdf_name("/F"): generic.NumberObject(132),
            generic.pdf_name("/P"): page_ref,
        }
    )
    kid_ref = writer.add_object(kid)
    field = generic.DictionaryObject(
        {
            generic.pdf_name("/FT"): generic.pdf_name("/Sig"),
            generic.pdf_name("/T"): generic.pdf_string(name),
            generic.pdf_name("/Kids"): generic.ArrayObject([kid_ref]),
        }
    )
    field_ref = writer.add_object(field)
    kid["/Parent"] = field_ref
    writer.register_annotation(page_ref, kid_ref)
    form: Any = writer.root["/AcroForm"]
    form["/Fields"].append(field_ref)
    writer.update_container(form["/Fields"])
    return _written(writer)


def flipped(pdf: bytes, place: int, bit: int = 0) -> bytes:
    """One bit."""
    changed = bytearray(pdf)
    changed[place] ^= 1 << bit
    return bytes(changed)


def encrypted(pdf: bytes) -> bytes:
    """Opened by a password."""
    out = BytesIO()
    with pikepdf.open(BytesIO(pdf)) as file:
        file.save(out, encryption=pikepdf.Encryption(owner="a", user="b"))
    return out.getvalue()


def _written(writer: IncrementalPdfFileWriter) -> bytes:
    out = BytesIO()
    writer.write(out)
    return out.getvalue()
