"""Deliveries become attempts: lanes that are due are claimed, and what waits in them is sent.

Many lanes are claimed together and what they hold is loaded in a few reads; then each is served by itself, so that an
endpoint that hangs holds up nobody else. What came of every attempt is stored before its lane is left.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import structlog
from pymongo.errors import PyMongoError

from chassis.clock import now
from chassis.store import Document, in_short, is_down
from services.notify.domain.right import Right
from services.notify.domain.subscription import Status, Subscription
from services.notify.store.deliveries import IN_ORDER_MAX, LOAD_MAX
from services.notify.usecases.attempt import SLICE_S, Attempts, Visit
from services.notify.usecases.deliver import Stores

log = structlog.stdlib.get_logger()

LANES_AT_ONCE = 64
LEASE_MARGIN_S = 5.0
"""A lane's lease: a slice, an attempt begun at its end, and so long to store what came of it."""
CLOCKS_APART = timedelta(seconds=1)
"""A lane is due by the database's clock: what it holds may be due a little later by ours."""
IDLE_S = 0.25


@dataclass(slots=True)
class _Round:
    """What was loaded for lanes that were claimed together."""

    subscriptions: Mapping[str, Subscription]
    rights: Mapping[str, Right]
    events: Mapping[str, Document]
    waiting: Mapping[str, Sequence[Document]]
    """Lane → what it holds; of digests, and of lanes that could not be served then, nothing was read."""
    whole: bool
    """Whether everything that is due was loaded, of lanes that are not in order."""


class Dispatcher:
    """Of one worker process, by one way."""

    def __init__(self, stores: Stores, attempts: Attempts) -> None:
        self._stores = stores
        self._attempts = attempts
        self._way = attempts.way
        self._serving: set[asyncio.Task[None]] = set()
        self._lease_s = SLICE_S + self._way.timeout_s + LEASE_MARGIN_S

    async def run(self) -> None:
        """For ever. Raises PyMongoError while the database is down; what was claimed then comes up again by itself."""
        idle = False
        try:
            while True:
                # What ends a pause is mostly one lane: it is claimed at once, what came with it in the next round.
                claimed = await self._claim(at_most=1 if idle else LANES_AT_ONCE)
                idle = not claimed
                if claimed:
                    await self._take_up(claimed)
                else:
                    await self._stores.lanes.stirred(mail=self._way.mail, wait_s=IDLE_S)
        finally:
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _claim(self, *, at_most: int) -> Sequence[Document]:
        room = min(at_most, self._way.lanes_max - len(self._serving))
        if room <= 0:
            return ()
        return await self._stores.lanes.claim(mail=self._way.mail, limit=room, lease_s=self._lease_s)

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
        stores = self._stores
        names = {lane["subscription"] for lane in claimed}
        subscriptions, _ = await asyncio.gather(stores.subscriptions.many(names), self._attempts.look_at(names))
        # What waits for an endpoint that is spared, or for its owner, may be much: it is not read to be left again.
        served = [lane for lane in claimed if self._may_serve(subscriptions.get(lane["subscription"]))]
        # A digest's is read whole when it is written.
        read = [lane for lane in served if not subscriptions[lane["subscription"]].digest]
        beside = [lane["_id"] for lane in read if not lane["ordered"]]
        ordered = [lane["_id"] for lane in read if lane["ordered"]]
        due = await stores.deliveries.due(beside, now=now()) if beside else []
        behind = await stores.deliveries.in_order(ordered) if ordered else []
        waiting: dict[str, list[Document]] = {lane["_id"]: [] for lane in read}
        for delivery in (*due, *behind):
            waiting[delivery["lane"]].append(delivery)
        rights, events = await asyncio.gather(
            stores.rights.many({s.organization for s in subscriptions.values()}),
            stores.events.many({delivery["event"] for delivery in (*due, *behind)}),
        )
        return _Round(subscriptions, rights, events, waiting, whole=len(due) < LOAD_MAX)

    def _may_serve(self, subscription: Subscription | None) -> bool:
        return (
            subscription is not None
            and subscription.status is Status.ACTIVE
            and self._attempts.spared_until(subscription) is None
        )

    async def _serve(self, lane: Document, loaded: _Round) -> None:
        lanes, subscription = self._stores.lanes, loaded.subscriptions.get(lane["subscription"])
        if subscription is None or subscription.status is Status.CLOSED:
            await self._stores.deliveries.withhold(lane["_id"])
            await lanes.leave(lane)
            return
        if subscription.status is not Status.ACTIVE:
            await lanes.put_off(lane, None)
            return
        if until := self._attempts.spared_until(subscription):
            await lanes.put_off(lane, until)
            return
        waiting = loaded.waiting.get(lane["_id"])
        if waiting is None and not subscription.digest:
            # Its endpoint was spared when the others were read, and just now is not any more: it may hold something.
            await lanes.put_off(lane, now())
            return
        waiting = waiting or ()
        right = loaded.rights[subscription.organization]
        whole = len(waiting) < IN_ORDER_MAX if lane["ordered"] else loaded.whole
        visit = Visit(lane, subscription, right, loaded.events, whole=whole)
        if subscription.digest:
            await self._together(visit)
        elif lane["ordered"]:
            await self._one_by_one(waiting, visit)
        else:
            await self._side_by_side(waiting, visit)
        await self._leave(visit)

    async def _side_by_side(self, waiting: Sequence[Document], visit: Visit) -> None:
        await self._some_at_once(waiting, visit)
        # A lane that holds much is not given back and claimed again for each part of it.
        while not visit.whole and not visit.left and monotonic() < visit.until:
            waiting = await self._stores.deliveries.due([visit.lane["_id"]], now=now())
            visit.whole = len(waiting) < LOAD_MAX
            visit.events = await self._stores.events.many({delivery["event"] for delivery in waiting})
            await self._some_at_once(waiting, visit)

    async def _some_at_once(self, waiting: Sequence[Document], visit: Visit) -> None:
        for begin in range(0, len(waiting), self._way.of_a_lane):
            some = waiting[begin : begin + self._way.of_a_lane]
            await asyncio.gather(*(self._attempts.attempt([delivery], visit) for delivery in some))
            if visit.left:
                return

    async def _together(self, visit: Visit) -> None:
        """All that is due in one letter."""
        due = await self._stores.deliveries.due([visit.lane["_id"]], now=now())
        visit.whole = len(due) < LOAD_MAX
        visit.events = await self._stores.events.many({delivery["event"] for delivery in due})
        if due:
            await self._attempts.attempt(due, visit)

    async def _one_by_one(self, waiting: Sequence[Document], visit: Visit) -> None:
        while waiting:
            for delivery in waiting:
                if delivery["due_at"] > now() + CLOCKS_APART:
                    visit.put_off = delivery["due_at"]
                    return
                if not await self._attempts.attempt([delivery], visit):
                    return
            if visit.whole or monotonic() > visit.until:
                return
            waiting = await self._stores.deliveries.in_order([visit.lane["_id"]])
            visit.whole = len(waiting) < IN_ORDER_MAX
            visit.events = await self._stores.events.many({delivery["event"] for delivery in waiting})

    async def _leave(self, visit: Visit) -> None:
        lanes, lane = self._stores.lanes, visit.lane
        one_by_one = lane["ordered"] and not visit.subscription.digest
        if visit.left:
            await lanes.put_off(lane, visit.left_until or now())
        elif one_by_one and visit.put_off:  # its head is to be tried again then, whatever waits behind
            await lanes.put_off(lane, visit.put_off)
        elif not visit.whole:
            await lanes.put_off(lane, now())
        else:
            # Asked of the database, whatever we know: what failed before was not due, hence not among what was loaded,
            # and what came is due by another clock than ours. In order, all that waits was loaded.
            due = None if one_by_one else await self._stores.deliveries.next_due(lane["_id"])
            await (lanes.leave(lane) if due is None else lanes.put_off(lane, due))
