"""Names of organizations, as they are sent: a region's code or an institution's slug."""

import re

from chassis.problem import Problem
from contracts.organizations import find_organization
from contracts.regions import Directory

_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)


class UnknownOrganization(Problem):
    """Neither a region nor what an institution could be called."""

    status, code, title = 422, "unknown_organization", "There is no such organization"
    detail = "Use a Kemendagri code as text, such as 32.11, or an institution's slug, such as kemendagri."
    detail_id = "Gunakan kode Kemendagri sebagai teks, misalnya 32.11, atau kode lembaga, misalnya kemendagri."


def is_organization(text: str, directory: Directory) -> bool:
    """A region that there is, or a slug: universities and NGOs are not all in our list."""
    return directory.find(text) is not None or (len(text) <= 60 and _SLUG.fullmatch(text) is not None)


def region_of(organization: str, directory: Directory) -> str | None:
    """The same where it is a region, else None."""
    return organization if directory.find(organization) else None


def name_of(organization: str, directory: Directory) -> str:
    """For people, in Indonesian; a slug that we have no name for as it is."""
    if region := directory.find(organization):
        return region.name
    known = find_organization(organization)
    return known.name_id if known else organization
