"""The log: deliveries and their attempts; statistics of an endpoint."""

from datetime import datetime
from statistics import quantiles
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from pydantic import BaseModel

from chassis.auth import CurrentViewer
from chassis.conditional import NOT_MODIFIED, told
from chassis.openapi import links, routes
from chassis.problem import NotFound
from chassis.problems import problems
from chassis.store import Document
from services.notify.api.parameters import LogStore, OwnJudge, SubscriptionId, SubscriptionStore, cursor_of, place_of
from services.notify.store.log import STATISTICS_OF, Wanted
from services.notify.usecases import log as usecases

router = routes("notify")

DeliveryStatus = Literal["pending", "delivered", "exhausted", "withheld"]


class AttemptOut(BaseModel):
    """One try. `failure` says why there was no answer; `said` is how the answer began."""

    at: datetime
    ms: int
    status: int | None
    failure: str | None
    said: str


class DeliveryOut(BaseModel):
    """One event to hand over to one subscription. `event` is the event's id, `type` and `region` are its own."""

    delivery: str
    subscription: str
    event: str
    type: str
    region: str | None
    time: datetime
    status: DeliveryStatus
    """`withheld`: before it was sent the right to be told of it was withdrawn, or the subscription closed."""
    due_at: datetime | None
    """When it is tried next."""
    attempts: list[AttemptOut]


class DeliveriesOut(BaseModel):
    """A page, the latest first. `next` is null on the last one."""

    items: list[DeliveryOut]
    next: str | None


class StatusOut(BaseModel):
    """Deliveries of one status among the latest; how long their last attempts took, in milliseconds."""

    status: DeliveryStatus
    deliveries: int
    attempts: int
    p50_ms: float | None
    p99_ms: float | None


class StatisticsOut(BaseModel):
    """How an endpoint does, by the latest deliveries of its subscription: 1,000 at most."""

    subscription: str
    of_latest: int
    statuses: list[StatusOut]


@router.get(
    "/deliveries",
    responses=problems(400, 401, 422, 429, 503)
    | links(200, {"path.delivery_id": "$response.body#/items/0/delivery"}, "one_delivery"),
)
async def list_deliveries(
    viewer: CurrentViewer,
    log: LogStore,
    judge: OwnJudge,
    subscription: Annotated[str | None, Query(max_length=40)] = None,
    event: Annotated[str | None, Query(max_length=40, description="An event's `id`.")] = None,
    region: Annotated[str | None, Query(max_length=16, examples=["32.11"])] = None,
    status: DeliveryStatus | None = None,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DeliveriesOut:
    """What was, or is to be, handed over to your organization's subscriptions, with every attempt.

    Events that you may not be told of, or not any more, are left out; the statistics count all. A page may hold fewer
    than `limit` and yet have a `next`.
    """
    wanted = Wanted(subscription=subscription, event_id=event, region=region, status=status)
    page = await usecases.look(wanted, viewer=viewer, before=place_of(cursor), limit=limit, log=log, judge=judge)
    return DeliveriesOut(items=[_shown(one) for one in page.items], next=cursor_of(*page.last) if page.last else None)


@router.get("/deliveries/{delivery_id}", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def one_delivery(
    delivery_id: Annotated[str, Path(max_length=40)],
    viewer: CurrentViewer,
    log: LogStore,
    judge: OwnJudge,
    request: Request,
) -> DeliveryOut:
    """One, with every attempt."""
    found = await log.get(delivery_id, viewer=viewer)
    if not await judge.tellable([found], viewer=viewer):
        raise NotFound
    return told(_shown(found), request)


@router.get("/subscriptions/{subscription_id}/statistics", responses=problems(401, 404, 422, 429, 503) | NOT_MODIFIED)
async def statistics(
    subscription_id: SubscriptionId,
    viewer: CurrentViewer,
    subscriptions: SubscriptionStore,
    log: LogStore,
    request: Request,
) -> StatisticsOut:
    """How its endpoint does, by its latest deliveries."""
    await subscriptions.get(subscription_id, viewer=viewer)
    found = await log.statistics(subscription_id, viewer=viewer)
    assert sum(one["deliveries"] for one in found) <= STATISTICS_OF
    shown = StatisticsOut(
        subscription=subscription_id,
        of_latest=sum(one["deliveries"] for one in found),
        statuses=[_status(one) for one in found],
    )
    return told(shown, request)


def _status(found: Document) -> StatusOut:
    took: list[float] = [ms for ms in found["ms"] if ms is not None]
    cut = quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
    return StatusOut(
        status=found["_id"],
        deliveries=found["deliveries"],
        attempts=found["attempts"],
        p50_ms=cut[49] if cut else None,
        p99_ms=cut[98] if cut else None,
    )


def _shown(found: Document) -> DeliveryOut:
    own: dict[str, Any] = {"delivery": found["_id"], "event": found["event_id"], "due_at": found.get("due_at")}
    return DeliveryOut.model_validate({**found, **own})
