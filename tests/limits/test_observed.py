"""Limits in observe mode refuse nothing and show what they would have refused, on both databases."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gatehouse.call import Call
from gatehouse.db.session import Database, open_database
from gatehouse.limits.allowance import limits_of
from gatehouse.limits.month import month_of
from gatehouse.limits.observed import Observed
from gatehouse.limits.rate import Decision, MemoryRates, RateLimit
from gatehouse.limits.standing import Standings
from gatehouse.limits.standing_store import StandingStore
from gatehouse.limits.watch import Watch
from gatehouse.principal import Plan, Principal, Rate

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
NOWHERE = "sqlite:////nowhere/at/all.db"
Principals = Callable[..., Principal]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def new_call() -> Call:
    return Call(request_id="r", started_ns=0)


@pytest.fixture
def observing(make_principal: Principals, trial: Plan) -> Principal:
    """Five calls and ten rows, both only watched."""
    return make_principal(replace(trial, requests=Rate(5, 60, 5), requests_mode="observe", rows=Rate(10, 60, 10), rows_mode="observe"))


def watching(store: StandingStore, observed: Observed) -> Watch:
    return Watch(MemoryRates(lambda: 1), Standings(store, lambda: NOON), observed)


def test_an_observed_limit_decides_nothing_and_the_others_still_do(observing: Principal) -> None:
    limits = limits_of(observing)
    assert (limits.requests, limits.rows) == ((), ())
    assert [limit.name for limit in limits.observed_requests + limits.observed_rows] == [
        "tenant-requests",
        "key-requests",
        "tenant-rows",
        "key-rows",
    ]
    half = replace(observing, plan=replace(observing.plan, rows_mode="enforce"))
    assert [len(part) for part in (limits_of(half).rows, limits_of(half).observed_rows)] == [2, 0]


def test_what_would_have_been_refused_is_counted_by_limit(sqlite_database: Database, observing: Principal) -> None:
    store = StandingStore(sqlite_database)
    observed = Observed(store, lambda: NOON)
    watch = watching(store, observed)
    for _ in range(7):
        watch.request(observing)
    for rows in (8, 3, 2, 1):  # the third fits: what would be refused takes nothing
        watch.rows(new_call(), observing, rows, metered=rows)
    calls = {name: count for (_, name), count in observed.totals.items()}
    assert calls == {"tenant-requests": 2, "key-requests": 2, "tenant-rows": 2, "key-rows": 2}
    observed.flush()
    found = {item.name: (item.calls, item.rows) for item in store.observed("tenant1", month_of(NOON))}
    assert found == {"tenant-requests": (2, 0), "key-requests": (2, 0), "tenant-rows": (2, 4), "key-rows": (2, 4)}


def test_decisions_that_come_later_are_counted_too(sqlite_database: Database, observing: Principal) -> None:
    class Elsewhere:
        def __init__(self) -> None:
            self.rates = MemoryRates(lambda: 1)

        async def decide(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision:
            await asyncio.sleep(0)
            return self.rates.decide(asks, returnable=returnable)

    store = StandingStore(sqlite_database)
    observed = Observed(store, lambda: NOON)

    async def calls() -> None:
        watch = Watch(Elsewhere(), Standings(store, lambda: NOON), observed)
        for _ in range(7):
            watch.request(observing)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))

    asyncio.run(calls())
    assert observed.totals == {("acme", "tenant-requests"): 2, ("acme", "key-requests"): 2}


def test_rows_over_a_soft_quota_are_counted_as_observed(sqlite_database: Database, make_principal: Principals, trial: Plan) -> None:
    soft = make_principal(replace(trial, quota_mode="soft", rows_per_month=10))
    store = StandingStore(sqlite_database)
    observed, standings = Observed(store, lambda: NOON), Standings(store, lambda: NOON)
    watch = Watch(MemoryRates(lambda: 1), standings, observed)
    standings.count(soft, 0)
    standings.refresh()
    call = new_call()
    watch.rows(call, soft, 10, metered=10)
    watch.rows(call, soft, 3, metered=3)
    assert observed.totals == {("acme", "tenant-month"): 1}
    hard = replace(soft, plan=replace(soft.plan, quota_mode="hard"))
    watch.rows(call, hard, 3, metered=3)
    assert observed.totals == {("acme", "tenant-month"): 1}


def test_counts_of_several_processes_and_flushes_add_up(database: Database, observing: Principal) -> None:
    store = StandingStore(database)
    processes = [Observed(store, lambda: NOON), Observed(store, lambda: NOON)]
    for observed in (*processes, processes[0]):
        observed.count(observing, "tenant-rows", 7)
        observed.flush()
        observed.flush()
    (found,) = store.observed("tenant1", month_of(NOON))
    assert (found.name, found.calls, found.rows, found.last_at) == ("tenant-rows", 3, 21, NOON)
    assert store.observed("tenant1", month_of(datetime(2026, 12, 1, tzinfo=UTC))) == []


def test_what_cannot_be_written_down_now_is_kept(sqlite_database: Database, observing: Principal) -> None:
    away = open_database(NOWHERE)
    observed = Observed(StandingStore(away), lambda: NOON)
    observed.count(observing, "tenant-rows", 7)
    with pytest.raises(Exception, match="unable to open database file"):
        observed.flush()
    observed.count(observing, "tenant-rows", 1)
    back = StandingStore(sqlite_database)
    observed._store = back  # as if the database had come back
    observed.flush()
    (found,) = back.observed("tenant1", month_of(NOON))
    assert (found.calls, found.rows) == (2, 8)


def test_the_log_says_it_once_a_minute_for_each_limit(
    sqlite_database: Database, observing: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    observed = Observed(StandingStore(sqlite_database), lambda: NOON, clock)
    with caplog.at_level(logging.INFO, "gatehouse.limits"):
        for seconds in (0.0, 1.0, 59.0, 60.0):
            clock.seconds = seconds
            observed.count(observing, "tenant-rows", 1)
    assert [message.rsplit("refused ", 1)[1] for message in caplog.messages] == [
        "1 calls since this was last said",
        "3 calls since this was last said",
    ]
