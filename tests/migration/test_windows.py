"""Which calls a brownout refuses: by the clock to the microsecond, by a fair draw, and of whom."""

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


def always() -> float:
    return 0.0


@given(now=LATER, length_us=st.integers(1, 4 * 10**9), gap_us=st.integers(0, 10**9), count=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_a_call_is_refused_exactly_while_a_window_is_open(now: datetime, length_us: int, gap_us: int, count: int) -> None:
    spans = [window(length_us / 6e7, starts_at=START + n * (length_us + gap_us) * TICK) for n in range(count)]
    found = Windows(reversed(spans), always).refusing("ten_1", "key", now, NOBODY)
    assert found == next((each for each in spans if each.starts_at <= now < each.ends_at), None)


@pytest.mark.parametrize(("now", "refused"), [(START - TICK, False), (START, True), (START + 600 * 10**6 * TICK - TICK, True)])
def test_the_edges_of_a_window(now: datetime, refused: bool) -> None:
    windows = Windows([window()], always)
    assert (windows.refusing("ten_1", "key", now, NOBODY) is not None) == refused
    assert windows.refusing("ten_1", "key", START + timedelta(minutes=10), NOBODY) is None


@given(end=LATER, before_us=st.integers(1, 4 * 10**9))
@settings(max_examples=60, deadline=None)
def test_after_retry_after_the_window_is_over_and_a_second_before_it_is_not(end: datetime, before_us: int) -> None:
    now = end - before_us * TICK
    seconds = seconds_until(end, now)
    assert seconds >= 1
    assert now + timedelta(seconds=seconds) >= end
    assert seconds == 1 or now + timedelta(seconds=seconds - 1) < end


@given(percent=st.integers(1, 100), draws=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_of_draws_that_are_spread_evenly_exactly_the_share_is_refused(percent: int, draws: int) -> None:
    numbers = iter([(n + 0.5) / (100 * draws) for n in range(100 * draws)])
    windows = Windows([window(percent=percent)], lambda: next(numbers))
    refused = [windows.refusing("ten_1", "key", START, NOBODY) for _ in range(100 * draws)]
    assert sum(each is not None for each in refused) == percent * draws


def test_a_window_of_one_tenant_is_no_other_tenants_and_a_rehearsal_no_other_keys() -> None:
    windows = Windows([window(tenant="ten_1"), window(tenant="ten_2", key="key_2")], always)

    def refused(tenant: str, key: str) -> bool:
        return windows.refusing(tenant, key, START, NOBODY) is not None

    assert refused("ten_1", "key_1")
    assert refused("ten_2", "key_2")
    assert not refused("ten_2", "key_1")
    assert not refused("ten_3", "key_2"), "a key's id is looked for within its own tenant"


def test_who_has_moved_is_spared_all_but_its_own_rehearsal() -> None:
    everybody, one, rehearsal = window(), window(tenant="ten_1"), window(tenant="ten_1", key="key_1")
    windows = Windows([everybody, one, rehearsal], always)
    assert windows.refusing("ten_1", "key_2", START, frozenset({"ten_1"})) is None
    assert windows.refusing("ten_1", "key_1", START, frozenset({"ten_1"})) == rehearsal
    assert windows.refusing("ten_2", "key_2", START, frozenset({"ten_1"})) == everybody


def test_while_it_is_not_known_who_has_moved_only_rehearsals_refuse() -> None:
    windows = Windows([window(), window(tenant="ten_1", key="key_1")], always)
    assert windows.refusing("ten_2", "key_2", START, None) is None
    assert windows.refusing("ten_1", "key_1", START, None) is not None


def test_of_several_windows_that_refuse_a_call_the_last_to_end_is_told() -> None:
    long, short = window(20), window(5, tenant="ten_1", key="key_1")
    assert Windows([short, long], always).refusing("ten_1", "key_1", START, NOBODY) == long
    assert Windows([long, window(30, tenant="ten_1", key="key_1")], always).refusing("ten_1", "key_1", START, NOBODY) != long
