"""What an event says to people, in one line of Indonesian and of English: for e-mails and the inbox."""

from collections.abc import Mapping
from typing import Any, Final

from contracts.assessment import Stage
from contracts.regions import Directory
from contracts.scoring import Basis
from services.notify.domain.matching import short
from services.notify.domain.subscription import Language

Line = Mapping[Language, str]
ID, EN = Language.INDONESIAN, Language.ENGLISH

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "instrument.published": ("Instrumen diterbitkan", "An instrument was published"),
    "cycle.opened": ("Siklus penilaian dibuka", "A cycle of assessments was opened"),
    "assessment.submitted": ("Penilaian mandiri disampaikan", "The self-assessment was submitted"),
    "assessment.reopened": ("Penilaian mandiri dibuka kembali", "The self-assessment was reopened"),
    "assessment.assigned": ("Asesor eksternal ditugaskan", "External assessors were assigned"),
    "assessment.reviewed": ("Satu tahap penilaian eksternal selesai", "A stage of the external assessment was closed"),
    "assessment.returned": ("Penilaian dikembalikan untuk perbaikan", "The assessment was returned for correction"),
    "assessment.verified": ("Hasil penilaian diverifikasi", "The result was verified"),
    "assessment.published": ("Hasil penilaian dipublikasikan", "The result was published"),
    "score.recalculated": ("Nilai indeks dihitung", "The index was calculated"),
    "visit.recorded": ("Kunjungan studi dicatat", "A study visit was recorded"),
    "commitment.opened": ("Komitmen bersama dibuka untuk ditandatangani", "A joint commitment may be signed"),
    "commitment.signed": ("Komitmen bersama ditandatangani", "A joint commitment was signed"),
    "commitment.entered_force": ("Komitmen bersama berlaku", "A joint commitment entered into force"),
    "commitment.completed": ("Komitmen bersama selesai", "A joint commitment was completed"),
    "commitment.withdrawn": ("Komitmen bersama ditarik", "A joint commitment was withdrawn"),
    "pledge.progressed": ("Kemajuan ikrar", "A pledge made progress"),
    "pledge.fulfilled": ("Ikrar terpenuhi", "A pledge was fulfilled"),
    "pledge.missed": ("Ikrar tidak tercapai pada waktunya", "A pledge was not fulfilled in time"),
    "followup.recorded": ("Tindak lanjut dicatat", "A follow-up was recorded"),
    "followup.overdue": ("Tindak lanjut melewati tenggat", "A follow-up is overdue"),
    "subscription.disabled": ("Langganan dinonaktifkan", "A subscription was disabled"),
    "delivery.exhausted": ("Satu peristiwa gagal disampaikan", "An event could not be handed over"),
    "subscription.test": ("Uji coba", "A test"),
}
_WHY = {
    "gone": ("tujuannya tidak mau menerima lagi (410)", "its endpoint wants no more (410)"),
    "failing": ("tujuannya gagal berhari-hari", "its endpoint failed for days"),
}


_BASES: Final = {
    Basis.SELF: ("penilaian mandiri", "self-assessment"),
    Basis.DOCUMENT: ("penilaian dokumen", "documents assessed"),
    Basis.INTERVIEW: ("wawancara", "after interviews"),
    Basis.SITE_VISIT: ("visitasi", "after a site visit"),
    Basis.OFFICIAL: ("hasil resmi", "official result"),
}


def line(event: Mapping[str, Any], directory: Directory) -> Line:
    """Of a CloudEvent: where, what, and the figure with its basis if it has one.

    `Kabupaten Sumedang: Nilai indeks dihitung: 4,14 (penilaian mandiri)`,
    `Kabupaten Sumedang: The index was calculated: 4.14 (self-assessment)`.
    """
    name, data = short(event["type"]), event["data"]
    told = {language: [words] for language, words in zip((ID, EN), _WORDS[name], strict=True)}
    region = directory.find(event.get("region", ""))
    for language, parts in told.items():
        if region and name.partition(".")[0] in ("assessment", "score", "visit", "commitment", "pledge", "followup"):
            parts.insert(0, region.name)
        if name == "score.recalculated" and (found := _index_of(data)):
            index, basis = found
            shown = index.replace(".", ",") if language is ID else index
            parts.append(f"{shown} ({_BASES[basis][language is EN]})")
        if name == "subscription.disabled":
            parts.append(_WHY[data["why"]][language is EN])
    return {language: ": ".join(parts) for language, parts in told.items()}


def _index_of(data: Mapping[str, Any]) -> tuple[str, Basis] | None:
    """The official figure, else that of the latest stage that has one."""
    if official := data.get("official"):
        return official["index"]["shown"], Basis.OFFICIAL
    for stage in reversed(Stage):
        if index := data["scores"].get(stage, {}).get("index"):
            return index["shown"], Basis(stage)
    return None
