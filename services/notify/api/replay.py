"""Again: a replay of what was sent or missed, and a made event to try an endpoint with."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import Path, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from chassis.auth import CurrentViewer
from chassis.conditional import NOT_MODIFIED, IdempotencyKey, told
from chassis.openapi import links, routes
from chassis.problems import problems
from chassis.store import Document
from services.notify.api.parameters import (
    OwnSettings,
    OwnStores,
    ReplayStore,
    SubscriptionId,
    SubscriptionStore,
)
from services.notify.api.subscription import In
from services.notify.domain.right import right_of
from services.notify.usecases import replay as usecases
from services.notify.usecases.subscribe import check_owns

router = routes("notify")


class ReplayIn(In):
    """One event, all of an aggregate, or a time; all that are kept where a bound is left out."""

    event: str | None = Field(default=None, max_length=40, examples=["4f031f09-d98c-54d7-b111-05a650b23c45"])
    """An event's `id`."""
    aggregate: str | None = Field(default=None, max_length=120, examples=["spbe-2023:32.11"])
    """An event's `subject`."""
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    """Events of this time are not in it any more."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.event is None and self.aggregate is None and self.start is None:
            raise ValueError("name an event, an aggregate or a start")
        return self


class ReplayOut(BaseModel):
    """How far a replay is: `carried` when each of its events has a delivery, in the log like any other."""

    replay: str
    subscription: str
    status: Literal["accepted", "carried"]
    deliveries: int
    start: datetime
    end: datetime


class TestOut(BaseModel):
    """The delivery to look at in the log."""

    delivery: str


def _shown(found: Document) -> ReplayOut:
    return ReplayOut(
        replay=found["_id"],
        subscription=found["subscription"],
        status="carried" if found["carried"] else "accepted",
        deliveries=found["made"],
        start=found["start"],
        end=found["end"],
    )


@router.post(
    "/subscriptions/{subscription_id}/replays",
    status_code=202,
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
    | links(
        202,
        {"path.subscription_id": "$response.body#/subscription", "path.replay_id": "$response.body#/replay"},
        "replay_status",
    ),
)
async def replay(
    subscription_id: SubscriptionId,
    asked: ReplayIn,
    viewer: CurrentViewer,
    key: IdempotencyKey,
    subscriptions: SubscriptionStore,
    replays: ReplayStore,
    settings: OwnSettings,
    response: Response,
) -> ReplayOut:
    """Send again, in the order of their times and beside what comes meanwhile. The events keep their ids."""
    found = await subscriptions.get(subscription_id, viewer=viewer)
    check_owns(found, viewer)
    done = await usecases.accept(
        found,
        **asked.model_dump(),
        by=viewer.actor,
        right=right_of(viewer),
        key=key,
        replays=replays,
        settings=settings,
    )
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/notify/v1/subscriptions/{subscription_id}/replays/{done.document['_id']}"
    return _shown(done.document)


@router.get(
    "/subscriptions/{subscription_id}/replays/{replay_id}", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED
)
async def replay_status(
    subscription_id: SubscriptionId,
    replay_id: Annotated[str, Path(max_length=40)],
    viewer: CurrentViewer,
    subscriptions: SubscriptionStore,
    replays: ReplayStore,
    request: Request,
) -> ReplayOut:
    """How far it is."""
    await subscriptions.get(subscription_id, viewer=viewer)
    return told(_shown(await replays.get(replay_id, subscription=subscription_id)), request)


@router.post(
    "/subscriptions/{subscription_id}/test",
    status_code=202,
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
    | links(202, {"path.delivery_id": "$response.body#/delivery"}, "one_delivery"),
)
async def send_test(
    subscription_id: SubscriptionId,
    viewer: CurrentViewer,
    key: IdempotencyKey,
    subscriptions: SubscriptionStore,
    stores: OwnStores,
    settings: OwnSettings,
) -> TestOut:
    """Send a made event (`id.livinglab.subscription.test.v1`) to this endpoint alone, signed like any other."""
    found = await subscriptions.get(subscription_id, viewer=viewer)
    check_owns(found, viewer)
    delivery = await usecases.send_test(found, by=viewer.actor, key=key, stores=stores, settings=settings)
    return TestOut(delivery=delivery)
