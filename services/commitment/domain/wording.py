"""The answer in sentences, in Indonesian and English: counts before percents, and no cause where there is no proof."""

from collections.abc import Mapping
from fractions import Fraction
from math import floor
from typing import Literal

from services.commitment.domain.compared import Change, Comparison
from services.commitment.domain.funnel import Funnel, Share, Stage, Step
from services.commitment.domain.progress import Apart

Language = Literal["id", "en"]
"""ISO 639-1."""
PERCENT_FROM = 5
"""Of fewer, one is 25 of a hundred or more: a percentage would only look exact."""

_Phrases = Mapping[str | tuple[bool, bool], str]
"""By the pair: whether the signatories and the others rose on average, like with like."""

_INDONESIAN: _Phrases = {
    "visitors": "{together} organisasi berkunjung: {regions} daerah dan {institutions} lembaga.",
    "parties": "{together} organisasi menjadi pihak: {regions} daerah dan {institutions} lembaga.",
    "followed_up": "Menindaklanjuti (selesai, dengan bukti yang diterima): {together}; daerah {regions}; "
    "lembaga {institutions}.",
    "share": "{count} dari {of}",
    "before": "; {share} dari langkah sebelumnya",
    Stage.INVITED: "Diundang dalam komitmen: {share}{before}.",
    Stage.SIGNED: "Menandatangani: {share}{before}.",
    Stage.ACTED: "Menandatangani dan menindaklanjuti: {share}{before}.",
    Stage.IMPROVED: "Dari {before} yang sampai di situ, {of} terukur; indeksnya naik: {share}.",
    Stage.REACHED_TARGET: "Naik dan mencapai target: {share} yang terukur dan punya target.",
    "apart": "Tidak terukur: {list}.",
    Apart.NO_SCORE: "{count} tanpa skor",
    Apart.NO_BASE: "{count} tanpa skor awal",
    Apart.NO_LATER: "{count} tanpa skor sesudahnya",
    Apart.OTHER_INSTRUMENT: "{count} diukur dengan instrumen lain",
    "host": "Mencapai indeks tuan rumah saat kunjungan: {acted} yang menandatangani dan menindaklanjuti; {visitors} "
    "dari semua pengunjung yang terukur.",
    "nobody": "Belum ada penanda tangan yang terukur, jadi belum ada yang dapat dibandingkan.",
    "alone": "Tidak ada daerah sebanding di luar para penanda tangan, jadi tidak ada pembanding.",
    "joined": "Penanda tangan: {change}.",
    "others": "Yang tidak menandatangani: {change}.",
    "visited": "Di antaranya yang berkunjung: {change}.",
    "change": "{share} naik, rata-rata {mean}",
    "like": "Disamakan jenis daerah, instrumen, dan tahunnya ({count} penanda tangan): {joined} berbanding {others}.",
    (True, True): "Kedua kelompok sama-sama naik; selisihnya bukan bukti sebab.",
    (True, False): "Hanya penanda tangan yang naik; itu pun bukan bukti sebab, karena mereka sendiri yang memilih.",
    (False, True): "Yang tidak menandatangani naik, penanda tangan tidak; itu pun bukan bukti sebab.",
    (False, False): "Kedua kelompok sama-sama tidak naik; selisihnya bukan bukti sebab.",
}
_ENGLISH: _Phrases = {
    "visitors": "{together} organizations came to study: {regions} regions and {institutions} institutions.",
    "parties": "{together} organizations are parties: {regions} regions and {institutions} institutions.",
    "followed_up": "Followed up (done, with evidence that was accepted): {together}; regions {regions}; "
    "institutions {institutions}.",
    "share": "{count} of {of}",
    "before": "; {share} of the step before",
    Stage.INVITED: "Invited to a commitment: {share}{before}.",
    Stage.SIGNED: "Signed: {share}{before}.",
    Stage.ACTED: "Signed and followed up: {share}{before}.",
    Stage.IMPROVED: "Of the {before} who came so far, {of} can be measured; their index rose: {share}.",
    Stage.REACHED_TARGET: "Rose and reached their target: {share} who can be measured and have one.",
    "apart": "Can't be measured: {list}.",
    Apart.NO_SCORE: "{count} without a score",
    Apart.NO_BASE: "{count} without one from before",
    Apart.NO_LATER: "{count} without one from after",
    Apart.OTHER_INSTRUMENT: "{count} measured by another instrument",
    "host": "Reached the index that the host had when they came: {acted} who signed and followed up; {visitors} of all "
    "visitors who can be measured.",
    "nobody": "No signatory can be measured yet, so there is nothing to compare.",
    "alone": "No region is like the signatories without being one, so there is nothing to compare with.",
    "joined": "Signatories: {change}.",
    "others": "Those who did not sign: {change}.",
    "visited": "Among these, those who came to study: {change}.",
    "change": "{share} rose, {mean} on average",
    "like": "Matched by kind, instrument and years ({count} signatories): {joined} against {others}.",
    (True, True): "Both groups rose; the difference is no proof of a cause.",
    (True, False): "Only the signatories rose; even that is no proof of a cause, as they chose to sign.",
    (False, True): "Those who did not sign rose, the signatories did not; even that is no proof of a cause.",
    (False, False): "Neither group rose; the difference is no proof of a cause.",
}
_PHRASES: Mapping[Language, _Phrases] = {"id": _INDONESIAN, "en": _ENGLISH}
_POINT: Mapping[Language, str] = {"id": ",", "en": "."}


def words(funnel: Funnel, language: Language) -> list[str]:
    """The answer, a sentence each; `paths` and the lists apart hold the names."""
    return _Speaker(language).answer(funnel)


class _Speaker:
    def __init__(self, language: Language) -> None:
        self._phrases = _PHRASES[language]
        self._point = _POINT[language]

    def answer(self, funnel: Funnel) -> list[str]:
        split, started = funnel.followed_up, funnel.steps[0].stage
        groups = {"together": split.together, "regions": split.regions, "institutions": split.institutions}
        sizes = {name: share.of for name, share in groups.items()}
        said = [
            self._say("visitors" if started is Stage.VISITED else "parties", **sizes),
            self._say("followed_up", **{name: self._share(share) for name, share in groups.items()}),
        ]
        said += [self._step(step) for step in funnel.steps[1:]]
        if apart := [self._say(why, count=len(names)) for why, names in funnel.apart.items() if names]:
            said.append(self._say("apart", list=", ".join(apart)))
        if funnel.visitors_reached_host.of:
            acted, visitors = self._share(funnel.reached_host), self._share(funnel.visitors_reached_host)
            said.append(self._say("host", acted=acted, visitors=visitors))
        return said + self._compared(funnel.comparison)

    def _step(self, step: Step) -> str:
        share = self._share(Share(step.count, step.of))
        if step.stage in (Stage.IMPROVED, Stage.REACHED_TARGET):
            return self._say(step.stage, share=share, of=step.of, before=step.before)
        of_before = self._say("before", share=self._share(Share(step.count, step.before)))
        return self._say(step.stage, share=share, before=of_before if step.before != step.of else "")

    def _compared(self, comparison: Comparison) -> list[str]:
        if not comparison.joined.count:
            return [self._say("nobody")]
        said = [self._say("joined", change=self._change(comparison.joined))]
        like = comparison.standardised
        if like is None:
            return [*said, self._say("alone")]
        said.append(self._say("others", change=self._change(comparison.others)))
        if comparison.visited.count:
            said.append(self._say("visited", change=self._change(comparison.visited)))
        joined, others = self._with_sign(like.joined), self._with_sign(like.others)
        said.append(self._say("like", count=like.count, joined=joined, others=others))
        return [*said, self._say((like.joined > 0, like.others > 0))]

    def _say(self, phrase: str | tuple[bool, bool], **values: object) -> str:
        return self._phrases[phrase].format(**values)

    def _share(self, share: Share) -> str:
        said = self._say("share", count=share.count, of=share.of)
        percent = Fraction(100 * share.count, share.of) if share.of >= PERCENT_FROM else None
        return said if percent is None else f"{said} ({self._rounded(percent, 1)}%)"

    def _change(self, change: Change) -> str:
        share = self._share(Share(change.improved, change.count))
        return self._say("change", share=share, mean=self._with_sign(change.total / change.count))

    def _with_sign(self, exact: Fraction) -> str:
        shown = self._rounded(abs(exact), 2)
        nothing = shown == self._rounded(Fraction(), 2)
        return f"{'-' if exact < 0 and not nothing else '+'}{shown}"

    def _rounded(self, exact: Fraction, places: int) -> str:
        """Half up."""
        whole, rest = divmod(floor(exact * 10**places + Fraction(1, 2)), 10**places)
        return f"{whole}{self._point}{rest:0{places}}"
