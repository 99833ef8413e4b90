"""Institutions that take part, by slug. Regions are organizations too: those are in contracts.regions."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from contracts.fact import Frozen

OrganizationId = Annotated[str, Field(max_length=60, examples=["kemendagri"])]
"""A region code or an institution's slug."""


class Organization(Frozen):
    """An institution: a ministry, an agency or a council."""

    slug: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
    """Never looks like a region code, so that a token's `organization` is one or the other."""
    name_id: str
    name_en: str
    kind: Literal["ministry", "agency", "council"]


@cache
def organizations() -> Mapping[str, Organization]:
    """All known institutions by slug."""
    found = TypeAdapter(tuple[Organization, ...]).validate_json(
        (Path(__file__).parent / "data" / "organizations.json").read_bytes()
    )
    return MappingProxyType({organization.slug: organization for organization in found})


def find_organization(slug: str) -> Organization | None:
    """The institution, or None."""
    return organizations().get(slug)
