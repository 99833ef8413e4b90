"""Facts of the notify service: what its own promise came to, where it could not be kept."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.assessment import RegionCode
from contracts.fact import Body
from contracts.organizations import OrganizationId

SubscriptionId = Annotated[str, Field(max_length=40, examples=["6d0f2f4e-4f0a-5d5e-9f6e-0e5f3f7b8a11"])]


class Why(StrEnum):
    """Why a subscription was disabled."""

    GONE = "gone"
    """Its endpoint answered 410: it wants no more."""
    FAILING = "failing"
    """Every attempt failed, for days."""


class SubscriptionDisabled(Body):
    """Nothing more is sent under this subscription until its owner enables it again."""

    subscription: SubscriptionId
    organization: OrganizationId
    """The owner. Only they are told of it, and only under another subscription."""
    region: RegionCode | None = None
    """The owner's, where the owner is a region."""
    why: Why
    failing_since: datetime | None
    """When the first of the attempts failed after which none succeeded."""

    @property
    def aggregate(self) -> str:
        return self.subscription


class DeliveryExhausted(Body):
    """All attempts to hand one event over failed. It is kept, and can be replayed."""

    delivery: SubscriptionId
    subscription: SubscriptionId
    organization: OrganizationId
    region: RegionCode | None = None
    """The owner's, where the owner is a region; not that of the event."""
    event: str
    """The `id` of the event that was not taken."""
    event_type: str
    attempts: Annotated[int, Field(ge=1)]
    last_status: int | None
    """HTTP status of the last attempt, or null where there was no answer."""
    last_failure: str | None
    """A stable code of why there was none, such as timeout."""

    @property
    def aggregate(self) -> str:
        return self.delivery
