"""Another region's programme, taken over step by step (domain note on adoption: visit, memorandum, PKS, … live)."""

from datetime import date

from chassis.problem import Problem
from contracts.commitment import Adoption, Agreement, AgreementKind, Step

ORDER = tuple(Step)
NEEDS = {Step.LIVE: Step.AGREEMENT, Step.REPORTED: Step.LIVE}
"""A programme of another region runs under an agreement (PKS); what was reported, runs."""
RESTS_ON = {Step.MEMORANDUM: AgreementKind.MEMORANDUM, Step.AGREEMENT: AgreementKind.COOPERATION}
"""Steps that are the signing of a document."""


class NoAdoption(Problem):
    """Only an adoption has steps."""

    status, code, title = 409, "no_adoption", "This follow-up takes over nobody's programme"
    detail = "Steps are for adoptions and adaptations. Record a new follow-up with `adoption`."
    detail_id = "Langkah hanya untuk adopsi dan adaptasi. Catat tindak lanjut baru dengan `adoption`."


class StepRefused(Problem):
    """Out of its order."""

    status, code, title = 409, "step_refused", "This step can't be recorded now"


class AgreementNeeded(Problem):
    """The step is the signing of a document."""

    status, code, title = 422, "agreement_needed", "This step is the signing of a document"
    detail = "Send its number and date as `agreement`."
    detail_id = "Kirim nomor dan tanggalnya sebagai `agreement`."


def with_step(adoption: Adoption, step: Step, on: date, agreement: Agreement | None) -> Adoption:
    """Raises StepRefused, AgreementNeeded."""
    if step in adoption.steps:
        raise StepRefused(f"{step} is recorded already.", f"{step} sudah tercatat.", field="step")
    needed = NEEDS.get(step)
    if needed and needed not in adoption.steps:
        raise StepRefused(
            f"Record {needed} first: {step} follows from it.",
            f"Catat {needed} dahulu: {step} mengikutinya.",
            field="step",
        )
    place = ORDER.index(step)
    for other, day in adoption.steps.items():
        if (ORDER.index(other) < place and day > on) or (ORDER.index(other) > place and day < on):
            raise StepRefused(
                f"{other} took place on {day}, which does not fit {step} on {on}.",
                f"{other} berlangsung {day}, tidak sesuai dengan {step} pada {on}.",
                field="on",
            )
    if step in RESTS_ON and agreement is None:
        raise AgreementNeeded(field="agreement")
    agreements = (*adoption.agreements, agreement) if agreement else adoption.agreements
    steps = dict(sorted({**adoption.steps, step: on}.items(), key=lambda taken: ORDER.index(taken[0])))
    return adoption.model_copy(update={"steps": steps, "agreements": agreements})
