"""The GCRA rule against its definition, and many limits in one decision."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatehouse.limits.rate import CHECKED_PER_SWEEP, DECISIONS_PER_SWEEP, Decision, MemoryRates, RateLimit

SECOND = 1_000_000


class Clock:
    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def limit(count: int = 5, period_us: int = SECOND, burst: int = 20, id: str = "tenant:t:requests") -> RateLimit:
    return RateLimit(id, "tenant-requests", "tenant", "requests", count, period_us, burst)


def ask(rates: MemoryRates, *asks: tuple[RateLimit, int]) -> Decision:
    return rates.decide(asks)


class Oracle:
    """The definition itself: in every span that ends now, at most burst + count * t / period."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self.admitted: list[tuple[int, int]] = []

    def allows(self, now: int, amount: int) -> bool:
        inside = amount
        if Fraction(inside) > self.limit.burst:
            return False
        for at, earlier in reversed(self.admitted):
            inside += earlier
            if inside > self.limit.burst + Fraction(self.limit.count * (now - at), self.limit.period_us):
                return False
        return True


limits_of_any_shape = st.builds(
    limit, count=st.integers(1, 50), period_us=st.sampled_from([1, 7, 1000, 999_983, SECOND, 60 * SECOND]), burst=st.integers(1, 30)
)
gaps = st.one_of(st.just(0), st.integers(0, 50), st.integers(0, 3 * SECOND))


def no_difference_from_the_definition(rule: RateLimit, calls: list[tuple[int, int]]) -> None:
    clock, oracle = Clock(12345), Oracle(rule)
    rates = MemoryRates(clock)
    for gap, amount in calls:
        clock.now += gap
        decision = ask(rates, (rule, amount))
        assert decision.admitted == oracle.allows(clock.now, amount)
        if decision.admitted:
            oracle.admitted.append((clock.now, amount))
        # the definition asked again for what is said to be left: just that, and not one more
        (left,) = decision.remaining()
        assert left == 0 or oracle.allows(clock.now, left)
        assert not oracle.allows(clock.now, left + 1)


calls_of_one = st.lists(st.tuples(gaps, st.integers(1, 32)), max_size=40)


@settings(max_examples=700, deadline=None)
@given(limits_of_any_shape, calls_of_one)
def test_exactly_what_the_definition_allows_is_let_in(rule: RateLimit, calls: list[tuple[int, int]]) -> None:
    no_difference_from_the_definition(rule, calls)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None)
@given(limits_of_any_shape, calls_of_one)
def test_exactly_what_the_definition_allows_is_let_in_in_10_000_cases(rule: RateLimit, calls: list[tuple[int, int]]) -> None:
    no_difference_from_the_definition(rule, calls)


@settings(max_examples=500, deadline=None)
@given(st.lists(limits_of_any_shape, min_size=1, max_size=4), st.lists(st.tuples(gaps, st.integers(1, 32)), min_size=1, max_size=30))
def test_row_58_a_refused_call_passes_after_the_stated_wait_and_not_a_microsecond_before(
    shapes: list[RateLimit], calls: list[tuple[int, int]]
) -> None:
    rules = [limit(shape.count, shape.period_us, shape.burst, id=str(number)) for number, shape in enumerate(shapes)]
    clock = Clock(1)
    rates = MemoryRates(clock)
    for gap, amount in calls:
        clock.now += gap
        asks = [(rule, amount) for rule in rules]
        decision = rates.decide(asks)
        if decision.admitted:
            continue
        assert (decision.wait_us is None) == any(amount > rule.burst for rule in rules)
        if decision.wait_us is None:
            continue
        now = clock.now
        clock.now = now + decision.wait_us - 1
        assert not rates.decide(asks).admitted
        clock.now = now + decision.wait_us
        assert rates.decide(asks).admitted


@settings(max_examples=500, deadline=None)
@given(st.lists(limits_of_any_shape, min_size=2, max_size=4), st.lists(st.tuples(gaps, st.integers(1, 32)), max_size=30))
def test_all_limits_let_a_call_in_or_none_counts_it(shapes: list[RateLimit], calls: list[tuple[int, int]]) -> None:
    rules = [limit(shape.count, shape.period_us, shape.burst, id=str(number)) for number, shape in enumerate(shapes)]
    clock = Clock(1)
    together, oracles = MemoryRates(clock), [Oracle(rule) for rule in rules]
    for gap, amount in calls:
        clock.now += gap
        allowed = all(oracle.allows(clock.now, amount) for oracle in oracles)
        decision = together.decide([(rule, amount) for rule in rules])
        assert decision.admitted == allowed
        if allowed:
            for oracle in oracles:
                oracle.admitted.append((clock.now, amount))
        assert all(not oracle.allows(clock.now, left + 1) for oracle, left in zip(oracles, decision.remaining(), strict=True))


@pytest.mark.parametrize(("count", "burst"), [(3, 1), (7, 20), (1000, 7), (999_983, 3)])
def test_a_whole_burst_is_let_in_where_a_unit_is_no_whole_number_of_microseconds(count: int, burst: int) -> None:
    rule = limit(count, SECOND, burst)
    assert ask(MemoryRates(Clock(5)), (rule, burst)).admitted
    one_by_one = MemoryRates(Clock(5))
    assert [ask(one_by_one, (rule, 1)).admitted for _ in range(burst + 1)] == [True] * burst + [False]


calls_and_returns = st.lists(
    st.one_of(
        st.tuples(st.just("call"), gaps, st.integers(1, 32)),
        st.tuples(st.just("back"), gaps, st.integers(0, 40)),
    ),
    max_size=60,
)


@settings(max_examples=700, deadline=None)
@given(limits_of_any_shape, calls_and_returns)
def test_what_is_given_back_is_let_in_again_and_never_twice(rule: RateLimit, steps: list[tuple[str, int, int]]) -> None:
    clock, oracle = Clock(12345), Oracle(rule)
    rates = MemoryRates(clock)
    rates._until_sweep = 3
    under_way: list[tuple[Decision, tuple[int, int]]] = []
    for step, gap, number in steps:
        clock.now += gap
        if step == "call":
            decision = rates.decide([(rule, number)], returnable=True)
            if decision.admitted:
                assert oracle.allows(clock.now, number)
                oracle.admitted.append((clock.now, number))
                under_way.append((decision, oracle.admitted[-1]))
        elif under_way:
            decision, entry = under_way.pop(number % len(under_way))
            rates.give_back(decision)
            oracle.admitted.remove(entry)
        (left,) = ask(rates, (rule, 0)).remaining()
        assert left == 0 or oracle.allows(clock.now, left)
        assert left <= rule.burst


@settings(max_examples=200, deadline=None)
@given(limits_of_any_shape, st.lists(st.integers(1, 8), min_size=1, max_size=8), gaps, st.randoms(use_true_random=False))
def test_a_limit_of_which_all_is_given_back_is_whole(rule: RateLimit, amounts: list[int], gap: int, order: Random) -> None:
    clock = Clock(5)
    rates = MemoryRates(clock)
    decisions = [rates.decide([(rule, amount)], returnable=True) for amount in amounts]
    clock.now += gap
    for decision in order.sample(decisions, len(decisions)):
        rates.give_back(decision)
    assert ask(rates, (rule, rule.burst)).admitted


def test_what_is_given_back_of_an_old_limit_adds_nothing_to_the_one_that_replaced_it() -> None:
    rates = MemoryRates(Clock(SECOND))
    before = rates.decide([(limit(5, SECOND, 20), 20)], returnable=True)
    assert ask(rates, (limit(1, SECOND, 30), 0)).admitted
    ask(rates, (limit(7, SECOND, 29), 1))
    left = ask(rates, (limit(7, SECOND, 29), 0)).remaining()
    rates.give_back(before)
    assert ask(rates, (limit(7, SECOND, 29), 0)).remaining() == left


def test_the_limit_that_refuses_longest_is_named() -> None:
    slow, fast = limit(1, 60 * SECOND, 1, id="slow"), limit(1, SECOND, 1, id="fast")
    rates = MemoryRates(Clock(1))
    ask(rates, (fast, 1), (slow, 1))
    decision = ask(rates, (fast, 1), (slow, 1))
    assert decision.refused_by is slow
    assert decision.wait_us == 60 * SECOND


def test_more_than_a_burst_is_never_let_in_however_long_it_waits() -> None:
    clock = Clock(1)
    rates = MemoryRates(clock)
    rule = limit(burst=20)
    assert ask(rates, (rule, 21))[3:5] == (rule, None)
    clock.now = 10**15
    assert not ask(rates, (rule, 21)).admitted
    assert ask(rates, (rule, 20)).admitted


@pytest.mark.parametrize("closed", [limit(count=0), limit(burst=0), limit(count=0, burst=0)])
def test_a_limit_of_0_lets_nothing_in_and_names_no_wait(closed: RateLimit) -> None:
    decision = ask(MemoryRates(Clock(10**12)), (limit(id="open"), 1), (closed, 1))
    assert not decision.admitted
    assert (decision.refused_by, decision.wait_us, decision.remaining()) == (closed, None, (20, 0))


def test_a_look_at_a_closed_limit_is_admitted_also_while_all_is_deemed_spent() -> None:
    rates = MemoryRates(Clock(10**6))
    rates.forget(2 * 10**6)
    assert ask(rates, (limit(count=0), 0)).admitted
    assert not ask(rates, (limit(count=0), 1)).admitted


def test_a_refused_call_leaves_nothing_behind() -> None:
    rates = MemoryRates(Clock(SECOND))
    spent, used = limit(burst=1, id="spent"), limit(id="used")
    assert ask(rates, (spent, 1), (used, 4)).admitted
    refused = ask(rates, (limit(id="new"), 1), (used, 3), (spent, 1), (limit(id="last"), 1))
    assert (refused.admitted, refused.remaining()) == (False, (20, 16, 0, 20))
    assert ask(rates, (used, 0)).remaining() == (16,)
    assert not {"new", "last"} & set(rates._states)


@pytest.mark.parametrize("most", [1, 2, 4096])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shapes=st.tuples(limits_of_any_shape, limits_of_any_shape),
    steps=st.lists(st.tuples(gaps, st.integers(0, 9), st.integers(0, 9), st.sampled_from(["ask"] * 6 + ["edit", "grow"])), max_size=30),
)
def test_what_follows_from_the_past_alone_is_the_same_however_often_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, most: int, shapes: tuple[RateLimit, RateLimit], steps: list[tuple[int, int, int, str]]
) -> None:
    monkeypatch.setattr("gatehouse.limits.rate.UNUSED_KEPT", most)
    clock = Clock(SECOND)
    kept, anew = MemoryRates(clock), MemoryRates(clock)
    for rates in (kept, anew):
        rates.forget(2 * SECOND)
    one, other = (limit(each.count, each.period_us, each.burst, id=str(number)) for number, each in enumerate(shapes))
    for gap, first, second, what in steps:
        clock.now += gap
        if what == "edit":
            one = limit(one.count, one.period_us, one.burst + first, id="0")
        if what == "grow":
            for rates in (kept, anew):
                rates.resize(lambda each: each, Fraction(2), clock.now)
        anew._unused.clear()
        here, there = (rates.decide([(one, first), (other, second)], returnable=True) for rates in (kept, anew))
        assert here[:5] == there[:5]
        assert len(kept._unused) <= most
        if second % 3 == 0:
            kept.give_back(here)
            anew.give_back(there)


def test_an_ask_of_0_looks_without_counting() -> None:
    rates = MemoryRates(Clock(1))
    rule = limit(burst=20)
    ask(rates, (rule, 5))
    assert [ask(rates, (rule, 0)).remaining() for _ in range(2)] == [(15,), (15,)]
    assert len(rates) == 1


def test_an_edited_limit_takes_over_what_has_been_used() -> None:
    clock = Clock(SECOND)
    rates = MemoryRates(clock)
    ask(rates, (limit(5, SECOND, 20), 20))
    assert ask(rates, (limit(7, SECOND, 28), 0)).remaining() == (0,)
    clock.now += SECOND
    assert ask(rates, (limit(7, SECOND, 28), 0)).remaining() == (7,)


def test_a_limit_made_smaller_refuses_no_longer_than_its_own_burst_takes() -> None:
    rates = MemoryRates(Clock(SECOND))
    ask(rates, (limit(1, 3600 * SECOND, 1000), 1000))
    decision = ask(rates, (limit(1, SECOND, 5), 1))
    assert decision.wait_us == SECOND


@pytest.mark.parametrize("old", [limit(count=1, period_us=3600 * SECOND, burst=1), limit(count=1, period_us=60 * SECOND, burst=5)])
@pytest.mark.parametrize("new", [limit(count=50, burst=200), limit(count=7, burst=3), limit(count=1, period_us=10 * SECOND, burst=1)])
def test_row_58_the_wait_told_after_an_edit_is_the_truth_however_often_it_is_asked(old: RateLimit, new: RateLimit) -> None:
    clock = Clock()
    rates = MemoryRates(clock)
    while ask(rates, (old, 1)).admitted:
        pass
    refused = ask(rates, (new, 1))
    assert not refused.admitted
    assert refused.wait_us is not None
    step = refused.wait_us // 3
    for _ in range(2):
        clock.now += step
        assert not ask(rates, (new, 1)).admitted
    clock.now += refused.wait_us - 2 * step
    assert ask(rates, (new, 1)).admitted


def test_limits_that_are_whole_again_are_forgotten() -> None:
    clock = Clock(1)
    rates = MemoryRates(clock)
    most = 0
    for number in range(40 * DECISIONS_PER_SWEEP):
        clock.now += SECOND // 100
        ask(rates, *[(limit(5, SECOND, 20, id=f"{number}:{part}"), 1) for part in range(4)])
        most = max(most, len(rates))
    assert most <= 80 + 2 * CHECKED_PER_SWEEP  # 80 are in use at any time, each for 0.2 s
    clock.now += 60 * SECOND
    for _ in range(4 * DECISIONS_PER_SWEEP):
        ask(rates, (limit(id="last"), 0))
    assert len(rates) == 0


@pytest.mark.parametrize("wrong", [{"count": -1}, {"burst": -1}, {"period_us": 0}])
def test_a_limit_that_means_nothing_cannot_be_made(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a limit needs"):
        limit(**wrong)
