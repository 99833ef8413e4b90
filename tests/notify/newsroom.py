"""Replicas of the live stream without their processes: real Kafka, on topics of the test's own, and real MongoDB."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import time
from typing import Any

from chassis.ending import Ending
from chassis.epochs import Epoch
from chassis.records import Fact
from chassis.viewer import Viewer
from contracts.topics import Topic
from services.notify.streams import Streams
from services.notify.tail import Source, Tail
from services.notify.usecases.stream import Desk, Wanted, keep_rights, listen
from tests.chassis.kafka import Kafka
from tests.notify.listener import Listener
from tests.notify.office import DIRECTORY, Office, manager

WITHIN_S = 30.0

NEVER = Epoch()


@dataclass
class Newsroom:
    """Topics with their facts, and an office whose rights every replica reads."""

    kafka: Kafka
    office: Office
    topics: Sequence[Topic]

    @property
    def assessments(self) -> Topic:
        return self.topics[0]

    async def publish(self, *facts: Fact[Any], epoch: Epoch = NEVER, partition: int | None = None) -> None:
        """Each on its region's partition."""
        for fact in facts:
            await self.kafka.put(
                self.assessments,
                fact.value,
                headers=[*fact.envelope.headers(), *epoch.headers()],
                key=fact.key.encode(),
                partition=sum(fact.key.encode()) % self.assessments.partitions if partition is None else partition,
            )

    @asynccontextmanager
    async def replica(self, **changes: Any) -> AsyncGenerator["Replica"]:
        """One more, once it hears what comes."""
        settings = self.office.settings.model_copy(update=changes)
        async with AsyncExitStack() as stack:
            office = await Office.furnish(self.office.parts.database, self.office.settings)
            streams = Streams(office.parts)
            stores, source = office.stores, Source(settings, DIRECTORY, self.topics)
            desk = Desk(streams, source, self.office.keys, stores.rights, stores.subscriptions, settings)
            ending = Ending()
            kept = keep_rights(streams, desk.rights, ending, every_s=settings.stream_rights_every_s)
            replica = Replica(desk, ending)
            keeping = asyncio.create_task(kept)
            stack.push_async_callback(asyncio.gather, keeping, return_exceptions=True)
            stack.callback(keeping.cancel)
            replica.begin()
            stack.push_async_callback(replica.stop)
            async with asyncio.timeout(WITHIN_S):
                while streams.place is None:
                    await asyncio.sleep(0.01)
            yield replica


@dataclass
class Replica:
    """One api process."""

    desk: Desk
    ending: Ending
    tail: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Follow the ends; again, where it was stopped."""
        self.tail = asyncio.create_task(Tail(self.desk.source, self.desk.streams, self.desk.keys).run())

    async def stop(self) -> None:
        """As when Kafka went away: the streams stay open."""
        assert self.tail is not None
        self.tail.cancel()
        await asyncio.gather(self.tail, return_exceptions=True)

    @asynccontextmanager
    async def listener(
        self, viewer: Viewer | None = None, *, lasts_s: float = 3_600, **wanted: Any
    ) -> AsyncGenerator[Listener]:
        """Somebody of Kemendagri unless said otherwise; the stream is open when this is entered."""
        asked = Wanted(viewer=viewer or manager("kemendagri"), until=time() + lasts_s, **wanted)
        async with asyncio.timeout(WITHIN_S), listen(asked, self.desk) as pieces:
            yield Listener(pieces)
