"""Which calls a brownout refuses: by the clock to the microsecond, by a fair draw, and of whom."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.migration.endpoint import Brownout
from gatehouse.migration.windows import Windows, seconds_until

START = datetime(2027, 5, 1, 10, tzinfo=UTC)
TICK = timedelta(microseconds=1)
NOBODY: frozenset[str] = frozenset()
LATER = st.integers(-(10**10), 10**10).map(lambda us: START + us * TICK)


def window(
    minutes: float = 10, percent: int = 100, tenant: str | None = None, key: str | None = None, starts_at: datetime = START
) -> Brownout:
    name = f"brn_{tenant}_{key}_{starts_at}"
    return Brownout(name, starts_at, starts_at + timedelta(minutes=minutes), percent, tenant, key)


def refusing(
    windows: Sequence[Brownout], now: datetime = START, tenant: str = "ten_1", key: str = "key_1", moved: frozenset[str] = NOBODY
) -> Brownout | None:
    """What refuses a call whose draw is the lowest, where it is known who has moved."""
    return Windows(windows, lambda: 0.0).refusing(tenant, key, now, {each.id: moved for each in windows})


@given(now=LATER, length_us=st.integers(1, 4 * 10**9), gap_us=st.integers(0, 10**9), count=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_a_call_is_refused_exactly_while_a_window_is_open(now: datetime, length_us: int, gap_us: int, count: int) -> None:
    spans = [window(length_us / 6e7, starts_at=START + n * (length_us + gap_us) * TICK) for n in range(count)]
    assert refusing(spans[::-1], now) == next((each for each in spans if each.starts_at <= now < each.ends_at), None)


@pytest.mark.parametrize(
    ("after", "refused"), [(-TICK, False), (0 * TICK, True), (6 * 10**8 * TICK - TICK, True), (6 * 10**8 * TICK, False)]
)
def test_the_edges_of_a_window(after: timedelta, refused: bool) -> None:
    assert (refusing([window()], START + after) is not None) == refused


@given(end=LATER, before_us=st.integers(1, 4 * 10**9))
@settings(max_examples=60, deadline=None)
def test_after_retry_after_the_window_is_over_and_a_second_before_it_is_not(end: datetime, before_us: int) -> None:
    now = end - before_us * TICK
    seconds = seconds_until(end, now)
    assert seconds >= 1
    assert now + timedelta(seconds=seconds) >= end
    assert seconds == 1 or now + timedelta(seconds=seconds - 1) < end


@given(percent=st.integers(1, 100), rounds=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_of_draws_that_are_spread_evenly_exactly_the_share_is_refused(percent: int, rounds: int) -> None:
    draws = iter([(n + 0.5) / (100 * rounds) for n in range(100 * rounds)])
    share = window(percent=percent)
    windows = Windows([share], lambda: next(draws))
    refused = [windows.refusing("ten_1", "key_1", START, {share.id: NOBODY}) for _ in range(100 * rounds)]
    assert sum(each is not None for each in refused) == percent * rounds


def test_a_window_of_one_tenant_is_no_other_tenants_and_a_rehearsal_no_other_keys() -> None:
    windows = [window(tenant="ten_1"), window(tenant="ten_2", key="key_2")]
    assert refusing(windows, tenant="ten_1", key="key_1") == windows[0]
    assert refusing(windows, tenant="ten_2", key="key_2") == windows[1]
    assert refusing(windows, tenant="ten_2", key="key_1") is None
    assert refusing(windows, tenant="ten_3", key="key_2") is None, "a key's id is looked for within its own tenant"


def test_who_has_moved_is_spared_all_but_its_own_rehearsal() -> None:
    moved = frozenset({"ten_1"})
    windows = [window(), window(tenant="ten_1"), rehearsal := window(tenant="ten_1", key="key_1")]
    assert refusing(windows, key="key_2", moved=moved) is None
    assert refusing(windows, key="key_1", moved=moved) == rehearsal
    assert refusing(windows, tenant="ten_2", moved=moved) == windows[0]


def test_while_it_is_not_known_of_a_window_who_has_moved_it_refuses_nobody() -> None:
    known, unknown, rehearsal = window(tenant="ten_1"), window(), window(tenant="ten_3", key="key_3")
    windows = Windows([known, unknown, rehearsal], lambda: 0.0)
    found = [windows.refusing(tenant, "key_3", START, {known.id: NOBODY}) for tenant in ("ten_1", "ten_2", "ten_3")]
    assert found == [known, None, rehearsal]


def test_of_several_windows_that_refuse_a_call_the_last_to_end_is_told() -> None:
    everybody, short, long = window(20), window(5, tenant="ten_1", key="key_1"), window(30, tenant="ten_1", key="key_1")
    assert refusing([short, everybody]) == everybody
    assert refusing([everybody, long]) == long
