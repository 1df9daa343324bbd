"""Which limits a principal has."""

import gc
import weakref
from typing import Any

import pytest

from gatehouse.limits.allowance import limits_of
from gatehouse.limits.rate import MemoryRates
from gatehouse.limits.redis_rates import storable
from gatehouse.limits.report import policy_field, state_template
from gatehouse.principal import Rate


def test_tenant_and_key_have_a_limit_of_each_unit(make_principal: Any) -> None:
    limits = limits_of(make_principal())
    assert [(limit.name, limit.count, limit.period_us, limit.burst) for limit in limits.requests + limits.rows] == [
        ("tenant-requests", 5, 1_000_000, 20),
        ("key-requests", 5, 1_000_000, 20),
        ("tenant-rows", 1000, 1_000_000, 1000),
        ("key-rows", 1000, 1_000_000, 1000),
    ]
    assert len({limit.id for limit in limits.requests + limits.rows}) == 4


def test_a_key_may_have_its_own_rates(make_principal: Any) -> None:
    limits = limits_of(make_principal(key_requests=Rate(1, 60, 2), key_rows=Rate(10, 60, 50)))
    assert [limit.burst for limit in limits.requests + limits.rows] == [20, 2, 1000, 50]


def test_row_57_a_tenants_limit_holds_however_many_keys_it_has(make_principal: Any) -> None:
    rates = MemoryRates(lambda: 1)
    admitted = 0
    for number in range(50):
        limits = limits_of(make_principal(key_id=f"key{number}"))
        admitted += rates.decide([(limit, 1) for limit in limits.requests]).admitted
    assert admitted == 20


def test_row_55_a_keys_limit_leaves_the_tenants_other_keys_alone(make_principal: Any) -> None:
    rates = MemoryRates(lambda: 1)
    narrow = limits_of(make_principal(key_id="narrow", key_requests=Rate(1, 1, 1)))
    wide = limits_of(make_principal(key_id="wide"))
    assert [rates.decide([(limit, 1) for limit in narrow.requests]).admitted for _ in range(3)] == [True, False, False]
    assert all(rates.decide([(limit, 1) for limit in wide.requests]).admitted for _ in range(19))


def test_limits_are_worked_out_once_for_each_principal_and_go_with_it(make_principal: Any) -> None:
    principal = make_principal()
    assert limits_of(principal) is limits_of(principal)
    gone = weakref.ref(principal)
    del principal
    gc.collect()
    assert gone() is None


def test_a_principal_never_has_the_limits_of_one_that_is_gone(make_principal: Any) -> None:
    for number in range(1000):  # each in the place in memory of the one before
        assert limits_of(make_principal(key_id=f"key{number}")).rows[1].id == f"key:key{number}:rows"


@pytest.mark.parametrize("rate", [Rate(5, 1, 20), Rate(0, 1, 20), Rate(999_983, 86_400, 10**9)])
@pytest.mark.parametrize("processes", [1, 2, 7])
def test_what_is_told_of_limits_holds_for_all_that_is_decided_on_in_their_place(make_principal: Any, rate: Rate, processes: int) -> None:
    limits = limits_of(make_principal(key_requests=rate, key_rows=rate))
    for own, told in ((limits.requests, limits.requests_told), (limits.rows, limits.rows_told)):
        shares = [limit.share(1, processes) for limit in own]
        for decided in (own, shares, [storable(limit) for limit in shares]):
            assert (policy_field(decided), state_template(decided)) == told
