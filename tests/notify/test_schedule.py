"""When it is tried again: pure functions of attempts and time, followed here over their five days."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.endpoint import (
    DISABLED_AFTER,
    FIRST_PAUSE_S,
    LONGEST_PAUSE,
    OPENS_AFTER,
    Health,
    after_failure,
    is_given_up,
)
from services.notify.domain.schedule import (
    JITTER,
    RETRY_AFTER_MAX_S,
    SCHEDULE_S,
    Verdict,
    parse_retry_after,
    retry_at,
    spread,
    verdict,
)

LONGEST_PAUSE_S = FIRST_PAUSE_S * LONGEST_PAUSE
BEGUN = datetime(2026, 11, 22, 9, tzinfo=UTC)


def test_ten_attempts_in_three_days_each_at_its_time() -> None:
    at, times = BEGUN, [BEGUN]
    while (again := retry_at("a", len(times), now=at)) is not None:
        times.append(at := again)
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert len(times) == 10
    for wait, planned in zip(waits, SCHEDULE_S[1:], strict=True):
        assert planned <= wait <= planned * (1 + JITTER)
    assert timedelta(days=3.1) < times[-1] - BEGUN < timedelta(days=3.8)


def test_the_same_delivery_is_tried_at_the_same_time_whoever_asks() -> None:
    assert retry_at("a", 3, now=BEGUN) == retry_at("a", 3, now=BEGUN) != retry_at("b", 3, now=BEGUN)


def test_a_storm_is_spread() -> None:
    tenths = [0] * 10
    for number in range(1_000):
        tenths[int(spread(f"delivery {number}") * 10)] += 1
    assert min(tenths) > 60
    assert max(tenths) < 140


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *[(status, "delivered") for status in (200, 204, 299)],
        *[(status, "failed") for status in (None, 101, 301, 302, 404, 429, 500, 600)],
        (410, "gone"),
    ],
)
def test_only_success_is_success(status: int | None, expected: str) -> None:
    assert verdict(status) is Verdict(expected)


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Sun, 22 Nov 2026 09:01:00 GMT", 60.0),
        ("Sun, 22 Nov 2026 08:00:00 GMT", 0.0),
        ("99999999999999999999", 999_999_999.0),
        *[(odd, None) for odd in ("", None, "-5", "1.5", "1e3", "soon", "٣", "0x10", "Sun, 99 Nov 2026 09:01:00 GMT")],
    ],
)
def test_retry_after_is_read_as_the_standard_has_it_or_not_at_all(sent: str | None, seconds: float | None) -> None:
    assert parse_retry_after(sent, now=BEGUN) == seconds


@given(st.text(max_size=40))
def test_whatever_retry_after_holds_it_is_no_error(sent: str) -> None:
    said = parse_retry_after(sent, now=BEGUN)
    assert said is None or said >= 0


def test_retry_after_puts_off_and_never_hastens() -> None:
    hour = retry_at("a", 1, now=BEGUN, retry_after_s=3_600)
    assert hour == BEGUN + timedelta(hours=1)
    assert retry_at("a", 2, now=BEGUN, retry_after_s=1) == retry_at("a", 2, now=BEGUN)
    far = retry_at("a", 1, now=BEGUN, retry_after_s=1e9)
    assert far == BEGUN + timedelta(seconds=RETRY_AFTER_MAX_S)
    assert retry_at("a", 10, now=BEGUN, retry_after_s=5) is None


def test_an_endpoint_is_spared_after_failures_in_a_row_and_longer_each_time() -> None:
    health, pauses = Health(), list[float]()
    for _ in range(12):
        health = after_failure(health, name="e", now=BEGUN)
        pauses.append((health.open_until - BEGUN).total_seconds() if health.open_until else 0.0)
    assert pauses[: OPENS_AFTER - 1] == [0.0] * (OPENS_AFTER - 1)
    assert all(later >= earlier for earlier, later in pairwise(pauses))
    assert LONGEST_PAUSE_S <= pauses[-1] <= LONGEST_PAUSE_S * (1 + JITTER)
    assert health.probing


def test_an_endpoint_that_asks_for_time_gets_it_at_the_first_failure() -> None:
    health = after_failure(Health(), name="e", now=BEGUN, retry_after_s=30)
    assert health.open_until == BEGUN + timedelta(seconds=30)
    assert after_failure(Health(), name="e", now=BEGUN, retry_after_s=1e9).open_until == BEGUN + timedelta(
        seconds=LONGEST_PAUSE_S
    )


def test_five_days_of_nothing_but_failures_and_it_is_given_up() -> None:
    health, at = Health(), BEGUN
    while not is_given_up(health, now=at):
        health = after_failure(health, name="e", now=at)
        at = max(health.open_until or at, at + timedelta(seconds=5))
    assert DISABLED_AFTER <= at - BEGUN <= DISABLED_AFTER + timedelta(seconds=2 * LONGEST_PAUSE_S)
    assert not is_given_up(Health(), now=at)
