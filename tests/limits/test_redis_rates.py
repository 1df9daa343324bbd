"""Rates in Redis: the same as in memory, in every case; and what a server that fails, forgets or turns back its clock gets."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.limits.rate import Decision, MemoryRates, RateLimit
from gatehouse.limits.redis_lines import RedisLines
from gatehouse.limits.redis_rates import LEASE_US, SCRIPT, RedisRates

SECOND = 1_000_000
BEGIN = 1_790_000_000 * SECOND
CLOCK = "redis.call('TIME')"
T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


def limit(count: int = 5, period_us: int = SECOND, burst: int = 20, id: str = "tenant:t:requests") -> RateLimit:
    return RateLimit(id, "tenant-requests", "tenant", "requests", count, period_us, burst)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def lines(valkey_url: str, runner: asyncio.Runner) -> Iterator[RedisLines]:
    """A server whose clock stands still at what `Store.at` says: the one line of the script that reads it is another one."""
    assert SCRIPT.count(CLOCK) == 1
    made = RedisLines(valkey_url, SCRIPT.replace(CLOCK, "redis.call('HMGET', KEYS[1] .. ':clock', 's', 'us')"), deadline_s=10)
    yield made
    runner.run(made.close())


@dataclass(slots=True)
class Store:
    """One empty store of its own, and its clock."""

    run: Callable[[Coroutine[Any, Any, Any]], Any]
    lines: RedisLines
    rates: RedisRates
    prefix: str
    now: int = BEGIN

    def at(self, now: int, processes: int = 1) -> None:
        """Turn the clock and renew the lease."""
        self.now = now
        clock = ("HSET", f"{self.prefix}:mark:clock", "s", now // SECOND, "us", now % SECOND)
        self.run(self.lines._answer(*clock))
        self.run(self.rates.attach(now + LEASE_US, processes))

    def decide(self, *asks: tuple[RateLimit, int], returnable: bool = False) -> Decision:
        found: Decision = self.run(self.rates.decide(asks, returnable=returnable))
        return found


@pytest.fixture(scope="module")
def make_store(lines: RedisLines, runner: asyncio.Runner) -> Callable[[], Store]:
    def make() -> Store:
        prefix = secrets.token_hex(8)
        store = Store(runner.run, lines, RedisRates(lines, "prc_1", prefix), prefix)
        store.at(BEGIN)
        return store

    return make


open_limits = st.builds(
    limit, count=st.integers(1, 9), period_us=st.sampled_from([7, 1000, 999_983, SECOND, 60 * SECOND]), burst=st.integers(5, 30)
)
odd_limits = st.builds(
    limit, count=st.sampled_from([0, 1, 999_983]), period_us=st.sampled_from([1, 7, SECOND, 86_400 * SECOND]), burst=st.integers(0, 3)
)
limits_of_any_shape = st.one_of(open_limits, open_limits, open_limits, odd_limits)
JUST_BEFORE, JUST_THEN = -2, -1
"""Gaps: as long as the last refused call was told to wait, less 1 µs and exactly."""
gaps = st.one_of(st.just(0), st.sampled_from([0, JUST_BEFORE, JUST_THEN]), st.integers(0, 50), st.integers(0, SECOND))
amounts = st.one_of(st.integers(0, 8), st.integers(0, 8), st.integers(0, 32))
calls = st.tuples(st.just("call"), gaps, st.tuples(amounts, amounts))
backs = st.tuples(st.just("back"), gaps, st.integers(0, 40))
edits = st.tuples(st.just("edit"), gaps, st.tuples(st.integers(0, 1), limits_of_any_shape))
step = st.one_of(calls, calls, calls, backs, backs, edits)
steps = st.one_of(st.lists(step, min_size=3, max_size=10), st.lists(step, min_size=3, max_size=40))
shapes = st.tuples(limits_of_any_shape, limits_of_any_shape)
ages = st.one_of(st.integers(0, 10 * SECOND), st.just(40 * 86_400 * SECOND))
"""Since the store was empty: at first nothing is left of any limit."""


def no_difference(make_store: Callable[[], Store], shapes: Sequence[RateLimit], age: int, steps: list[tuple[str, int, Any]]) -> None:
    store, now = make_store(), BEGIN
    memory = MemoryRates(lambda: now)
    memory.forget(now)  # as the empty store starts
    memory._until_sweep = 10**9
    now += age
    rules = [limit(shape.count, shape.period_us, shape.burst, id=f"{number}") for number, shape in enumerate(shapes)]
    under_way: list[tuple[Decision, Decision]] = []
    wait_us = 0
    for step, gap, told in steps:
        now += gap if gap >= 0 else max(0, wait_us + gap + 1)
        store.at(now)
        if step == "edit":
            place, shape = told
            rules[place] = limit(shape.count, shape.period_us, shape.burst, id=f"{place}")
            continue
        if step == "back":
            if under_way:
                here, there = under_way.pop(told % len(under_way))
                memory.give_back(here)
                store.run(store.rates.give_back(there))
            wanted = (0, 0)
        else:
            wanted = told
        asks = list(zip(rules, wanted, strict=True))
        here, there = memory.decide(asks, returnable=True), store.decide(*asks, returnable=True)
        assert there[:5] == here[:5]
        assert there.remaining() == here.remaining()
        wait_us = here.wait_us or 0
        if here.admitted and any(wanted):
            under_way.append((here, there))


Shapes = tuple[RateLimit, RateLimit]
Steps = list[tuple[str, int, Any]]


@settings(max_examples=250, deadline=None)
@given(shapes=shapes, age=ages, steps=steps)
def test_redis_decides_as_memory_does(make_store: Callable[[], Store], shapes: Shapes, age: int, steps: Steps) -> None:
    no_difference(make_store, shapes, age, steps)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None)
@given(shapes=shapes, age=ages, steps=steps)
def test_redis_decides_as_memory_does_in_10_000_cases(make_store: Callable[[], Store], shapes: Shapes, age: int, steps: Steps) -> None:
    no_difference(make_store, shapes, age, steps)
