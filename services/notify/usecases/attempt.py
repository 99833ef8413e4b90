"""One attempt to hand events over, by whichever channel; and what follows from how it went.

What came of every attempt is stored before anything else is begun; what it means for the subscription is told.
"""

import asyncio
from asyncio import Semaphore
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Literal
from weakref import WeakValueDictionary

import structlog

from chassis.clock import now
from chassis.crash import crash_point
from chassis.records import OutgoingFact, outgoing
from chassis.store import Document
from contracts import events as facts
from contracts.fact import Visibility
from contracts.notify import DeliveryExhausted, SubscriptionDisabled, Why
from contracts.regions import Directory
from services.notify.domain.endpoint import Health, after_failure, is_given_up
from services.notify.domain.right import Right, may_be_told
from services.notify.domain.schedule import Verdict, parse_retry_after, retry_at
from services.notify.domain.subscription import Channel, Subscription, disabled
from services.notify.measures import Measures
from services.notify.settings import NotifySettings
from services.notify.store.deliveries import DELIVERED, EXHAUSTED, PENDING, WITHHELD
from services.notify.store.endpoints import Endpoints
from services.notify.store.events import about
from services.notify.usecases.deliver import Stores
from services.notify.usecases.way import Way
from services.notify.webhook import Answer

log = structlog.stdlib.get_logger()

SLICE_S = 5.0
"""After so long nothing more of a lane is begun."""
PROBE_WAIT_S = 1.0
SAID_MAX = 500
"""Characters of an endpoint's answer that are kept with the attempt."""
ABOUT_OURSELVES = frozenset({facts.SUBSCRIPTION_DISABLED.type, facts.DELIVERY_EXHAUSTED.type})
"""That these could not be handed over is in the log alone. An event of it would go to the owner's other subscriptions,
and where those fail too, each failure would tell of the others' for ever."""


@dataclass(slots=True)
class Visit:
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

    def leave(self, until: datetime) -> Literal[False]:
        """What is due may be tried again then."""
        self.left, self.left_until = True, until
        return False


class Attempts:
    """Of one worker process, by one way."""

    def __init__(
        self,
        way: Way,
        stores: Stores,
        endpoints: Endpoints,
        measures: Measures,
        settings: NotifySettings,
        directory: Directory,
    ) -> None:
        self.way = way
        self._measures = measures
        self._stores = stores
        self._endpoints = endpoints
        self._settings = settings
        self._directory = directory
        self._health: dict[str, Health] = {}
        self._at_once: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()
        self._probing: set[str] = set()
        self._turns: dict[str, float] = {}

    async def look_at(self, subscriptions: Collection[str]) -> None:
        """How their endpoints do, as all workers saw them."""
        names = {name for one in subscriptions for name in self._names(one)}
        self._health.update(dict.fromkeys(names, Health()) | dict(await self._endpoints.many(names)))

    def _names(self, subscription: str) -> set[str]:
        """What is spared when it fails: the endpoint, and of an e-mail the address too."""
        return {subscription, self.way.endpoint(subscription)}

    def spared_until(self, subscription: Subscription) -> datetime | None:
        """Nothing is sent before; None: it may be sent something."""
        until = [self._health[name].open_until for name in self._names(subscription.id)]
        return max((at for at in until if at and at > now()), default=None)

    async def attempt(self, deliveries: Sequence[Document], visit: Visit) -> bool:
        """Hand over, several in one letter; store what came of it. Whether the lane may go on to the next."""
        may, subscription = [one for one in deliveries if self._may_be_told(one, visit)], visit.subscription
        for kept in deliveries:
            if kept not in may:
                await self._stores.deliveries.record(kept["_id"], None, status=WITHHELD, due_at=None)
                self._measures.ended(subscription.channel, WITHHELD)
        if not may:
            return True
        if subscription.channel is Channel.INBOX:  # it is there as soon as it is marked as delivered
            for one in may:
                await self._stores.deliveries.record(one["_id"], None, status=DELIVERED, due_at=None)
                self._measures.ended(subscription.channel, DELIVERED)
            return True
        if not await self._comes_its_turn(visit):
            return False
        async with self._at_once.setdefault(self.way.endpoint(subscription.id), Semaphore(self.way.at_once)):
            probing = self._probed_by(visit)
            if not self._may_send(visit, probing):
                return False
            try:
                self._probing |= probing
                at = now()
                crash_point("send.before")
                events = [visit.events[one["event"]] for one in may]
                answer = await self.way.hand_over(subscription, may, events)
                crash_point("send.answered")
                return await self._settle(may, answer, visit, at=at)
            finally:
                self._probing -= probing

    def _may_be_told(self, delivery: Document, visit: Visit) -> bool:
        event = visit.events.get(delivery["event"])
        return event is not None and may_be_told(
            about(event),
            organization=visit.subscription.organization,
            rights=(visit.right, visit.subscription.right),
            subscription=visit.subscription.id,
        )

    async def _comes_its_turn(self, visit: Visit) -> bool:
        """Waits for the subscription's rate, before it takes a place that others could use."""
        if until := self.spared_until(visit.subscription):
            return visit.leave(until)
        wait_s = self._pace(visit.subscription, until=visit.until)
        if monotonic() + wait_s > visit.until:
            return visit.leave(now() + timedelta(seconds=wait_s))
        if wait_s:
            await asyncio.sleep(wait_s)
        return True

    def _probed_by(self, visit: Visit) -> set[str]:
        """What the next attempt of it would show to be back or not."""
        return {name for name in self._names(visit.subscription.id) if self._health[name].probing}

    def _may_send(self, visit: Visit, probing: set[str]) -> bool:
        """Whether the endpoint may be sent something now."""
        if until := self.spared_until(visit.subscription):
            return visit.leave(until)
        if probing & self._probing:  # one attempt shows whether it is back before others follow
            return visit.leave(now() + timedelta(seconds=PROBE_WAIT_S))
        if monotonic() > visit.until:
            return visit.leave(now())
        return True

    def _pace(self, subscription: Subscription, *, until: float) -> float:
        """Seconds to wait for the subscription's turn, which is taken if it comes by then. Counted per process."""
        rates = [rate for rate in (subscription.rate_per_minute, subscription.allowed_rate) if rate is not None]
        if not rates:
            return 0.0
        turn = max(self._turns.get(subscription.id, 0.0), monotonic())
        if turn <= until:
            self._turns[subscription.id] = turn + 60 / min(rates)
        return turn - monotonic()

    async def _settle(self, deliveries: Sequence[Document], answer: Answer, visit: Visit, *, at: datetime) -> bool:
        subscription, ended = visit.subscription, now()
        attempt = {
            "at": at,
            "ms": round(answer.seconds * 1000),
            "status": answer.status,
            "failure": answer.failure,
            "said": answer.body[: SAID_MAX * 4].decode(errors="replace")[:SAID_MAX],
        }
        outcome = self.way.verdict(answer)
        self._measures.attempted(subscription.channel, outcome.value, seconds=answer.seconds)
        if outcome is Verdict.DELIVERED:
            self._measures.delivered(
                subscription.channel, deliveries, [visit.events[one["event"]] for one in deliveries]
            )
            await self._record(deliveries, attempt, status=DELIVERED, due_at=None)
            await self._recovered(self._names(subscription.id))
            return True
        failed = self.way.failed(answer, subscription)
        if answer.status is not None:  # the mail server is there, whatever it says of a letter
            await self._recovered({self.way.endpoint(subscription.id)} - {subscription.id, failed})
        retry_after_s = parse_retry_after(answer.headers.get("retry-after"), now=ended)
        if outcome is Verdict.GONE:  # it stays pending: whoever enables the endpoint again gets it
            await self._record(deliveries, attempt, status=PENDING, due_at=ended)
            await self._disable(subscription, Why.GONE)
            visit.left = True
            return False
        again = [await self._again(one, deliveries[0], attempt, outcome, ended, retry_after_s) for one in deliveries]
        visit.put_off = min((at for at in (visit.put_off, *again) if at is not None), default=None)
        if failed is not None:
            health = await self._failed(failed, ended, retry_after_s)
            after = timedelta(seconds=self._settings.webhook_disable_after_s)
            if failed == subscription.id and self.way.gives_up(answer) and is_given_up(health, now=ended, after=after):
                await self._disable(subscription, Why.FAILING)
        return again[0] is None  # a lane whose head is used up goes on, and has said so

    async def _again(
        self,
        delivery: Document,
        first: Document,
        attempt: Document,
        outcome: Verdict,
        ended: datetime,
        retry_after_s: float | None,
    ) -> datetime | None:
        """Store a failure; when it is tried again, together with the first of its letter. None: never."""
        tried = len(delivery["attempts"]) + 1
        schedule_s = self._settings.webhook_schedule_s if outcome is Verdict.FAILED else ()
        again = retry_at(first["_id"], tried, now=ended, schedule_s=schedule_s, retry_after_s=retry_after_s)
        if again is None:
            self._measures.ended(Channel.EMAIL if self.way.mail else Channel.WEBHOOK, EXHAUSTED)
        if again is None and delivery["type"] in ABOUT_OURSELVES:
            await self._stores.deliveries.record(delivery["_id"], attempt, status=EXHAUSTED, due_at=None)
        elif again is None:
            await self._stores.deliveries.exhaust(delivery["_id"], attempt, self._exhausted)
        else:
            await self._stores.deliveries.record(delivery["_id"], attempt, status=PENDING, due_at=again)
        return again

    async def _record(
        self, deliveries: Sequence[Document], attempt: Document, *, status: str, due_at: datetime | None
    ) -> None:
        record = self._stores.deliveries.record
        await asyncio.gather(*(record(one["_id"], attempt, status=status, due_at=due_at) for one in deliveries))

    async def _recovered(self, names: Collection[str]) -> None:
        for name in names:
            if self._health[name].failures:
                self._health[name] = Health()
                await self._endpoints.recovered(name)

    async def _failed(self, name: str, at: datetime, retry_after_s: float | None) -> Health:
        before, pause_s = self._health[name], self._settings.webhook_pause_s
        if before.open_until and at < before.open_until:
            return (
                before  # under way when it opened: sixteen that fail together are one failure, not a pause of minutes
            )
        health = after_failure(before, name=name, now=at, first_pause_s=pause_s, retry_after_s=retry_after_s)
        self._health[name] = health
        await self._endpoints.failed(name, health)
        return health

    async def _disable(self, subscription: Subscription, why: Why) -> None:
        since = self._health[subscription.id].failing_since

        def decide(before: Subscription) -> tuple[Subscription, OutgoingFact | None]:
            after = disabled(before, why)
            return after, None if after is before else _disabled(after, why, since, self._region_of(after.organization))

        await self._stores.subscriptions.settle(subscription.id, what="disabled", decide=decide)
        log.warning("endpoint given up", subscription=subscription.id, why=why.value)

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
