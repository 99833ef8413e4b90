"""How often a topic was rebuilt, as it is told beside each fact."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.clock import now
from chassis.epochs import EPOCH, REBUILT_AT, Epoch, Epochs
from chassis.store import Database

instants = st.datetimes(datetime(2001, 9, 10), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(st.integers(1, 999_999_999), instants)
def test_what_is_told_is_read(number: int, at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    told = Epoch(number, rebuilt_at=at)
    read = Epoch.read(told.headers())
    assert read.number == number
    assert read.rebuilt_at is not None and abs(read.rebuilt_at - at) < timedelta(milliseconds=1)


def test_a_topic_that_was_never_rebuilt_says_no_more() -> None:
    assert Epoch().headers() == [(EPOCH, b"0")]
    assert Epoch.read([]) == Epoch.read([(EPOCH, b"0")]) == Epoch()


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_anything_may_be_in_these_headers(number: bytes, at: bytes) -> None:
    Epoch.read([(EPOCH, number), (REBUILT_AT, at)])


@pytest.mark.parametrize("at", [b"9" * 40, b"-1", "٣".encode(), b"", None])
def test_an_instant_beyond_all_time_is_none_or_far(at: bytes | None) -> None:
    assert Epoch.read([(EPOCH, b"3"), (REBUILT_AT, at)]).number == 3


@pytest.mark.real
async def test_rebuilds_are_counted_and_only_one_from_archives_says_since_when_all_is_past(database: Database) -> None:
    assert await Epochs(database).of("livinglab.assessment") == Epoch()
    begun = now()
    assert await Epochs(database).raise_one("livinglab.assessment", from_archives=True) == 1
    first = await Epochs(database).of("livinglab.assessment")
    assert first.number == 1
    assert first.rebuilt_at is not None and abs(first.rebuilt_at - begun) < timedelta(seconds=20)
    assert await Epochs(database).raise_one("livinglab.assessment", from_archives=False) == 2
    assert await Epochs(database).of("livinglab.assessment") == Epoch(2)
