"""Who a token may speak for: organizations, roles and the claims that carry them."""

from enum import StrEnum

from contracts.fact import Frozen


class Role(StrEnum):
    """What somebody does, in the field's own words (PermenPANRB 59/2020, ps. 4-6)."""

    OPERATOR = "operator"
    """Answers for a unit (perangkat daerah)."""
    INTERNAL_ASSESSOR = "asesor-internal"
    DATA_ENTRY = "pelaksana-entri-data"
    RESPONSIBLE = "penanggung-jawab"
    """Checks completeness and sends."""
    COORDINATOR = "koordinator-spbe"
    """The Regional Secretary: signs the minutes and the consent to publication."""
    HEAD = "kepala-daerah"
    EXTERNAL_ASSESSOR = "asesor-eksternal"
    """Sees what was assigned to them, nothing else."""
    REVIEWER = "peninjau"
    """KemenPANRB's review team."""
    SUPERVISOR = "pembina"
    """A province over its regencies and cities; a ministry over the nation."""
    SIGNATORY = "penandatangan"
    """Signs commitments for their organization (a deputy, an acting head, a minister); sees no more than others."""
    ADMINISTRATOR = "administrator"


REGION_ROLES = frozenset(
    {Role.OPERATOR, Role.INTERNAL_ASSESSOR, Role.DATA_ENTRY, Role.RESPONSIBLE, Role.COORDINATOR, Role.HEAD}
)


class TokenClaims(Frozen):
    """What an access token must hold beyond what JWT itself demands. `sub` is opaque: never a name or a NIK."""

    sub: str
    organization: str
    """A region code (`32.11`) or an institution's slug (`kemenpanrb`)."""
    roles: tuple[str, ...] = ()
    """Unknown roles are ignored: they give no rights."""
