"""Attempts over three days: soon at first, ever rarer, with jitter, and an end."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gatehouse.notices.schedule import LONGEST, TRIED_FOR, next_attempt

START = datetime(2026, 11, 15, tzinfo=UTC)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=60, max_size=60))
def test_a_failing_delivery_is_tried_for_three_days_with_growing_pauses(draws: list[float]) -> None:
    times, at = [START], START
    for draw in draws:
        following = next_attempt(START, at, draw)
        if following is None:
            break
        times.append(at := following)
    assert times[-1] == START + TRIED_FOR
    assert 15 <= len(times) <= 40
    assert timedelta(seconds=3) < times[1] - START < timedelta(seconds=7)
    assert all(timedelta(0) < later - earlier <= LONGEST * 1.25 for earlier, later in pairwise(times))


def test_jitter_spreads_the_pause_by_a_quarter_to_each_side() -> None:
    at = START + timedelta(hours=4)
    assert next_attempt(START, at, 0) == at + timedelta(hours=3)
    assert next_attempt(START, at, 0.5) == at + timedelta(hours=4)


def test_a_clock_that_was_set_back_does_no_harm() -> None:
    assert next_attempt(START, START - timedelta(hours=1), 0.5) == START - timedelta(hours=1) + timedelta(seconds=5)
