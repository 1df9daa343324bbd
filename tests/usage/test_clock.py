"""A clock that is set back, over the end of a month: each call counts once, in the hour, day and month that the clock told."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import func, select

from gatehouse.call import Call, Route
from gatehouse.db.session import Database
from gatehouse.db.tables import UsageDayTable, UsageEventTable, UsageSealTable, UsageSummaryTable
from gatehouse.principal import Plan, Principal, Rate
from gatehouse.usage.ledger_store import check, tenant_days
from gatehouse.usage.meter import Meter
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.retention import Retention
from gatehouse.usage.spool import Spool

RATE = Rate(1, 1, 1)
PRINCIPAL = Principal("t", "acme", "k", frozenset(), Plan("p", RATE, RATE, 1, "hard", 1, 1))
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
MINUTES = [-20, -5, 10, 30, -30, -15, 5, 45]
"""From midnight on: after the fourth call the clock is set back by an hour."""


class Clock:
    def __init__(self) -> None:
        self.now = MIDNIGHT

    def __call__(self) -> datetime:
        return self.now

    def us(self) -> int:
        return int(self.now.timestamp()) * 1_000_000


def call(meter: Meter, clock: Clock, minutes: int) -> None:
    clock.now = MIDNIGHT + timedelta(minutes=minutes)
    meter.record(Call(f"at {minutes}", time.perf_counter_ns(), status=200, rows=3, principal=PRINCIPAL, route=Route("v1", "iris")))


def unequal(database: Database) -> list[Any]:
    with database.read() as session:
        return [difference for of in tenant_days(session, None, None, None) for difference in check(session, of).differences]


def test_a_clock_that_is_set_back_an_hour_loses_no_call_and_counts_none_twice(
    database: Database, open_spool: Callable[..., Spool], record: Callable[..., Recorder]
) -> None:
    spool, clock = open_spool(), Clock()
    meter, retention = Meter(spool, now_us=clock.us), Retention(database, 32, clock)
    recorder = record(spool, database)
    for minutes in MINUTES:
        call(meter, clock, minutes)
        recorder.drain()
    assert calls_by(database, UsageEventTable.month, func.count()) == {"2026-11": 4, "2026-12": 4}
    hour = int(MIDNIGHT.timestamp()) // 3600
    assert calls_by(database, UsageSummaryTable.hour, func.sum(UsageSummaryTable.calls)) == {hour - 1: 4, hour: 4}
    assert calls_by(database, UsageDayTable.day, func.sum(UsageDayTable.rows)) == {hour // 24 - 1: 12, hour // 24: 12}
    assert unequal(database) == []
    prune_until_sealed(retention, clock, 32)
    call(meter, clock, -1)  # by a process whose clock is far behind: its day is sealed by now
    assert recorder.drain() == 1
    assert calls_by(database, UsageSealTable.day, func.sum(UsageSealTable.calls)) == {hour // 24 - 1: 5}
    assert unequal(database) == []
    clock.now = MIDNIGHT + timedelta(days=32, minutes=-70)  # set back an hour, over the midnight from which on that day was too old
    prune_until_sealed(retention, clock, None)
    assert calls_by(database, UsageSealTable.day, func.sum(UsageSealTable.calls)) == {hour // 24 - 1: 5}
    assert unequal(database) == []


def prune_until_sealed(retention: Retention, clock: Clock, days: int | None) -> None:
    if days is not None:
        clock.now = MIDNIGHT + timedelta(days=days)
    while retention.step():
        pass


def calls_by(database: Database, by: Any, sum_of: Any) -> dict[Any, int]:
    with database.read() as session:
        return {key: int(number) for key, number in session.exec(select(by, sum_of).group_by(by))}
