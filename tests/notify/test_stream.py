"""Live streams on the real Kafka: no gap and no disorder wherever they are cut, and never more than may be told."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from chassis.epochs import Epoch
from chassis.records import Fact
from services.notify.api.stream import EventStream
from services.notify.domain.right import PUBLIC
from services.notify.streams import Busy, TooManyStreams
from services.notify.usecases.stream import InvalidLastEventId
from services.notify.usecases.subscribe import NoSuchGroup, UnknownType
from tests.notify.listener import Message
from tests.notify.newsroom import Newsroom
from tests.notify.office import DIRECTORY, manager, soon, state

pytestmark = pytest.mark.real
REGIONS = [region.code for region in DIRECTORY if region.code.startswith("32.")][:6]


def facts(count: int) -> list[Fact[Any]]:
    """Of some regions in turn, each a revision further than its last one."""
    return [state(REGIONS[n % len(REGIONS)], n // len(REGIONS) + 1) for n in range(count)]


def names(of: list[Fact[Any]]) -> set[str]:
    return {str(fact.envelope.id) for fact in of}


def in_order(messages: list[Message]) -> bool:
    """Whether each aggregate's revisions rise, repeats left out."""
    seen: dict[str, list[int]] = {}
    for aggregate, revision in dict.fromkeys(message.about for message in messages):
        seen.setdefault(aggregate, []).append(revision)
    return all(earlier < later for revisions in seen.values() for earlier, later in pairwise(revisions))


async def test_what_happens_is_told_to_all_who_may(newsroom: Newsroom) -> None:
    sent = facts(20)
    async with (
        newsroom.replica() as here,
        newsroom.replica() as there,
        here.listener() as one,
        here.listener() as two,
        there.listener() as three,
    ):
        await newsroom.publish(*sent)
        for listener in (one, two, three):
            heard = await listener.take(len(sent))
            assert {message.name for message in heard} == names(sent)
            assert in_order(heard)
            assert {message.event for message in heard} == {"id.livinglab.assessment.submitted.v1"}
            assert 3_000 <= listener.retry <= 5_000


async def test_cut_after_every_message_nothing_is_missing_on_another_replica(newsroom: Newsroom) -> None:
    sent = facts(24)
    async with newsroom.replica() as here, newsroom.replica() as there:
        async with here.listener() as listener:
            await listener.until_id()
        last, heard = listener.last, list[Message]()
        for number, fact in enumerate(sent):
            await newsroom.publish(fact)
            if number % 2:  # two at a time, so that cuts fall inside what was missed too
                for where in (there, here):
                    async with where.listener(since=last) as listener:
                        heard += await listener.take(1)
                        last = listener.last
        assert [message.name for message in heard] == list(dict.fromkeys(message.name for message in heard))
        assert {message.name for message in heard} == names(sent)
        assert in_order(heard)


async def test_what_comes_while_it_catches_up_follows_without_a_gap(newsroom: Newsroom) -> None:
    before, meanwhile = facts(60)[:40], facts(60)[40:]
    async with newsroom.replica() as here:
        async with here.listener() as listener:
            await listener.until_id()
        await newsroom.publish(*before)
        async with here.listener(since=listener.last) as listener:
            first = await listener.take(1)
            await newsroom.publish(*meanwhile)
            heard = first + await listener.take(len(before) + len(meanwhile) - 1)
        assert {message.name for message in heard} == names(before + meanwhile)
        assert in_order(heard)


async def test_an_id_of_a_replica_that_is_ahead_repeats_with_the_same_ids(newsroom: Newsroom) -> None:
    sent = facts(6)
    async with newsroom.replica() as here:
        async with here.listener() as listener:
            await listener.until_id()
            begun = listener.last
            await newsroom.publish(*sent)
            once = await listener.take(len(sent))
        async with here.listener(since=begun) as listener:
            again = await listener.take(len(sent))
        assert {m.name: m.data for m in once} == {m.name: m.data for m in again}


async def test_filters_are_those_of_subscriptions(newsroom: Newsroom) -> None:
    async with newsroom.replica() as here:
        async with (
            here.listener(regions=[REGIONS[1]], types=["assessment.*"]) as narrow,
            here.listener(types=["score.*"]) as other,
        ):
            await newsroom.publish(*facts(12))
            heard = await narrow.take(2)
            assert {message.data["region"] for message in heard} == {REGIONS[1]}
            here.desk.streams.end_all("stopping")
            assert [message.event for message in await other.take(1)] == ["end"]
        with pytest.raises(UnknownType) as refused:
            async with here.listener(types=["nothing.*"]):
                pass
        assert refused.value.field == "type"
        with pytest.raises(NoSuchGroup):
            async with here.listener(groups=["nobody"]):
                pass


async def test_without_a_right_only_what_is_public(newsroom: Newsroom) -> None:
    hidden, public = state(REGIONS[0], 1), state(REGIONS[0], 2, public=True)
    async with newsroom.replica() as here, here.listener(manager("unicef")) as listener:
        await newsroom.publish(hidden, public)
        [heard] = await listener.take(1)
        assert heard.name == str(public.envelope.id)


async def test_a_token_narrows_what_the_organization_may_be_told(newsroom: Newsroom) -> None:
    reader = replace(manager("kemendagri"), roles=frozenset(), scores=manager("unicef").scores)
    public = state(REGIONS[0], 2, public=True)
    async with newsroom.replica() as here, here.listener(reader) as listener:
        await newsroom.publish(state(REGIONS[0], 1), public)
        [heard] = await listener.take(1)
        assert heard.name == str(public.envelope.id)


async def test_a_right_that_is_withdrawn_ends_the_stream_and_the_next_one_tells_less(newsroom: Newsroom) -> None:
    public = state(REGIONS[0], 3, public=True)
    async with newsroom.replica(stream_rights_every_s=0.1) as here:
        async with here.listener() as listener:
            await newsroom.publish(state(REGIONS[0], 1))
            assert len(await listener.take(1)) == 1
            await newsroom.office.grant("kemendagri", PUBLIC)
            [end] = await listener.take(1)
            assert (end.event, end.data) == ("end", {"reason": "rights_changed"})
        await newsroom.publish(state(REGIONS[0], 2), public)
        async with here.listener(since=listener.last) as listener:
            assert [message.name for message in await listener.take(1)] == [str(public.envelope.id)]


async def test_the_end_of_the_token_ends_it(newsroom: Newsroom) -> None:
    async with newsroom.replica() as here, here.listener(lasts_s=0.2) as listener:
        [end] = await listener.take(1)
        assert (end.event, end.data) == ("end", {"reason": "token_expired"})
        assert listener.last  # `end` keeps it


async def test_the_end_of_the_process_ends_it_and_lets_nobody_in(newsroom: Newsroom) -> None:
    async with newsroom.replica() as here, here.listener() as listener:
        here.ending.set()
        [end] = await listener.take(1)
        assert end.data == {"reason": "stopping"}
        with pytest.raises(Busy):
            async with here.listener():
                pass


async def test_silence_is_told_and_moves_the_id_on(newsroom: Newsroom) -> None:
    async with newsroom.replica(stream_heartbeat_s=0.05) as here:
        async with here.listener(types=["cycle.*"]) as listener:
            await listener.until_id()
            begun = listener.last
            await newsroom.publish(*facts(3))
            await listener.until_silent(3)
            assert listener.last != begun
        kept = here.desk.streams.place
        assert kept is not None
        await soon(lambda: asyncio.sleep(0, sum(kept.next("assessment", n) for n in range(3)) == 3))


async def test_a_slow_reader_is_cut_off_and_others_are_not(newsroom: Newsroom) -> None:
    sent = facts(30)
    async with newsroom.replica(stream_buffer_bytes=5_000) as here:
        async with here.listener() as slow, here.listener() as quick:
            await slow.until_id()
            begun = slow.last
            heard = list[Message]()
            for fact in sent:
                await newsroom.publish(fact)
                heard += await quick.take(1)
            assert {message.name for message in heard} == names(sent)
            assert [message.data for message in await slow.take(1)] == [{"reason": "too_slow"}]
            assert slow.last == begun
        async with here.listener(since=begun) as slow:
            assert {message.name for message in await slow.take(len(sent))} == names(sent)


async def test_a_reader_who_takes_nothing_at_all_is_left() -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        yield b": x\n\n"

    async def stuck(_message: Any) -> None:
        await asyncio.Event().wait()

    async def nothing_more() -> Any:
        await asyncio.Event().wait()

    await EventStream(pieces(), taken_within_s=0.05)({"type": "http"}, nothing_more, stuck)


async def test_catch_ups_are_bounded_in_number_and_length(newsroom: Newsroom) -> None:
    async with newsroom.replica(stream_catch_ups_max=1, stream_catch_up_records_max=20) as here:
        async with here.listener() as listener:
            await listener.until_id()
        begun = listener.last
        await newsroom.publish(*facts(12))
        place = here.desk.streams.place
        assert place is not None
        await soon(lambda: asyncio.sleep(0, sum(place.next("assessment", n) for n in range(3)) == 12))
        async with here.listener(since=begun) as first:
            with pytest.raises(Busy) as refused:
                async with here.listener(since=begun):
                    pass
            assert int(refused.value.headers["Retry-After"]) > 0
            async with here.listener():  # who missed nothing needs no place
                pass
            await first.take(12)
            await newsroom.publish(state("32.11", 50))
            await first.take(1)
            async with here.listener(since=begun) as second:
                await second.take(1)
        await newsroom.publish(*facts(24)[12:])
        await soon(lambda: asyncio.sleep(0, sum(place.next("assessment", n) for n in range(3)) == 25))
        async with here.listener(since=begun) as late:
            [reset] = await late.take(1)
            assert (reset.event, reset.data) == ("reset", {"reason": "too_far_behind"})
            now = state("32.11", 51)
            await newsroom.publish(now)
            assert [message.name for message in await late.take(1)] == [str(now.envelope.id)]


async def test_streams_are_bounded(newsroom: Newsroom) -> None:
    async with newsroom.replica(streams_per_organization_max=1, streams_max=2) as here:
        async with here.listener():
            with pytest.raises(TooManyStreams) as many:
                async with here.listener():
                    pass
            assert int(many.value.headers["Retry-After"]) > 0
            async with here.listener(manager("unicef")):
                with pytest.raises(Busy):
                    async with here.listener(manager("wahana")):
                        pass
        async with here.listener():
            pass


async def test_a_rebuilt_topic_is_told_by_reset_live_and_on_resume(newsroom: Newsroom) -> None:
    async with newsroom.replica() as here:
        async with here.listener() as listener:
            await newsroom.publish(*facts(3))
            await listener.take(3)
            before = listener.last
            await newsroom.publish(state(REGIONS[0], 9), epoch=Epoch(1))
            [reset] = await listener.take(1)
            assert (reset.event, reset.data) == ("reset", {"reason": "rebuilt"})
            after = listener.last
            fact = state(REGIONS[1], 9)
            await newsroom.publish(fact, epoch=Epoch(1))
            assert [message.name for message in await listener.take(1)] == [str(fact.envelope.id)]
        async with newsroom.replica() as there:  # it learns the epoch from what lies at the ends
            async with there.listener(since=before) as listener:
                assert [message.event for message in await listener.take(1)] == ["reset"]
            async with there.listener(since=after) as listener:
                assert [message.name for message in await listener.take(1)] == [str(fact.envelope.id)]


async def test_a_tail_that_begins_again_misses_nothing(newsroom: Newsroom) -> None:
    sent = facts(12)
    async with newsroom.replica() as here, here.listener() as listener:
        await newsroom.publish(*sent[:4])
        heard = await listener.take(4)
        await here.stop()
        await newsroom.publish(*sent[4:])
        here.begin()
        heard += await listener.take(8)
        assert [message.name for message in heard] == list(dict.fromkeys(message.name for message in heard))
        assert {message.name for message in heard} == names(sent)
        assert in_order(heard)


async def test_offsets_that_are_not_there_any_more_are_told_by_reset(newsroom: Newsroom) -> None:
    async with newsroom.replica() as here, here.listener() as listener:
        await newsroom.publish(*facts(3))
        await listener.take(3)
        await here.stop()
        kept = here.desk.streams.place
        assert kept is not None
        kept.move("assessment", 0, next=1_000)  # beyond the end, as after a rebuild that has less so far
        here.begin()
        assert [message.event for message in await listener.take(1)] == ["reset"]
        fact = state(REGIONS[0], 9)
        await newsroom.publish(fact)
        assert [message.name for message in await listener.take(1)] == [str(fact.envelope.id)]


async def test_garbage_is_passed_over(newsroom: Newsroom) -> None:
    fact = state(REGIONS[0], 1)
    async with newsroom.replica() as here:
        async with here.listener() as listener:
            await listener.until_id()
            begun = listener.last
            await newsroom.kafka.put(newsroom.assessments, b"?", headers=[("epoch", b"7")], partition=0)
            await newsroom.kafka.put(newsroom.assessments, None, partition=1)
            await newsroom.publish(fact)
            assert [message.name for message in await listener.take(1)] == [str(fact.envelope.id)]
        async with here.listener(since=begun) as listener:
            assert [message.name for message in await listener.take(1)] == [str(fact.envelope.id)]


@pytest.mark.parametrize("since", ["x", "gAAAAA", "%00"])
async def test_an_id_that_no_stream_gave_is_refused(newsroom: Newsroom, since: str) -> None:
    async with newsroom.replica() as here:
        with pytest.raises(InvalidLastEventId):
            async with here.listener(since=since):
                pass
