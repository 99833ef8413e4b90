"""Tables that people send as CSV: read line by line, each fault told with its place."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DELIMITERS = ";\t,"


@dataclass(frozen=True, slots=True)
class Where:
    """A place in what was sent: the field, and in a table its line and column, counted from 1."""

    field: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A fault, which keeps everything from being written; or a warning, which does not."""

    where: Where
    code: str
    message: str
    message_id: str

    def told(self) -> dict[str, str | int]:
        """As an entry of a problem's `errors`."""
        place = {"field": self.where.field, "line": self.where.line, "column": self.where.column}
        said = {"code": self.code, "message": self.message, "message_id": self.message_id}
        return {name: value for name, value in (place | said).items() if value is not None}


class NotCsv(Exception):
    """It can't be read any further; `remark` says where."""

    def __init__(self, remark: Remark) -> None:
        super().__init__(remark.message)
        self.remark = remark


class Table:
    """A CSV's lines, the heading first; delimited by comma, semicolon or tab. Iterating raises NotCsv."""

    def __init__(self, content: bytes, *, max_bytes: int) -> None:
        """What is longer than `max_bytes` is read up to there, then refused with the line where it was cut off."""
        self._max_bytes = max_bytes
        self._whole = len(content) <= max_bytes
        content = content[:max_bytes]
        self._content = content if self._whole else content[: content.rfind(b"\n") + 1]
        head = self._content.partition(b"\n")[0]
        self.delimiter = max(DELIMITERS, key=lambda one: head.count(one.encode()))

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Each line that is not empty, with its number (of its first line, where a cell holds line breaks)."""
        text = self._decoded()
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        first = True
        for line, texts in _lines(reader):
            # What spreadsheets write above a table delimited by semicolons.
            if not (first and texts[0].startswith("sep=")):
                yield line, texts
            first = False
        if not self._whole:
            raise NotCsv(
                Remark(
                    Where("", text.count("\n") + 1, 1), "too_large",
                    f"only the first {self._max_bytes:,} bytes were read, up to this line",
                    f"hanya {self._max_bytes:,} byte pertama yang dibaca, sampai baris ini",
                )
            )  # fmt: skip

    def _decoded(self) -> str:
        try:
            return self._content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = self._content[: error.start]
            line = before.count(b"\n") + 1
            column = before[before.rfind(b"\n") + 1 :].count(self.delimiter.encode()) + 1
            raise NotCsv(
                Remark(
                    Where("", line, column), "not_utf8",
                    f"the byte 0x{self._content[error.start]:02x} is no UTF-8; save the table as CSV UTF-8 and send it "
                    "again",
                    f"byte 0x{self._content[error.start]:02x} bukan UTF-8; simpan tabel sebagai CSV UTF-8 lalu kirim "
                    "lagi",
                )
            ) from error  # fmt: skip


def wrong_width(line: int, found: int, wanted: int) -> Remark:
    """A line with more or fewer cells than the heading."""
    return Remark(
        Where("", line, min(found, wanted) + 1), "wrong_width", f"{found} cells where the heading has {wanted}",
        f"{found} sel, sedangkan judulnya {wanted}",
    )  # fmt: skip


def missing_column(name: str) -> Remark:
    """The heading lacks it."""
    return Remark(
        Where(name, 1, 1), "missing_column", f"there is no column {name}", f"tidak ada kolom {name}"
    )  # fmt: skip


def _lines(reader: Any) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = reader.line_num + 1
        try:
            texts = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise NotCsv(
                Remark(Where("", line, 1), "not_csv", f"this line can't be read: {error}",
                       f"baris ini tidak dapat dibaca: {error}")
            ) from error  # fmt: skip
        if any(text.strip() for text in texts):
            yield line, texts
