"""What went wrong, said so that a person and a program can act on it. No framework here, so a domain may raise it."""

from collections.abc import Mapping, Sequence
from typing import Any


class Problem(Exception):
    """An expected failure: a subclass per stable `code`, with its HTTP status and title, raised anywhere.

    Texts are for people and in both languages; they say what to do next. A subclass whose texts never change sets
    `detail` and `detail_id` on the class. `field` names the one input at fault, `errors` lists several, `headers` go
    into the response, and any other keyword becomes a member of the body (RFC 9457 calls them extensions).
    """

    status: int = 500
    code: str = "internal"
    title: str = "Something broke on our side"
    detail: str = "Nothing was wrong with your request. Try again later; if it stays, report the `trace_id`."
    detail_id: str = "Permintaan Anda tidak salah. Coba lagi nanti; bila berlanjut, laporkan `trace_id`."

    def __init__(
        self,
        detail: str | None = None,
        detail_id: str | None = None,
        *,
        field: str | None = None,
        errors: Sequence[Mapping[str, str | int]] = (),
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        if (detail is None) != (detail_id is None):
            raise TypeError(f"{type(self).__name__} needs its detail in both languages, or in neither")
        if detail is not None and detail_id is not None:
            self.detail, self.detail_id = detail, detail_id
        self.field = field
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(f"{self.code}: {self.detail}")


class NotFound(Problem):
    """Also for what is there but not for this viewer: nobody may tell the two apart."""

    status, code, title = 404, "not_found", "There is no such thing"
    detail = "There is nothing at this address that you may see. Check the id, or sign in with another role."
    detail_id = "Tidak ada yang dapat Anda lihat di alamat ini. Periksa id-nya, atau masuk dengan peran lain."


class Forbidden(Problem):
    """Only for what the viewer may see and yet not do; what they may not see is NotFound."""

    status, code, title = 403, "forbidden", "Your role does not allow this"
    detail = "You may see this but not do this. Ask somebody whose role allows it."
    detail_id = "Anda boleh melihat ini, tetapi tidak boleh melakukannya. Mintalah orang yang perannya mengizinkan."


class Unavailable(Problem):
    """Something this service needs does not answer now. Always says when to try again."""

    status, code, title = 503, "unavailable", "Not possible right now"
    detail = "A part that this needs does not answer. Nothing was changed. Try again after `Retry-After` seconds."
    detail_id = "Bagian yang diperlukan sedang tidak menjawab. Tidak ada yang berubah. Coba lagi setelah `Retry-After`."

    def __init__(
        self, detail: str | None = None, detail_id: str | None = None, *, retry_after_s: int = 5, **members: Any
    ) -> None:
        super().__init__(detail, detail_id, headers={"Retry-After": str(retry_after_s)}, **members)
