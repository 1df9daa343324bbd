"""Shares of limits: each of N processes lets in 1/N, and all together never more than the whole."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spans import Admitted, over

from gatehouse.limits.deployment_rates import DeploymentRates
from gatehouse.limits.rate import Decision, RateLimit
from gatehouse.limits.shares import ShareRates

SECOND = 1_000_000


def limit(count: int = 6, burst: int = 20, id: str = "tenant:t:rows") -> RateLimit:
    return RateLimit(id, "tenant-rows", "tenant", "rows", count, SECOND, burst)


class Deployment:
    """Some processes on one clock, and how many of them each reckons with."""

    def __init__(self, processes: int) -> None:
        self.now = SECOND
        self.rates = [self._process(processes) for _ in range(processes)]

    def _process(self, processes: int) -> ShareRates:
        return ShareRates(lambda: self.now, processes)

    def join(self) -> None:
        """All others reckon with it first; then it starts with nothing left."""
        for rates in self.rates:
            rates.count(len(self.rates) + 1)
        self.rates.append(self._process(len(self.rates) + 1))
        self.rates[-1].start_spent()

    def leave(self) -> None:
        self.rates.pop()
        for rates in self.rates:
            rates.count(len(self.rates))

    def ask(self, number: int, *asks: tuple[RateLimit, int]) -> Decision:
        return self.rates[number].decide(asks)


def test_two_processes_let_in_half_of_a_burst_each() -> None:
    both = Deployment(2)
    assert [[both.ask(number, (limit(burst=20), 1)).admitted for _ in range(11)] for number in (0, 1)] == [[True] * 10 + [False]] * 2


def test_the_stated_wait_is_exact_for_a_share() -> None:
    both = Deployment(2)
    rule = limit(count=6, burst=20)
    assert both.ask(0, (rule, 10)).admitted
    wait_us = both.ask(0, (rule, 1)).wait_us
    assert wait_us == 333_334  # 3 a second
    both.now += wait_us - 1
    assert not both.ask(0, (rule, 1)).admitted
    both.now += 1
    assert both.ask(0, (rule, 1)).admitted


def test_a_refusal_by_a_share_alone_names_the_share_and_its_whole() -> None:
    both = Deployment(2)
    decision = both.ask(0, (limit(burst=21), 11))
    assert decision.refused_by is not None
    assert (decision.admitted, decision.wait_us) == (False, None)
    assert (decision.refused_by.burst, decision.refused_by.whole) == (10, limit(burst=21))


@pytest.mark.parametrize("never", [(limit(burst=20), 21), (limit(count=0), 1)])
def test_what_the_whole_limit_could_never_let_in_is_refused_by_the_whole_limit(never: tuple[RateLimit, int]) -> None:
    decision = Deployment(2).ask(0, (limit(id="key:k:rows"), never[1]), never)
    assert decision.refused_by is not None
    assert (decision.refused_by.id, decision.refused_by.whole, decision.wait_us) == (
        "key:k:rows" if never[1] > 20 else never[0].id,
        None,
        None,
    )


def test_a_process_that_joins_starts_with_nothing_left_and_a_larger_share_is_no_fuller_one() -> None:
    both = Deployment(1)
    both.join()
    assert both.ask(1, (limit(), 0)).remaining() == (0,)
    assert both.ask(0, (limit(), 10)).admitted
    both.leave()
    assert both.ask(0, (limit(), 0)).remaining() == (0,)
    both.now += SECOND
    assert both.ask(0, (limit(), 0)).remaining() == (6,)


def test_a_process_that_decides_on_nothing_while_another_comes_and_goes_keeps_no_more_than_its_share_was() -> None:
    both = Deployment(1)
    both.join()
    both.now += 20 * SECOND
    assert both.ask(1, (limit(), 10)).admitted
    both.leave()
    assert both.ask(0, (limit(), 0)).remaining() == (10,)


def test_a_share_fills_by_its_own_rate_from_the_moment_at_which_it_became_one() -> None:
    both = Deployment(1)
    assert both.ask(0, (limit(), 20)).admitted
    both.join()
    both.now += SECOND
    assert both.ask(0, (limit(), 0)).remaining() == (3,)


def test_what_a_process_gives_back_is_left_in_its_share() -> None:
    both = Deployment(2)
    decision = both.rates[0].decide([(limit(), 10)], returnable=True)
    both.rates[0].give_back(decision)
    assert both.ask(0, (limit(), 0)).remaining() == (10,)


@pytest.mark.parametrize("most", [1, 2048])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    burst=st.integers(0, 40),
    steps=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2 * SECOND), st.booleans()), min_size=2, max_size=40),
)
def test_what_is_asked_for_again_and_again_is_cut_anew_when_shares_change(
    monkeypatch: pytest.MonkeyPatch, most: int, burst: int, steps: Sequence[tuple[int, int, bool]]
) -> None:
    monkeypatch.setattr("gatehouse.limits.shares.CUTS_KEPT", most)
    now = SECOND
    kept, anew = (ShareRates(lambda: now, 2) for _ in range(2))
    rules = limit(burst=burst), limit(9, 30, "key:k:rows")
    one, none = (tuple((rule, amount) for rule in rules) for amount in (1, 0))
    for processes, gap, looks in steps:
        now += gap
        if kept._of != processes:
            kept.count(processes)
            anew.count(processes)
        asks = none if looks else one
        assert kept.decide(asks) == anew.decide([*asks])
        assert len(kept._cuts) <= min(2, most)
    assert not anew._cuts


steps = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "call", "join", "leave"]),
        st.one_of(st.just(0), st.integers(0, SECOND), st.integers(0, 20 * SECOND)),
        st.integers(0, 8),
        st.integers(1, 12),
    ),
    min_size=5,
    max_size=80,
)


@settings(max_examples=500, deadline=None)
@given(count=st.integers(1, 40), burst=st.integers(1, 40), begin=st.sampled_from([1, 3, 9]), steps=steps)
def test_all_processes_together_never_let_in_more_than_the_whole_limit(
    count: int, burst: int, begin: int, steps: Sequence[tuple[str, int, int, int]]
) -> None:
    deployment, rule = Deployment(begin), limit(count, burst)
    admitted: list[Admitted] = []
    for step, gap, number, amount in steps:
        deployment.now += gap
        if step == "join" and len(deployment.rates) < 12:
            deployment.join()
        elif step == "leave" and len(deployment.rates) > 1:
            deployment.leave()
        elif deployment.ask(number % len(deployment.rates), (rule, amount)).admitted:
            admitted.append(Admitted(deployment.now, amount))
    assert over(rule, admitted) == 0


@settings(max_examples=300, deadline=None)
@given(
    begin=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.one_of(st.none(), st.none(), st.integers(1, 3)), st.integers(0, 2 * SECOND), st.integers(0, 12)), max_size=40
    ),
)
def test_a_deployment_without_redis_decides_as_its_shares_do_however_its_processes_come_and_go(
    begin: int, steps: Sequence[tuple[int | None, int, int]]
) -> None:
    now = SECOND
    deployment, shares = DeploymentRates(lambda: now, lambda: begin), ShareRates(lambda: now, begin)
    for processes, gap, amount in steps:
        now += gap
        if processes is not None:
            deployment.count(processes)
            shares.count(processes)
        asks = [(limit(), amount), (limit(count=3, burst=15, id="key:k:rows"), amount)]
        here, there = deployment.decide(asks, returnable=True), shares.decide(asks, returnable=True)
        assert isinstance(here, Decision)
        assert here[:5] == there[:5]
        if amount % 3 == 0:
            back = deployment.give_back(here)
            shares.give_back(there)
            assert back.remaining() == shares.decide([(rule, 0) for rule, _ in asks]).remaining()
