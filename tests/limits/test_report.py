"""What a caller is told about limits."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.errors import LimitShareTooSmall, RateLimited, RowsExceedLimit
from gatehouse.limits.rate import Decision, LimitUnit, MemoryRates, RateLimit
from gatehouse.limits.report import numbers, policy_field, refuse, state_template
from gatehouse.limits.shares import ShareRates

ITEM = re.compile(r'"(?P<name>[ !#-\[\]-~]*)"(?P<parameters>(?:;[a-z*][a-z0-9_.*-]*=(?:-?[0-9]{1,15}|"[ !#-\[\]-~]*"))*)')
"""An item of a structured field (RFC 8941) that is a string with integer and string parameters."""


def parse(field: str) -> dict[str, dict[str, str]]:
    items = {}
    for text in re.split(r", ", field):
        item = ITEM.fullmatch(text)
        assert item is not None, field
        items[item["name"]] = dict(part.split("=") for part in item["parameters"].split(";")[1:])
    return items


def rule(count: int = 5, period_s: int = 1, burst: int = 20, unit: LimitUnit = "requests", scope: str = "tenant") -> RateLimit:
    return RateLimit(f"{scope}:{unit}", f"{scope}-{unit}", scope, unit, count, period_s * 1_000_000, burst)  # type: ignore[arg-type]


def state_field(decision: Decision) -> str:
    """What `RateLimit` says of a decision, as the gate fills it in."""
    return state_template(decision.limits) % numbers(decision)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 100_000),
    st.sampled_from([1, 60, 3600]),
    st.integers(0, 100_000),
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 3000))),
)
def test_row_59_fields_are_structured_and_within_the_policy(count: int, period_s: int, burst: int, calls: list[tuple[int, int]]) -> None:
    now = [1]
    rates, limits = MemoryRates(lambda: now[0]), [rule(count, period_s, burst), rule(7, 3, 11, "rows", "key")]
    policy = parse(policy_field(limits))
    for gap, amount in calls:
        now[0] += gap
        state = parse(state_field(rates.decide([(limit, amount) for limit in limits])))
        assert state.keys() == policy.keys()
        for name, said in state.items():
            assert 0 <= int(said["r"]) <= int(policy[name]["q"])
            assert 0 <= int(said["t"]) <= int(policy[name].get("w", 0))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 999_983), st.sampled_from([1, 60, 3600]), st.integers(0, 100_000), st.floats(0, 1))))
def test_row_59_the_numbers_told_are_what_the_limit_has_left_and_when_it_is_whole(shapes: list[tuple[int, int, int, float]]) -> None:
    limits = tuple(rule(count, period_s, burst) for count, period_s, burst, _ in shapes)
    backlogs = tuple(round(limit.depth * spent) for limit, (*_, spent) in zip(limits, shapes, strict=True))
    told = numbers(Decision(True, limits, backlogs))
    assert told[::2] == tuple(limit.left(backlog) for limit, backlog in zip(limits, backlogs, strict=True))
    assert told[1::2] == tuple(math.ceil(Fraction(backlog, limit.ticks * 10**6)) for limit, backlog in zip(limits, backlogs, strict=True))


def test_fields_say_burst_window_and_what_is_left() -> None:
    limits = (rule(), rule(1000, 60, 1000, "rows", "key"))
    decision = MemoryRates(lambda: 1).decide([(limits[0], 1), (limits[1], 500)])
    assert policy_field(limits) == '"tenant-requests";q=20;w=4, "key-rows";q=1000;qu="rows";w=60'
    assert state_field(decision) == '"tenant-requests";r=19;t=1, "key-rows";r=500;t=30'


def test_a_refusal_names_the_limit_and_a_wait_that_is_enough() -> None:
    rates = MemoryRates(lambda: 1)
    limit = rule(2, 3, 1)
    rates.decide([(limit, 1)])
    with pytest.raises(RateLimited) as caught:
        refuse(rates.decide([(limit, 1)]))
    assert caught.value.headers == (("Retry-After", "2"),)
    assert caught.value.members == {
        "limit": {
            "name": "tenant-requests",
            "scope": "tenant",
            "unit": "requests",
            "count": 2,
            "period_s": 3,
            "burst": 1,
            "retry_after_ms": 1500,
        }
    }
    assert caught.value.reason == "tenant-requests"
    assert caught.value.detail == "Your organisation's limit of requests is used up for now. Send the call again after 2 s."


def test_more_rows_than_the_burst_is_422_without_a_wait() -> None:
    limit = rule(10, 1, 50, "rows", "key")
    with pytest.raises(RowsExceedLimit) as caught:
        refuse(MemoryRates(lambda: 1).decide([(limit, 51)]))
    assert caught.value.headers == ()
    assert caught.value.members["limit"]["burst"] == 50
    assert "at most 50 rows by your key's limit" in caught.value.detail


def test_a_closed_limit_is_429_without_a_wait() -> None:
    with pytest.raises(RateLimited) as caught:
        refuse(MemoryRates(lambda: 1).decide([(rule(count=0), 1)]))
    assert caught.value.headers == ()
    assert "allows no requests at all" in caught.value.detail


def test_an_admitted_call_cannot_be_refused() -> None:
    with pytest.raises(ValueError, match="admitted"):
        refuse(MemoryRates(lambda: 1).decide([(rule(), 1)]))


def test_where_only_a_share_is_too_small_the_answer_is_503_and_says_how_many_rows_one_call_can_have() -> None:
    whole = rule(100, 1, 100, "rows", "key")
    with pytest.raises(LimitShareTooSmall) as told:
        refuse(ShareRates(lambda: 1, 3).decide([(whole, 34)]))
    assert told.value.members["limit"] | {"burst": 100, "burst_now": 33} == told.value.members["limit"]
    assert "Send at most 33 rows in a call." in told.value.detail
    assert told.value.headers == ()
    with pytest.raises(RowsExceedLimit):
        refuse(ShareRates(lambda: 1, 3).decide([(whole, 101)]))


def test_a_share_of_nothing_is_no_closed_limit() -> None:
    with pytest.raises(LimitShareTooSmall, match="no share of your organisation's"):
        refuse(ShareRates(lambda: 1, 3).decide([(rule(5, 1, 2), 1)]))


def test_the_policy_of_a_share_is_the_plans_and_its_state_is_what_is_left_here() -> None:
    decision = ShareRates(lambda: 1, 4).decide([(rule(5, 1, 20), 1)])
    assert policy_field(decision.limits) == policy_field([rule(5, 1, 20)])
    assert ";r=4;" in state_field(decision)
