"""A follow-up (tindak lanjut): an action with a unit in charge and a day, its evidence, and whether it is overdue."""

from datetime import date, datetime
from enum import StrEnum

from chassis.clock import end_of
from chassis.problem import NotFound, Problem
from contracts.commitment import (
    Adoption,
    Agreement,
    FollowUpState,
    FollowUpStatus,
    Funds,
    IndicatorOf,
    Recommendation,
    Step,
)
from contracts.fact import Frozen, Visibility
from services.commitment.domain.adoption import NoAdoption, with_step

EVIDENCE_MAX = 20
OPEN = frozenset({FollowUpStatus.PLANNED, FollowUpStatus.RUNNING})


class NotInThisState(Problem):
    """The command does not apply to what it is now."""

    status, code, title = 409, "not_in_this_state", "The follow-up's status does not allow this"

    def __init__(self, status: FollowUpStatus) -> None:
        super().__init__(
            f"It is {status.value}. One that is planned or running can be changed, done or cancelled; one that is done "
            "can be reopened.",
            f"Statusnya {status.value}. Yang direncanakan atau berjalan dapat diubah, diselesaikan, atau dibatalkan; "
            "yang selesai dapat dibuka kembali.",
            followup_status=status.value,
        )


class TooMuchEvidence(Problem):
    """More than anybody will look through."""

    status, code, title = 409, "too_much_evidence", "There is enough evidence"
    detail = f"At most {EVIDENCE_MAX} items are kept with one follow-up. Put several documents into one file."
    detail_id = f"Paling banyak {EVIDENCE_MAX} bukti per tindak lanjut. Gabungkan beberapa dokumen dalam satu berkas."


class NoteNeeded(Problem):
    """Nobody can mend what they are not told."""

    status, code, title = 422, "note_needed", "Say why it is returned"
    detail = "Send a `note` that says what is missing."
    detail_id = "Kirim `note` yang menjelaskan kekurangannya."


class Judgement(StrEnum):
    """Of evidence, by fasilitator or pembina."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    RETURNED = "returned"


class Evidence(Frozen):
    """A file or a link (data dukung). Its name, link and note never leave the service in a fact."""

    evidence: str
    title: str
    file: str | None
    media_type: str | None
    sha256: str | None
    bytes: int | None
    url: str | None
    judgement: Judgement
    note: str | None
    added_at: datetime
    judged_at: datetime | None


class FollowUp(Frozen):
    """An action and how far it is."""

    followup: str
    region: str
    province: str
    commitment: str | None
    clause: int | None
    recommendation: Recommendation | None
    indicator: IndicatorOf | None
    title: str
    unit: str
    funds: Funds | None
    due: date
    status: FollowUpStatus
    done_on: date | None
    reason: str | None
    """Why it was cancelled."""
    evidence: tuple[Evidence, ...]
    overdue_since: date | None
    adoption: Adoption | None
    revision: int

    @property
    def visibility(self) -> Visibility:
        """What is done under a commitment is public, as the commitment is."""
        return Visibility.PUBLIC if self.commitment else Visibility.SUPERVISED

    @property
    def due_at(self) -> datetime | None:
        """When it becomes overdue."""
        return end_of(self.due) if self.status in OPEN and self.overdue_since is None else None

    @property
    def acted(self) -> bool:
        """Done, with evidence that somebody else accepted: what the answer counts."""
        return self.status is FollowUpStatus.DONE and self._accepted > 0

    @property
    def _accepted(self) -> int:
        return sum(one.judgement is Judgement.ACCEPTED for one in self.evidence)

    def told(self) -> FollowUpState:
        """What others may know."""
        fields = self.model_dump(exclude={"province", "reason", "evidence", "revision"})
        return FollowUpState.model_validate(fields | {"evidence_accepted": self._accepted})

    def planned(self, *, title: str, unit: str, funds: Funds | None, due: date) -> "FollowUp":
        """Another plan; a later day is a new chance. Raises NotInThisState."""
        self._check(*OPEN)
        overdue_since = self.overdue_since if due == self.due else None
        return self._next(title=title, unit=unit, funds=funds, due=due, overdue_since=overdue_since)

    def started(self) -> "FollowUp":
        """Work has begun, or begins again. Raises NotInThisState."""
        self._check(FollowUpStatus.PLANNED, FollowUpStatus.DONE)
        return self._next(status=FollowUpStatus.RUNNING, done_on=None)

    def done(self, on: date) -> "FollowUp":
        """Raises NotInThisState."""
        self._check(*OPEN)
        return self._next(status=FollowUpStatus.DONE, done_on=on, overdue_since=None)

    def cancelled(self, reason: str) -> "FollowUp":
        """Raises NotInThisState."""
        self._check(*OPEN)
        return self._next(status=FollowUpStatus.CANCELLED, reason=reason, overdue_since=None)

    def with_evidence(self, evidence: Evidence) -> "FollowUp":
        """Raises NotInThisState, TooMuchEvidence."""
        self._check(*OPEN, FollowUpStatus.DONE)
        if len(self.evidence) >= EVIDENCE_MAX:
            raise TooMuchEvidence
        return self._next(evidence=(*self.evidence, evidence))

    def judged(self, evidence: str, judgement: Judgement, *, note: str | None, at: datetime) -> "FollowUp":
        """Raises NotFound, NoteNeeded."""
        if judgement is Judgement.RETURNED and not note:
            raise NoteNeeded(field="note")
        if all(one.evidence != evidence for one in self.evidence):
            raise NotFound
        update = {"judgement": judgement, "note": note, "judged_at": at}
        judged = tuple(one.model_copy(update=update) if one.evidence == evidence else one for one in self.evidence)
        return self._next(evidence=judged)

    def stepped(self, step: Step, on: date, agreement: Agreement | None) -> "FollowUp":
        """A step of the adoption; `reported` ends it. Raises NotInThisState, NoAdoption, and what `with_step` does."""
        if self.adoption is None:
            raise NoAdoption
        self._check(*OPEN)
        adoption = with_step(self.adoption, step, on, agreement)
        if step is Step.REPORTED:
            return self._next(adoption=adoption, status=FollowUpStatus.DONE, done_on=on, overdue_since=None)
        return self._next(adoption=adoption, status=FollowUpStatus.RUNNING)

    def overdue(self, since: date) -> "FollowUp":
        """Its day is over."""
        return self._next(overdue_since=since)

    def _check(self, *allowed: FollowUpStatus) -> None:
        if self.status not in allowed:
            raise NotInThisState(self.status)

    def _next(self, **changed: object) -> "FollowUp":
        return self.model_copy(update={**changed, "revision": self.revision + 1})
