"""How guessing passwords is slowed: held against a plain oracle, and the promise that nobody is kept out for long."""

from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.errors import Overloaded, TooManyFailures
from gatehouse.limits.failed_logins import FEW, MANY, PER_NETWORK, SPARE_S, FailedLogins
from gatehouse.limits.rate import MemoryRates

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.9"


@dataclass
class Clock:
    us: int = 1_000_000


@dataclass
class Bucket:
    """Failures that leak away; exact."""

    holds: int
    each_s: Fraction
    level: Fraction = Fraction(0)
    at_us: int = 0

    def wait_s(self, now_us: int) -> Fraction:
        """Seconds until one more fits."""
        self.level = max(Fraction(0), self.level - Fraction(now_us - self.at_us, 1_000_000) / self.each_s)
        self.at_us = now_us
        return max(Fraction(0), (self.level + 1 - self.holds) * self.each_s)


@dataclass
class Oracle:
    """The rule in words of its own."""

    buckets: dict[tuple[str, ...], Bucket] = field(default_factory=dict)

    def of(self, kind: str, holds: int, each_s: Fraction, *ids: str) -> Bucket:
        return self.buckets.setdefault((kind, *ids), Bucket(holds, each_s))

    def fail(self, name: str, network: str, now_us: int) -> Fraction:
        """One more failure, or the seconds until there may be one."""
        both = [
            self.of("network", PER_NETWORK, Fraction(60, PER_NETWORK), network),
            self.of("pair", FEW, Fraction(60), name, network),
        ]
        ways = [[*both, self.of("name", MANY, Fraction(60), name)], [*both, self.of("spare", 1, Fraction(SPARE_S), name, network)]]
        waits = [max(bucket.wait_s(now_us) for bucket in way) for way in ways]
        for way, wait in zip(ways, waits, strict=True):
            if not wait:
                for bucket in way:
                    bucket.level += 1
                return Fraction(0)
        return min(waits)


def failures(clock: Clock, processes: int = 1) -> FailedLogins:
    return FailedLogins(MemoryRates(lambda: clock.us), lambda: processes)


def wait_of(logins: FailedLogins, name: str, address: str, *, failed: bool = True) -> int:
    """Seconds that a login must wait; 0 for one that was tried."""
    try:
        with logins.attempt(name, address) as attempt:
            attempt.failed = failed
    except TooManyFailures as refusal:
        return int(dict(refusal.headers)["Retry-After"])
    return 0


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 200), st.integers(1, 8)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_every_attempt_is_let_in_or_told_to_wait_as_the_rule_says(steps: list[tuple[str, int, int, int]]) -> None:
    clock, oracle = Clock(), Oracle()
    logins = failures(clock)
    for name, network, pause_s, times in steps:
        clock.us += pause_s * 1_000_000 // 4
        for _ in range(times):
            wait = oracle.fail(name, f"192.0.2.{network}", clock.us)
            assert wait_of(logins, name, f"192.0.2.{network}") == -(-wait.numerator // wait.denominator)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 4))
def test_row_58_after_just_the_time_stated_the_login_is_tried(steps: list[tuple[str, int, int, int]], processes: int) -> None:
    clock = Clock()
    logins = failures(clock, processes)
    for name, network, pause_s, times in steps:
        clock.us += pause_s * 1_000_000 // 4
        for _ in range(times):
            wait = wait_of(logins, name, f"192.0.2.{network}")
            if wait:
                clock.us += wait * 1_000_000
                assert wait_of(logins, name, f"192.0.2.{network}") == 0
                break


def test_a_few_failures_of_one_name_from_one_network_then_one_a_minute() -> None:
    clock = Clock()
    logins = failures(clock)
    assert [wait_of(logins, "alice", HOME) for _ in range(FEW + 1)] == [*[0] * FEW, 60]
    assert wait_of(logins, "bob", HOME) == 0
    assert wait_of(logins, "alice", ELSEWHERE) == 0
    clock.us += 59_000_000
    assert wait_of(logins, "alice", HOME) == 1


def test_whoever_guesses_from_everywhere_keeps_nobody_out_for_longer_than_five_minutes() -> None:
    clock = Clock()
    logins = failures(clock)
    for second in range(3600):  # an hour of guesses from thousands of networks
        clock.us += 1_000_000
        wait_of(logins, "alice", f"203.0.{second // 250}.{second % 250}")
    assert wait_of(logins, "alice", HOME, failed=False) == 0, "who is right the first time does not notice"
    assert wait_of(logins, "alice", HOME) == 0
    assert 0 < wait_of(logins, "alice", HOME) <= SPARE_S, "one who mistypes waits for five minutes at most"
    clock.us += SPARE_S * 1_000_000
    wait_of(logins, "alice", ELSEWHERE)  # takes what the name has left in all by then
    assert wait_of(logins, "alice", HOME) == 0


def test_over_all_names_a_network_has_thirty_failures_a_minute_and_an_ipv6_one_is_a_64() -> None:
    clock = Clock()
    logins = failures(clock)
    assert [wait_of(logins, f"name{n}", f"2001:db8::{n}") for n in range(PER_NETWORK + 1)] == [*[0] * PER_NETWORK, 2]
    assert wait_of(logins, "name", "2001:db8:0:1::1") == 0


def test_who_is_let_in_has_used_nothing_and_codes_count_by_network() -> None:
    logins = failures(Clock())
    assert [wait_of(logins, "alice", HOME, failed=False) for _ in range(200)] == [0] * 200
    for _ in range(PER_NETWORK):
        with logins.attempt_code(HOME) as attempt:
            attempt.failed = True
    with pytest.raises(TooManyFailures), logins.attempt_code(HOME):
        pass
    assert wait_of(logins, "alice", HOME) == 2
    assert (logins.counted, logins.refused) == (PER_NETWORK, 2)


def test_attempts_under_way_count_until_they_have_ended() -> None:
    logins = failures(Clock())
    under_way = [logins.attempt("alice", HOME) for _ in range(FEW)]
    for each in under_way:
        each.__enter__()
    assert wait_of(logins, "alice", HOME) == 1, "of a thousand at once no more than these are tried, and none of them has failed"
    for each in under_way:
        each.__exit__(None, None, None)
    assert wait_of(logins, "alice", HOME) == 0
    assert not logins._under_way, "nothing is kept of what has ended"


def test_where_enough_have_failed_the_wait_is_that_of_failures_whatever_is_under_way() -> None:
    clock = Clock()
    logins = failures(clock)
    for _ in range(FEW - 1):
        wait_of(logins, "alice", HOME)
    with logins.attempt("alice", HOME) as attempt:
        assert wait_of(logins, "alice", HOME) == 1
        attempt.fail()
    assert wait_of(logins, "alice", HOME) == 60
    clock.us += 60_000_000
    with logins.attempt("alice", HOME):
        assert wait_of(logins, "alice", HOME) == 1, "the place that it has taken is free again if it does not fail"
        clock.us += 30_000_000
    with logins.attempt("bob", HOME):
        wait_of(logins, "alice", HOME)
        assert wait_of(logins, "alice", HOME) == 30, "what is under way for another name is not in the way"


def test_each_of_several_processes_lets_its_share_happen() -> None:
    logins = failures(Clock(), 5)
    assert [wait_of(logins, "alice", HOME) for _ in range(2)] == [0, 300]
    assert [wait_of(logins, f"name{n}", ELSEWHERE) for n in range(7)] == [*[0] * 6, 10]


def test_row_62_names_and_networks_without_end_fill_no_memory_and_those_that_are_known_go_on() -> None:
    clock, most = Clock(), 90
    rates = MemoryRates(lambda: clock.us)
    logins = FailedLogins(rates, most=most)
    assert wait_of(logins, "alice", HOME) == 0
    networks = [f"2001:db8:{n:x}::1" for n in range(500)]
    for n, network in enumerate(networks):
        with suppress(Overloaded):
            wait_of(logins, f"name{n}", network)
    assert most <= len(rates) <= most + 3
    assert logins.refused > 400
    with pytest.raises(Overloaded) as refusal:
        wait_of(logins, "name499", networks[-1])
    assert int(dict(refusal.value.headers)["Retry-After"]) > 0
    assert [wait_of(logins, "alice", HOME) for _ in range(FEW)] == [*[0] * (FEW - 1), 60]
    with pytest.raises(Overloaded):
        logins.attempt_code("198.51.100.77").__enter__()
    clock.us += 3_600_000_000
    assert wait_of(logins, "somebody else", ELSEWHERE) == 0, "what is whole again is forgotten, which makes room"
