"""The second decision: rows out of every row limit and the quota, and back."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gatehouse.call import Call
from gatehouse.db.session import Database
from gatehouse.errors import QuotaExhausted, RateLimited
from gatehouse.limits.concurrency import Concurrency
from gatehouse.limits.deployment_rates import DeploymentRates
from gatehouse.limits.gate import Gate, TakenRows
from gatehouse.limits.observed import Observed
from gatehouse.limits.quota import QuotaBook
from gatehouse.limits.standing import Standings
from gatehouse.limits.standing_store import StandingStore
from gatehouse.limits.store import QuotaStore
from gatehouse.limits.watch import Watch
from gatehouse.principal import Plan, Principal, Rate

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)


@pytest.fixture
def quota(sqlite_database: Database) -> QuotaBook:
    return QuotaBook(QuotaStore(sqlite_database), "p1", lambda: 1, lambda: NOON)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def gate(sqlite_database: Database, quota: QuotaBook, threads: ThreadPoolExecutor) -> Gate:
    rates, store = DeploymentRates(lambda: 1, lambda: 1), StandingStore(sqlite_database)
    watch = Watch(rates, Standings(store, lambda: NOON), Observed(store, lambda: NOON))
    return Gate(rates, Concurrency(10, 10), quota, threads, watch)


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


def test_rows_taken_for_a_call_that_is_cancelled_meanwhile_go_back(
    gate: Gate, quota: QuotaBook, threads: ThreadPoolExecutor, principal: Principal
) -> None:
    held_up = threading.Event()

    async def cancelled() -> None:
        threads.submit(held_up.wait)  # the only thread: the call's own visit to the database waits behind it
        calling = asyncio.ensure_future(gate.take_rows(new_call(), principal, 10))
        await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        held_up.set()
        taken = None
        while taken is None:  # until the rows are there
            await asyncio.sleep(0)
            taken = quota.try_take(principal.tenant_id, principal.plan, 10)

    asyncio.run(asyncio.wait_for(cancelled(), 10))


def test_a_spent_quota_is_named_with_what_is_left_among_the_fields_of_the_refusal(gate: Gate, principal: Principal) -> None:
    gate.give_back(take(gate, new_call(), principal, 2))
    call = new_call()
    with pytest.raises(QuotaExhausted):
        asyncio.run(_spend(gate, call, principal))
    assert call.limit_fields is not None
    assert call.limit_fields[0].endswith('"tenant-month";q=11;qu="rows";w=2592000')
    assert call.limit_fields[1].endswith(f'"tenant-month";r=1;t={15 * 86_400 + 43_200}')


def test_observed_limits_are_counted_and_not_told(gate: Gate, make_principal: Any, trial: Plan) -> None:
    plan = replace(trial, requests=Rate(1, 60, 1), requests_mode="observe", rows=Rate(1, 60, 1), rows_mode="observe", quota_mode="soft")
    observing, call = make_principal(plan), new_call()
    for _ in range(2):
        assert gate.enter(call, observing) is None
        take(gate, call, observing, 1)
    assert call.limit_fields is None
    assert set(gate._watch._observed.totals.values()) == {1}
    assert len(gate._watch._observed.totals) == 4


def test_a_call_that_has_no_key_is_limited_as_its_tenant_is(gate: Gate, principal: Principal) -> None:
    call = new_call()
    gate.enter(call, replace(principal, key_id="", person_id="person1"))
    assert call.limit_fields == ('"tenant-requests";q=20;w=4', '"tenant-requests";r=19;t=1')


async def _spend(gate: Gate, call: Call, principal: Principal) -> None:
    await gate.take_rows(new_call(), principal, 10)
    await gate.take_rows(call, principal, 2)
