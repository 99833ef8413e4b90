"""Why a command on an assessment is refused: what a person reads, and a program tells apart by its code."""

from collections.abc import Iterable

from chassis.problem import Problem
from contracts.assessment import Status


class WrongStatus(Problem):
    """The assessment is not where this command begins."""

    status, code, title = 409, "wrong_status", "Not possible in this status"

    def __init__(self, current: Status, wanted: Iterable[Status]) -> None:
        allowed = ", ".join(sorted(wanted))
        super().__init__(
            f"It is {current}; this needs one of: {allowed}. GET it to see what happened since.",
            f"Statusnya {current}; ini memerlukan salah satu dari: {allowed}. GET untuk melihat perubahannya.",
            field="status",
        )


class Incomplete(Problem):
    """Not every indicator has a level."""

    status, code, title = 409, "incomplete", "Not every indicator is answered"

    def __init__(self, missing: Iterable[int]) -> None:
        numbers = sorted(missing)
        super().__init__(
            f"Answer these {len(numbers)} indicators, then try again; `missing` lists them.",
            f"Jawab {len(numbers)} indikator ini, lalu coba lagi; `missing` memuat daftarnya.",
            missing=numbers,
        )


class MinutesMissing(Problem):
    """Nobody signed the minutes of the self-assessment since the last change."""

    status, code, title = 409, "minutes_missing", "The minutes of the self-assessment are not signed"
    detail = "The coordinator (Sekda) signs them first, by POST …/minutes; a later change of an answer voids them."
    detail_id = (
        "Koordinator SPBE (Sekda) menandatangani Berita Acara Penilaian Mandiri dahulu, dengan POST …/minutes; "
        "perubahan jawaban sesudahnya membatalkannya."
    )


class ConsentMissing(Problem):
    """The region has not consented to publication."""

    status, code, title = 409, "consent_missing", "The region has not consented to publication"
    detail = "The region's coordinator (Sekda) gives the consent first, by POST …/consent."
    detail_id = "Koordinator SPBE (Sekda) memberi Pernyataan Persetujuan Publikasi dahulu, dengan POST …/consent."


class StageClosed(Problem):
    """What a closed stage found stands."""

    status, code, title = 409, "stage_closed", "This stage cannot be worked on any more"


class StageNotReached(Problem):
    """A stage before this one is still to be closed."""

    status, code, title = 409, "stage_not_reached", "This stage is not open"


class StageNotOfRoute(Problem):
    """The route ends with the documents, or this is no stage of review."""

    status, code, title = 409, "stage_not_of_route", "This assessment has no such stage"
    detail = "GET the assessment: the route pemantauan has the stage document alone."
    detail_id = "GET penilaian ini: jalur pemantauan hanya memiliki tahap document."


class RouteFixed(Problem):
    """The review has begun on another route."""

    status, code, title = 409, "route_fixed", "The route is not changed during the review"
    detail = "Leave `route` out to change the assessors alone."
    detail_id = "Kosongkan `route` bila hanya asesor yang diganti."


class JustificationMissing(Problem):
    """An assessor differs from the level before without saying why."""

    status, code, title = 422, "justification_missing", "Say why the level differs"
    detail = "Send `justifikasi` with every level that is not that of the stage before."
    detail_id = "Kirim `justifikasi` untuk setiap tingkat yang berbeda dari tahap sebelumnya."


class StageOutOfTime(Problem):
    """The cycle has dates for the stage, and today is not among them."""

    status, code, title = 409, "stage_out_of_time", "The dates of this stage do not allow it"


class UnknownRoute(Problem):
    """The cycle has other routes."""

    status, code, title = 422, "unknown_route", "This cycle has no such route"


class AspectsIncomplete(Problem):
    """An aspect is missing, stands twice, or is not the instrument's."""

    status, code, title = 422, "aspects_incomplete", "Report on each aspect of the instrument once"
