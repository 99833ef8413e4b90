"""Pledges and follow-ups under a commitment: it must be one that the region takes part in."""

from collections.abc import Collection

from chassis.problem import NotFound, Problem
from chassis.viewer import PUBLIC_VIEWER, Viewer
from contracts.roles import Role
from services.commitment.domain.rights import may_supervise
from services.commitment.store.commitments import Commitments


class UnknownCommitment(Problem):
    """None that was opened."""

    status, code, title = 422, "unknown_commitment", "There is no such commitment, or it was never opened"
    detail = "GET /commitment/v1/commitments lists those that there are."
    detail_id = "GET /commitment/v1/commitments menampilkan yang ada."


class NotAParty(Problem):
    """Not a region that has a place in it."""

    status, code, title = 422, "not_a_party", "The region is no party to this commitment"
    detail = "Have the region named as a party, or join; else leave `commitment` out."
    detail_id = "Tetapkan daerah sebagai pihak atau bergabunglah; bila tidak, kosongkan `commitment`."


class UnknownClause(Problem):
    """More than its text has."""

    status, code, title = 422, "unknown_clause", "The commitment has no such clause"
    detail = "Clauses are numbered from 1, as they are printed."
    detail_id = "Butir bernomor dari 1, seperti tercetak."


async def check_party(
    commitment_id: str | None, clause: int | None, codes: Collection[str], *, commitments: Commitments
) -> None:
    """Raises UnknownCommitment, NotAParty, UnknownClause. None: it is under none. codes: all that the region had."""
    if commitment_id is None:
        return
    try:
        commitment = (await commitments.get(commitment_id, viewer=PUBLIC_VIEWER)).state
    except NotFound as error:
        raise UnknownCommitment(field="commitment") from error
    if not any(commitment.party_of(code) for code in codes):
        raise NotAParty(field="region")
    if clause is not None and clause > len(commitment.text.clauses):
        raise UnknownClause(field="clause")


async def watches(viewer: Viewer, commitment_id: str | None, *, commitments: Commitments) -> bool:
    """Whether somebody acts as pembina for the commitment's facilitator or one of its supervisors.

    Whom a region names is its own choice: so only who is known to all may judge, a listed institution or a province.
    """
    if commitment_id is None or not viewer.may(Role.SUPERVISOR, at=viewer.organization or ""):
        return False
    commitment = (await commitments.get(commitment_id, viewer=PUBLIC_VIEWER)).state
    named = (commitment.facilitator, *commitment.supervisors)
    return any(viewer.may(Role.SUPERVISOR, at=one) for one in named if may_supervise(one))
