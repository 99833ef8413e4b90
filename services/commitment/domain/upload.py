"""Files that people hand in: what they are is seen in their first bytes, not believed."""

from chassis.problem import Problem

FILE_MAX_BYTES = 10_485_760
_BEGINNINGS = {"application/pdf": b"%PDF-", "image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}


class NoContent(Problem):
    """A body of no bytes."""

    status, code, title = 422, "no_content", "There is no file in the body"
    detail = "Send the file itself as the body of the request."
    detail_id = "Kirim berkasnya sebagai isi permintaan."


class NotThatFile(Problem):
    """Its bytes are those of another kind of file."""

    status, code, title = 422, "not_that_file", "The file is not what its `Content-Type` says"
    detail = "Send a PDF, JPEG or PNG file with the `Content-Type` that it is."
    detail_id = "Kirim berkas PDF, JPEG atau PNG dengan `Content-Type` yang sesuai."


class UnknownFile(Problem):
    """Nothing was uploaded under this id by this organization, or it was long ago and is gone."""

    status, code, title = 422, "unknown_file", "There is no such file of yours"
    detail = "Upload it with POST /commitment/v1/files, and use the `file` of the answer within 12 hours."
    detail_id = "Unggah dengan POST /commitment/v1/files, lalu pakai `file` dari jawabannya dalam 12 jam."


class OtherContent(Problem):
    """What arrived is not what was sent."""

    status, code, title = 422, "other_content", "The file that arrived is another one"
    detail = "Its SHA-256 differs from yours. Upload it again."
    detail_id = "SHA-256-nya berbeda dengan milik Anda. Unggah lagi."


def check_kind(content: bytes, media_type: str) -> None:
    """Raises NoContent, NotThatFile."""
    check_content(content)
    beginning = _BEGINNINGS.get(media_type)
    if beginning is None or not content.startswith(beginning):
        raise NotThatFile


def check_content(content: bytes) -> None:
    """Raises NoContent."""
    if not content:
        raise NoContent
