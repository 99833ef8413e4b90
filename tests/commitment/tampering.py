"""What can be done to a document between or after signatures."""

from io import BytesIO

import pikepdf
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

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
