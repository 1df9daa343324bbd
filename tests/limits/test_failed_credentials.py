"""The limit on failed credentials by address: exact, not reset by anything, and an IPv6 caller has one for its whole network."""

import pytest

from gatehouse.errors import TooManyFailures
from gatehouse.limits.failed_credentials import FailedCredentials, network_of
from gatehouse.limits.rate import MemoryRates

PER_MINUTE = 6


class Clock:
    now_us = 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(clock: Clock) -> FailedCredentials:
    return FailedCredentials(MemoryRates(lambda: clock.now_us), PER_MINUTE)


def refused(failures: FailedCredentials, address: str) -> int:
    """Seconds to wait; 0 when a credential from there is looked up."""
    try:
        failures.check(address)
    except TooManyFailures as refusal:
        return int(dict(refusal.headers)["Retry-After"])
    return 0


def test_row_14_after_the_limit_the_named_wait_is_exactly_enough(failures: FailedCredentials, clock: Clock) -> None:
    for _ in range(PER_MINUTE):
        assert refused(failures, "203.0.113.7") == 0
        failures.count("203.0.113.7")
    assert refused(failures, "203.0.113.7") == 10
    assert refused(failures, "203.0.113.8") == 0
    clock.now_us += 10_000_000 - 1
    assert refused(failures, "203.0.113.7") == 1
    clock.now_us += 1
    assert refused(failures, "203.0.113.7") == 0


def test_row_14_a_credential_known_to_be_wrong_fails_as_one_that_is_looked_up(clock: Clock) -> None:
    apart, at_once = (FailedCredentials(MemoryRates(lambda: clock.now_us), PER_MINUTE) for _ in range(2))
    for gap_us in [0] * (PER_MINUTE + 2) + [10_000_000 - 1, 0, 1, 0, 25_000_001, 0, 0, 0, 3_000_000, 60_000_000, 0]:
        clock.now_us += gap_us
        wait, told = refused(apart, "203.0.113.7"), 0
        if not wait:
            apart.count("203.0.113.7")
        try:
            at_once.fail("203.0.113.7")
        except TooManyFailures as refusal:
            told = int(dict(refusal.headers)["Retry-After"])
        assert told == wait
        assert (at_once.counted, at_once.refused) == (apart.counted, apart.refused)
    assert apart.refused > 5 < apart.counted


def test_row_14_credentials_that_are_looked_up_and_good_reset_nothing(failures: FailedCredentials) -> None:
    for _ in range(PER_MINUTE):
        for _ in range(50):
            assert refused(failures, "203.0.113.7") == 0
        failures.count("203.0.113.7")
    assert [refused(failures, "203.0.113.7") for _ in range(50)] == [10] * 50
    assert (failures.counted, failures.refused) == (PER_MINUTE, 50)


@pytest.mark.parametrize(
    "others",
    [
        ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:0DB8:0001:0002::"],
        ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"],
        ["", ""],
    ],
    ids=["one /64", "IPv4 inside IPv6", "no address"],
)
def test_row_55_all_spellings_of_one_network_share_a_limit(failures: FailedCredentials, others: list[str]) -> None:
    for number in range(PER_MINUTE):
        failures.count(others[number % len(others)])
    assert all(refused(failures, address) for address in others)
    assert not any(refused(failures, address) for address in ("2001:db8:1:3::1", "192.0.2.2"))


def test_a_network_is_named_without_its_host() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::"
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("testclient") == "testclient"
