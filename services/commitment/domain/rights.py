"""Who may act for whom. Who may see what is the viewer's; what a commitment itself gives is the commitment's."""

from chassis.viewer import Viewer
from contracts.organizations import find_organization
from contracts.roles import REGION_ROLES, Role

SIGNS = (Role.HEAD, Role.COORDINATOR, Role.SIGNATORY)
"""For an organization, where its signatory is named so."""
BINDS = (Role.HEAD, Role.COORDINATOR)
"""A region by a pledge."""
WORKS = (Role.HEAD, Role.COORDINATOR, Role.RESPONSIBLE, Role.OPERATOR)
"""On what a region follows up."""
RECORDS = (Role.HEAD, Role.COORDINATOR, Role.RESPONSIBLE, Role.SUPERVISOR)
"""What happened between organizations."""
OF_REGION = REGION_ROLES | {Role.SIGNATORY, Role.SUPERVISOR}
"""Who works for a region, whatever they may see of others."""
FACILITATOR = "kemendagri"
"""Of the Living Lab itself (Ditjen Bina Administrasi Kewilayahan): supervises every region's follow-up."""


def facilitates(viewer: Viewer) -> bool:
    """Acts for Kemendagri as pembina."""
    return viewer.may(Role.SUPERVISOR, at=FACILITATOR)


def supervises(viewer: Viewer, province: str) -> bool:
    """A ministry over all, a province over those inside it. Never a region over itself."""
    return facilitates(viewer) or viewer.may(Role.SUPERVISOR, at=province)


def may_supervise(organization: str) -> bool:
    """Known to all, whoever names it: a listed institution, or a province."""
    is_province = organization.isdigit()
    return is_province or find_organization(organization) is not None


def belongs_to(viewer: Viewer, *organizations: str) -> bool:
    """Somebody of one of them who works there: of an institution in any role."""
    if viewer.organization is None or not any(viewer.is_of(organization) for organization in organizations):
        return False
    of_region = viewer.organization[:1].isdigit()
    return bool(viewer.roles & OF_REGION) if of_region else bool(viewer.roles - {Role.ADMINISTRATOR})
