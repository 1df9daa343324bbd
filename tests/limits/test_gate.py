"""The second decision: rows out of every row limit and the quota, and back."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gatehouse.call import Call
from gatehouse.db.session import Database
from gatehouse.errors import RateLimited
from gatehouse.limits.concurrency import Concurrency
from gatehouse.limits.gate import Gate, TakenRows
from gatehouse.limits.quota import QuotaBook
from gatehouse.limits.rate import MemoryRates
from gatehouse.limits.store import QuotaStore
from gatehouse.principal import Plan, Principal, Rate

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)


@pytest.fixture
def gate(sqlite_database: Database) -> Iterator[Gate]:
    quota = QuotaBook(QuotaStore(sqlite_database), "p1", lambda: 1, lambda: NOON)
    with ThreadPoolExecutor(1) as threads:
        yield Gate(MemoryRates(lambda: 1), Concurrency(10, 10), quota, threads)


@pytest.fixture
def principal(make_principal: Any, trial: Plan) -> Principal:
    made: Principal = make_principal(replace(trial, rows=Rate(10, 60, 10), rows_per_month=11))
    return made


def new_call() -> Call:
    return Call(request_id="r", started_ns=0)


def take(gate: Gate, call: Call, principal: Principal, rows: int) -> TakenRows:
    return asyncio.run(gate.take_rows(call, principal, rows))


def test_rows_that_were_not_answered_go_back_to_every_limit_and_the_quota(gate: Gate, principal: Principal) -> None:
    for _ in range(3):
        gate.give_back(take(gate, new_call(), principal, 10))
    take(gate, new_call(), principal, 10)
    with pytest.raises(RateLimited):
        take(gate, new_call(), principal, 1)


def test_the_answer_to_a_call_that_failed_says_what_is_left_with_its_rows_back(gate: Gate, principal: Principal) -> None:
    call = new_call()
    gate.enter(call, principal)
    taken = take(gate, call, principal, 4)
    assert call.limit_fields is not None
    assert '"tenant-rows";r=6;t=24, "key-rows";r=6;t=24' in call.limit_fields[1]
    gate.give_back(taken)
    assert call.limit_fields[1] == '"tenant-requests";r=19;t=1, "key-requests";r=19;t=1, "tenant-rows";r=10;t=0, "key-rows";r=10;t=0'
    assert [policy.count("tenant-") for policy in call.limit_fields] == [2, 2]
