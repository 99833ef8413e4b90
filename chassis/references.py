"""What requests refer to by name, and what is said where there is no such thing: in every service the same."""

from chassis.problem import Problem


class UnknownRegion(Problem):
    """No region has this code."""

    status, code, title = 422, "unknown_region", "There is no such region"
    detail = "Use the Kemendagri code as text, such as 32.11."
    detail_id = "Gunakan kode Kemendagri sebagai teks, misalnya 32.11."


class UnknownCycle(Problem):
    """No cycle has this id."""

    status, code, title = 422, "unknown_cycle", "There is no such cycle"
    detail = "GET /assessment/v1/cycles lists those there are."
    detail_id = "GET /assessment/v1/cycles memuat daftarnya."


class UnknownInstrument(Problem):
    """No instrument has this id."""

    status, code, title = 422, "unknown_instrument", "There is no such instrument"
    detail = "GET /assessment/v1/instruments lists those there are."
    detail_id = "GET /assessment/v1/instruments memuat daftarnya."


class InvalidCursor(Problem):
    """A cursor that no page gave."""

    status, code, title = 400, "invalid_cursor", "This is not a cursor of ours"
    detail = "Leave `cursor` out to begin, then send `next` exactly as you received it."
    detail_id = "Kosongkan `cursor` untuk mulai, lalu kirim `next` persis seperti diterima."
