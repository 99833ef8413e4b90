"""Deliveries become attempts: lanes that are due are claimed, and what waits in them is sent.

Many lanes are claimed together and what they hold is loaded in a few reads; then each is served by itself, so that an
endpoint that hangs holds up nobody else. What came of every attempt is stored before its lane is left.
"""

import asyncio
from asyncio import Semaphore
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from weakref import WeakValueDictionary

import structlog
from pymongo.errors import PyMongoError

from chassis.clock import now
from chassis.crash import crash_point
from chassis.records import OutgoingFact, outgoing
from chassis.store import Document, in_short, is_down
from contracts import events as facts
from contracts.fact import Visibility
from contracts.notify import DeliveryExhausted, SubscriptionDisabled, Why
from contracts.regions import Directory
from services.notify.domain.endpoint import Health, after_failure, is_given_up
from services.notify.domain.right import Right, may_be_told
from services.notify.domain.schedule import Verdict, parse_retry_after, retry_at, verdict
from services.notify.domain.subscription import Status, Subscription, disabled
from services.notify.sender import Sender
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import DELIVERED, LOAD_MAX, PENDING, WITHHELD
from services.notify.store.endpoints import Endpoints
from services.notify.store.events import about
from services.notify.usecases.deliver import Stores
from services.notify.webhook import Answer

log = structlog.stdlib.get_logger()

LANES_AT_ONCE = 64
LANES_SERVED_MAX = 1_024
"""By one process. A lane whose endpoint hangs takes a place for 15 s, and is then spared by the breaker."""
SLICE_S = 5.0
"""After so long nothing more of a lane is begun."""
LEASE_MARGIN_S = 5.0
"""A lane's lease: a slice, an attempt begun at its end, and so long to store what came of it."""
IDLE_S = 0.25
PROBE_WAIT_S = 1.0
SAID_MAX = 500
"""Characters of an endpoint's answer that are kept with the attempt."""


@dataclass(slots=True)
class _Round:
    """What was loaded for lanes that were claimed together."""

    subscriptions: Mapping[str, Subscription]
    rights: Mapping[str, Right]
    events: Mapping[str, Document]
    waiting: Mapping[str, Sequence[Document]]
    whole: bool
    """Whether everything that is due was loaded."""


@dataclass(slots=True)
class _Visit:
    """One lane being served."""

    lane: Document
    subscription: Subscription
    right: Right
    events: Mapping[str, Document]
    whole: bool
    """Whether everything of it that is due was loaded."""
    until: float = field(default_factory=lambda: monotonic() + SLICE_S)
    put_off: datetime | None = None
    """When the earliest of what failed is tried again."""
    left: bool = False
    """Something that is due was not tried: the endpoint is spared, or the time was over."""
    left_until: datetime | None = None


class Dispatcher:
    """Of one worker process."""

    def __init__(
        self, stores: Stores, endpoints: Endpoints, sender: Sender, settings: NotifySettings, directory: Directory
    ) -> None:
        self._stores = stores
        self._endpoints = endpoints
        self._sender = sender
        self._settings = settings
        self._directory = directory
        self._health: dict[str, Health] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._at_once: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()
        self._probing: set[str] = set()
        self._turns: dict[str, float] = {}
        self._lease_s = SLICE_S + settings.webhook_timeout_s + LEASE_MARGIN_S

    async def run(self) -> None:
        """For ever. Raises PyMongoError while the database is down; what was claimed then comes up again by itself."""
        try:
            while True:
                room = min(LANES_AT_ONCE, LANES_SERVED_MAX - len(self._serving))
                claimed = await self._stores.lanes.claim(limit=room, lease_s=self._lease_s) if room > 0 else []
                if claimed:
                    await self._take_up(claimed)
                else:
                    await self._stores.lanes.stirred(wait_s=IDLE_S)
        finally:
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _take_up(self, claimed: Sequence[Document]) -> None:
        loaded = await self._load(claimed)
        for lane in claimed:
            task = asyncio.create_task(self._serve(lane, loaded))
            self._serving.add(task)
            task.add_done_callback(self._served)

    def _served(self, task: "asyncio.Task[None]") -> None:
        self._serving.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The lane's lease ends by itself, and it comes up again.
            down = isinstance(error, PyMongoError) and is_down(error)
            if down:
                log.warning("a dependency is down", error=in_short(error))
            else:
                log.error("a lane was not served", exc_info=error)

    async def _load(self, claimed: Sequence[Document]) -> _Round:
        stores, beside = self._stores, [lane["_id"] for lane in claimed if not lane["ordered"]]
        ordered = [lane["_id"] for lane in claimed if lane["ordered"]]
        due = await stores.deliveries.due(beside, now=now()) if beside else []
        behind = await stores.deliveries.in_order(ordered) if ordered else []
        waiting: dict[str, list[Document]] = defaultdict(list)
        for delivery in (*due, *behind):
            waiting[delivery["lane"]].append(delivery)
        subscriptions = await stores.subscriptions.many({lane["subscription"] for lane in claimed})
        self._health.update(dict.fromkeys(subscriptions, Health()) | dict(await self._endpoints.many(subscriptions)))
        return _Round(
            subscriptions,
            await stores.rights.many({s.organization for s in subscriptions.values()}),
            await stores.events.many({delivery["event"] for delivery in (*due, *behind)}),
            waiting,
            whole=len(due) < LOAD_MAX and len(behind) < LOAD_MAX,
        )

    async def _serve(self, lane: Document, loaded: _Round) -> None:
        lanes, subscription = self._stores.lanes, loaded.subscriptions.get(lane["subscription"])
        if subscription is None or subscription.status is Status.CLOSED:
            await lanes.leave(lane)
            return
        if subscription.status is not Status.ACTIVE:
            await lanes.put_off(lane, None)
            return
        right = loaded.rights[subscription.organization]
        visit = _Visit(lane, subscription, right, loaded.events, whole=loaded.whole)
        waiting = loaded.waiting.get(lane["_id"], ())
        if lane["ordered"]:
            await self._one_by_one(waiting, visit)
        else:
            await self._side_by_side(waiting, visit)
        await self._leave(visit)

    async def _side_by_side(self, waiting: Sequence[Document], visit: _Visit) -> None:
        await asyncio.gather(*(self._attempt(delivery, visit) for delivery in waiting))
        # A lane that holds much is not given back and claimed again for each part of it.
        while not visit.whole and not visit.left and monotonic() < visit.until:
            waiting = await self._stores.deliveries.due([visit.lane["_id"]], now=now())
            visit.whole = len(waiting) < LOAD_MAX
            visit.events = await self._stores.events.many({delivery["event"] for delivery in waiting})
            await asyncio.gather(*(self._attempt(delivery, visit) for delivery in waiting))

    async def _one_by_one(self, waiting: Sequence[Document], visit: _Visit) -> None:
        for delivery in waiting:
            if delivery["due_at"] > now():
                visit.put_off = delivery["due_at"]
                return
            if not await self._attempt(delivery, visit):
                return

    async def _leave(self, visit: _Visit) -> None:
        lanes, lane = self._stores.lanes, visit.lane
        if visit.left or not visit.whole:
            await lanes.put_off(lane, visit.left_until or now())
        elif visit.put_off is None and not lane.get("waits"):
            await lanes.leave(lane)
        else:
            # What failed before was not due, hence not among what was loaded.
            due = visit.put_off if lane["ordered"] else await self._stores.deliveries.next_due(lane["_id"])
            await (lanes.leave(lane) if due is None else lanes.put_off(lane, due))

    async def _attempt(self, delivery: Document, visit: _Visit) -> bool:
        """Send one, and store what came of it; whether the lane may go on to the next."""
        event, name = visit.events.get(delivery["event"]), visit.subscription.id
        if event is None or not may_be_told(
            about(event),
            organization=visit.subscription.organization,
            rights=(visit.right, visit.subscription.right),
            subscription=name,
        ):
            await self._stores.deliveries.record(delivery["_id"], None, status=WITHHELD, due_at=None)
            return True
        async with self._at_once.setdefault(name, Semaphore(self._settings.webhook_concurrency)):
            if not await self._may_send(visit):
                visit.left = True
                return False
            try:
                at = now()
                crash_point("send.before")
                answer = await self._sender.send(event, visit.subscription)
                crash_point("send.answered")
                return await self._settle(delivery, answer, visit, at=at)
            finally:
                self._probing.discard(name)

    async def _may_send(self, visit: _Visit) -> bool:
        """Whether the endpoint may be sent something now; waits for its rate."""
        name, health = visit.subscription.id, self._health[visit.subscription.id]
        if health.open_until and health.open_until > now():
            visit.left_until = health.open_until
            return False
        if health.probing and name in self._probing:  # one attempt shows whether it is back before others follow
            visit.left_until = now() + timedelta(seconds=PROBE_WAIT_S)
            return False
        wait_s = self._pace(visit.subscription)
        if monotonic() + wait_s > visit.until:
            visit.left_until = now() + timedelta(seconds=wait_s)
            return False
        if wait_s:
            await asyncio.sleep(wait_s)
        if health.probing:
            self._probing.add(name)
        return True

    def _pace(self, subscription: Subscription) -> float:
        """Seconds to wait for the subscription's turn, which is taken. Counted per process."""
        rates = [rate for rate in (subscription.rate_per_minute, subscription.allowed_rate) if rate is not None]
        if not rates:
            return 0.0
        turn = max(self._turns.get(subscription.id, 0.0), monotonic())
        if turn <= monotonic() + SLICE_S:
            self._turns[subscription.id] = turn + 60 / min(rates)
        return turn - monotonic()

    async def _settle(self, delivery: Document, answer: Answer, visit: _Visit, *, at: datetime) -> bool:
        deliveries, subscription, ended = self._stores.deliveries, visit.subscription, now()
        attempt = {
            "at": at,
            "ms": round(answer.seconds * 1000),
            "status": answer.status,
            "failure": answer.failure,
            "said": answer.body[: SAID_MAX * 4].decode(errors="replace")[:SAID_MAX],
        }
        outcome = verdict(answer.status)
        self._endpoints.observe(outcome.value, seconds=answer.seconds)
        if outcome is Verdict.DELIVERED:
            await deliveries.record(delivery["_id"], attempt, status=DELIVERED, due_at=None)
            if self._health[subscription.id].failures:
                self._health[subscription.id] = Health()
                await self._endpoints.recovered(subscription.id)
            return True
        retry_after_s = parse_retry_after(answer.headers.get("retry-after"), now=ended)
        again = retry_at(
            delivery["_id"],
            len(delivery["attempts"]) + 1,
            now=ended,
            schedule_s=self._settings.webhook_schedule_s,
            retry_after_s=retry_after_s,
        )
        if outcome is Verdict.GONE:  # it stays pending: whoever enables the endpoint again gets it
            await deliveries.record(delivery["_id"], attempt, status=PENDING, due_at=ended)
            await self._disable(subscription, Why.GONE)
            visit.left = True
            return False
        if again is None:
            await deliveries.exhaust(delivery["_id"], attempt, self._exhausted)
        else:
            await deliveries.record(delivery["_id"], attempt, status=PENDING, due_at=again)
            visit.put_off = min(visit.put_off or again, again)
        await self._failed(subscription, ended, retry_after_s)
        return again is None  # a lane whose head is used up goes on, and has said so

    async def _failed(self, subscription: Subscription, at: datetime, retry_after_s: float | None) -> None:
        before = self._health[subscription.id]
        pause_s = self._settings.webhook_pause_s
        health = after_failure(before, name=subscription.id, now=at, first_pause_s=pause_s, retry_after_s=retry_after_s)
        self._health[subscription.id] = health
        await self._endpoints.failed(subscription.id, health)
        if is_given_up(health, now=at, after=timedelta(seconds=self._settings.webhook_disable_after_s)):
            await self._disable(subscription, Why.FAILING)

    async def _disable(self, subscription: Subscription, why: Why) -> None:
        since = self._health[subscription.id].failing_since

        def decide(before: Subscription) -> tuple[Subscription, OutgoingFact | None]:
            after = disabled(before, why)
            return after, None if after is before else _disabled(after, why, since, self._region_of(after.organization))

        await self._stores.subscriptions.disable(subscription.id, decide)
        log.warning("subscription disabled", subscription=subscription.id, why=why.value)

    def _exhausted(self, after: Document) -> OutgoingFact:
        return _exhausted(after, self._region_of(after["organization"]))

    def _region_of(self, organization: str) -> str | None:
        return organization if self._directory.find(organization) else None


def _disabled(after: Subscription, why: Why, since: datetime | None, region: str | None) -> OutgoingFact:
    body = SubscriptionDisabled(
        subscription=after.id, organization=after.organization, region=region, why=why, failing_since=since
    )
    return outgoing(
        facts.SUBSCRIPTION_DISABLED,
        body,
        key=after.id,
        revision=after.revision,
        time=now(),
        visibility=Visibility.SUPERVISED,
        region=region,
    )


def _exhausted(after: Document, region: str | None) -> OutgoingFact:
    last = after["attempts"][-1]
    body = DeliveryExhausted(
        delivery=after["_id"],
        subscription=after["subscription"],
        organization=after["organization"],
        region=region,
        event=after["event_id"],
        event_type=after["type"],
        attempts=len(after["attempts"]),
        last_status=last["status"],
        last_failure=last["failure"],
    )
    return outgoing(
        facts.DELIVERY_EXHAUSTED,
        body,
        key=after["_id"],
        revision=after["revision"],
        time=now(),
        visibility=Visibility.SUPERVISED,
        region=region,
    )
