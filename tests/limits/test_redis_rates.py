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
from gatehouse.limits.redis_lines import RedisLines, RedisRefused, RedisUnanswered, RedisUnavailable
from gatehouse.limits.redis_rates import EXACT_TICKS, LEASE_US, MOST_TOGETHER, SCRIPT, RedisRates, storable

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


class CountedLines:
    """The lines, which count the runs of the script."""

    def __init__(self, lines: RedisLines) -> None:
        self.lines = lines
        self.runs = 0

    async def run(self, *told: Any) -> list[str]:
        self.runs += 1
        return await self.lines.run(*told)


@settings(max_examples=30, deadline=None)
@given(amounts=st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=1, max_size=2 * MOST_TOGETHER), apart=st.booleans())
def test_decisions_of_one_moment_travel_together_and_are_made_in_their_order(
    make_store: Callable[[], Store], amounts: list[list[int]], apart: bool
) -> None:
    store, rules = make_store(), [limit(burst=burst, id=str(place)) for place, burst in enumerate((20, 40, 30))]
    counted: Any = CountedLines(store.lines)
    store.rates._lines = counted
    memory = MemoryRates(lambda: store.now)
    memory.forget(store.now - 3600 * SECOND)
    store.at(store.now + 3600 * SECOND)
    asks = [list(zip(rules[:2] if apart and number % 2 else rules, each, strict=False)) for number, each in enumerate(amounts)]

    async def at_once() -> list[Decision]:
        return await asyncio.gather(*(store.rates.decide(each, returnable=True) for each in asks))

    counted.runs = 0
    found = store.run(at_once())
    assert counted.runs == -(-len(asks) // MOST_TOGETHER)
    assert [each[:5] for each in found] == [memory.decide(each, returnable=True)[:5] for each in asks]
    for each in found:
        store.run(store.rates.give_back(each))
    assert store.decide(*((rule, 0) for rule in rules)).remaining() == (20, 40, 30), "each gives back just what it took"


def test_a_limit_before_its_edit_and_after_it_are_never_decided_by_one_run(make_store: Callable[[], Store]) -> None:
    store = make_store()
    store.at(store.now + 3600 * SECOND)
    counted: Any = CountedLines(store.lines)
    store.rates._lines = counted
    old, new = limit(count=5, burst=20), limit(count=5, burst=10)

    async def at_once() -> list[Decision]:
        return await asyncio.gather(*(store.rates.decide([(rule, 6)]) for rule in (old, old, old, new)))

    assert sorted(each.admitted for each in store.run(at_once())) in ([False, True, True, True], [False, False, False, True])
    assert counted.runs == 2
    assert store.decide((new, 0)).remaining()[0] in (2, 4)


def test_a_caller_that_has_gone_before_its_decision_is_sent_takes_nothing(make_store: Callable[[], Store]) -> None:
    store = make_store()
    store.at(store.now + 3600 * SECOND)

    async def gone() -> None:
        waiting = [asyncio.ensure_future(store.rates.decide([(limit(), 1)])) for _ in range(5)]
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
        assert (await store.rates.decide([(limit(), 1)])).remaining() == (19,)

    store.run(gone())


@pytest.mark.parametrize("error", [RedisUnavailable("gone"), ValueError("odd")])
def test_where_redis_does_not_decide_each_of_those_that_went_together_is_told(make_store: Callable[[], Store], error: Exception) -> None:
    store = make_store()

    class Broken:
        async def run(self, *_told: Any) -> list[str]:
            raise error

    broken: Any = Broken()
    store.rates._lines = broken

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(store.rates.decide([(limit(), 1)]) for _ in range(3)), return_exceptions=True)

    assert all(isinstance(each, RedisUnavailable) for each in store.run(at_once()))


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None)
@given(shapes=shapes, age=ages, steps=steps)
def test_redis_decides_as_memory_does_in_10_000_cases(make_store: Callable[[], Store], shapes: Shapes, age: int, steps: Steps) -> None:
    no_difference(make_store, shapes, age, steps)


def spent_store(make_store: Callable[[], Store]) -> Store:
    """One that is long past its beginning, and of whose limit a burst of 20 has just been let in."""
    store = make_store()
    store.at(BEGIN + 3600 * SECOND)
    assert store.decide((limit(), 20)).admitted
    return store


def test_a_clock_that_is_set_back_lets_nothing_in_before_its_time(make_store: Callable[[], Store]) -> None:
    store = spent_store(make_store)
    store.at(store.now - 600 * SECOND)
    assert store.decide((limit(), 0)).remaining() == (0,)
    store.at(store.now + SECOND)
    assert store.decide((limit(), 0)).remaining() == (5,), "it fills from there on, and does not stand still for ten minutes"


def test_a_clock_set_back_behind_the_beginning_of_the_store_begins_it_anew(make_store: Callable[[], Store]) -> None:
    store = spent_store(make_store)
    store.at(BEGIN - 600 * SECOND)
    assert store.decide((limit(id="another"), 0)).remaining() == (0,)
    store.at(store.now + 2 * SECOND)
    assert store.decide((limit(), 0), (limit(id="another"), 0)).remaining() == (10, 10)


def test_a_store_that_lost_everything_starts_with_nothing_left(make_store: Callable[[], Store]) -> None:
    store = spent_store(make_store)
    keys = [f"{store.prefix}:{name}" for name in ("mark", "leases", limit().id)]
    store.run(store.lines._answer("DEL", *keys))
    store.at(store.now + SECOND)
    assert store.decide((limit(), 1)).admitted is False
    assert store.decide((limit(), 0)).remaining() == (0,)


def test_another_run_of_the_server_with_the_same_data_starts_with_nothing_left(make_store: Callable[[], Store]) -> None:
    store = make_store()
    store.at(BEGIN + 3600 * SECOND)
    mark = f"{store.prefix}:mark"
    _, rest = str(store.run(store.lines._answer("GET", mark))).split(" ", 1)
    store.run(store.lines._answer("SET", mark, f"another-run {rest}"))  # as after a restart from a snapshot, which may be old
    store.at(store.now)
    assert store.decide((limit(), 0)).remaining() == (0,)


def test_processes_with_a_lease_get_their_part_of_all_and_whoever_has_none_is_left_out(make_store: Callable[[], Store]) -> None:
    store = make_store()
    store.at(BEGIN + SECOND, processes=4)  # three others do not reach Redis
    store.at(BEGIN + 3600 * SECOND, processes=4)
    assert store.decide((limit(count=8, burst=20), 6)).refused_by == limit(count=8, burst=20).share(1, 4)
    assert store.decide((limit(count=8, burst=20), 5)).admitted
    store.at(store.now + 3600 * SECOND, processes=4)
    assert store.decide((limit(count=8, burst=20), 0)).remaining() == (5,)
    another = RedisRates(store.lines, "prc_2", store.prefix)
    store.run(another.attach(store.now + LEASE_US, 4))
    assert store.decide((limit(count=8, burst=20), 0)).remaining() == (0,), "a larger part starts with nothing left"
    store.at(store.now + SECOND, processes=4)
    assert store.decide((limit(count=8, burst=20), 0)).remaining() == (4,)


def test_without_any_lease_redis_lets_nothing_in(make_store: Callable[[], Store]) -> None:
    store = make_store()
    store.at(BEGIN + 3600 * SECOND, processes=2)
    clock = ("HSET", f"{store.prefix}:mark:clock", "s", BEGIN // SECOND + 3610)
    store.run(store.lines._answer(*clock))
    with pytest.raises(RedisRefused, match="no process is attached"):
        store.decide((limit(), 1))


def test_0_allowed_and_more_than_a_burst_are_refused_for_ever_and_take_nothing(make_store: Callable[[], Store]) -> None:
    store = make_store()
    store.at(BEGIN + 3600 * SECOND)
    for never in ((limit(count=0), 1), (limit(burst=0), 1), (limit(), 21)):
        decision = store.decide((limit(id="other"), 1), never)
        assert (decision.admitted, decision.refused_by, decision.wait_us) == (False, never[0], None)
    assert store.decide((limit(id="other"), 0)).remaining() == (20,)


def test_a_server_that_hangs_or_refuses_is_told_apart(valkey_url: str, runner: asyncio.Runner) -> None:
    async def ask() -> None:
        hanging = RedisLines(valkey_url, "while true do end", deadline_s=0.01)
        with pytest.raises(RedisUnanswered):
            await hanging._answer("BLPOP", "nothing", 5)
        failing = RedisLines(valkey_url, "return redis.call('NONSENSE')", deadline_s=10)
        with pytest.raises(RedisRefused):
            await failing.run((), "decide")
        await hanging.close()
        await failing.close()

    runner.run(ask())


def test_a_limit_too_large_for_doubles_lets_in_less_and_never_more() -> None:
    huge = limit(999_983, 86_400 * SECOND, 999_999_937)
    stored = storable(huge)
    assert stored.depth <= EXACT_TICKS
    assert stored.burst <= huge.burst
    assert stored.count * huge.period_us <= huge.count * stored.period_us
    assert stored.whole == huge
    assert storable(limit()) == limit()
