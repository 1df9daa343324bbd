"""Warnings at 80 % and 100 % of a quota: in the fields of answers, and once as an event, on both databases."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable, NoticeTable, UsageSummaryTable
from gatehouse.limits.standing import Standings
from gatehouse.limits.standing_store import StandingStore
from gatehouse.principal import Plan, Principal

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
TO_DECEMBER_S = 15 * 86_400 + 43_200
Principals = Callable[..., Principal]


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def wait(self) -> None:
        self.now += timedelta(seconds=5)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standings(database: Database, clock: Clock) -> Standings:
    return Standings(StandingStore(database), clock)


@pytest.fixture
def principal(make_principal: Principals, trial: Plan) -> Principal:
    return make_principal(replace(trial, quota_mode="soft", rows_per_month=100))


def meter(database: Database, rows: int, at: datetime = NOON) -> None:
    facts: dict[str, Any] = {"model": "m", "api_version": "v1", "key_id": "k", "status": 200}
    with database.write() as session:
        hour = int(at.timestamp()) // 3600
        summary = session.get(UsageSummaryTable, {"tenant_id": "tenant1", "hour": hour, **facts})
        if summary is None:
            session.add(
                UsageSummaryTable(tenant_id="tenant1", hour=hour, calls=1, rows=rows, bytes_in=1, bytes_out=1, latency_us=1, **facts)
            )
        else:
            summary.rows += rows


def events(database: Database) -> list[tuple[str, int]]:
    with database.read() as session:
        found = session.exec(select(AuditTable).order_by(AuditTable.id))  # type: ignore[arg-type]
        return [(event.subject, json.loads(event.detail)["percent"]) for event in found if event.action == "quota.reached"]


def used(database: Database, standings: Standings, clock: Clock, principal: Principal, rows: int) -> None:
    """As a call is: counted where it comes in, metered, and read a little later."""
    standings.count(principal, rows)
    meter(database, rows)
    clock.wait()
    standings.refresh()


def test_answers_say_nothing_below_80_percent_and_what_is_left_from_there_on(
    database: Database, standings: Standings, clock: Clock, principal: Principal
) -> None:
    used(database, standings, clock, principal, 78)
    assert standings.count(principal, 1) is None
    standing = standings.count(principal, 1)
    assert standing is not None
    assert standing.fields == ('"tenant-month";q=100;qu="rows";w=2592000', f'"tenant-month";r=20;t={TO_DECEMBER_S - 5}')
    assert not standing.over


def test_only_more_than_the_quota_is_over_it(database: Database, standings: Standings, clock: Clock, principal: Principal) -> None:
    used(database, standings, clock, principal, 90)
    at, over = standings.count(principal, 10), standings.count(principal, 1)
    assert at is not None
    assert over is not None
    assert [at.over, over.over] == [False, True]
    assert '"tenant-month";r=0;' in over.fields[1]


def test_rows_that_come_back_are_left_again(database: Database, standings: Standings, clock: Clock, principal: Principal) -> None:
    used(database, standings, clock, principal, 70)
    assert standings.count(principal, 20) is not None
    assert standings.count(principal, -20) is None


def test_each_share_is_one_event_however_many_processes_see_it(
    database: Database, standings: Standings, clock: Clock, principal: Principal
) -> None:
    other = Standings(StandingStore(database), clock)
    for rows, expected in ((79, []), (1, [80]), (19, [80]), (1, [80, 100]), (500, [80, 100])):
        other.count(principal, 0)
        used(database, standings, clock, principal, rows)
        other.refresh()
        assert events(database) == [("acme", percent) for percent in expected]


def test_a_quota_passed_at_one_stroke_is_one_event(database: Database, standings: Standings, clock: Clock, principal: Principal) -> None:
    used(database, standings, clock, principal, 1000)
    assert events(database) == [("acme", 100)]


def test_a_larger_quota_is_warned_of_anew(database: Database, standings: Standings, clock: Clock, principal: Principal) -> None:
    used(database, standings, clock, principal, 100)
    larger = replace(principal, plan=replace(principal.plan, rows_per_month=200))
    used(database, standings, clock, larger, 1)
    assert events(database) == [("acme", 100)]
    used(database, standings, clock, larger, 59)
    assert events(database) == [("acme", 100), ("acme", 80)]


def test_a_smaller_quota_that_is_passed_already_is_an_event_with_the_next_call(
    database: Database, standings: Standings, clock: Clock, principal: Principal
) -> None:
    used(database, standings, clock, principal, 60)
    used(database, standings, clock, replace(principal, plan=replace(principal.plan, rows_per_month=50)), 1)
    assert events(database) == [("acme", 100)]


def test_rows_metered_right_after_they_were_read_are_read_once_more(
    database: Database, standings: Standings, clock: Clock, principal: Principal
) -> None:
    standings.count(principal, 80)
    standings.refresh()  # the rows are still in the spool
    meter(database, 80)
    standings.refresh()
    assert events(database) == []
    clock.wait()
    standings.refresh()
    assert events(database) == [("acme", 80)]


def test_a_tenant_that_does_not_call_is_not_read_again(
    database: Database, standings: Standings, clock: Clock, principal: Principal
) -> None:
    used(database, standings, clock, principal, 10)
    clock.wait()
    standings.refresh()
    meter(database, 90)
    clock.wait()
    standings.refresh()
    assert events(database) == []


def test_a_month_starts_with_nothing_used_and_its_own_warnings(
    database: Database, standings: Standings, clock: Clock, principal: Principal
) -> None:
    used(database, standings, clock, principal, 100)
    clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    assert standings.count(principal, 80) is None
    standings.refresh()
    assert events(database) == [("acme", 100)]
    meter(database, 80, clock.now)
    clock.wait()
    standings.refresh()
    assert events(database) == [("acme", 100), ("acme", 80)]


def test_each_share_of_each_quota_is_announced_to_the_tenant_once(
    database: Database, standings: Standings, clock: Clock, principal: Principal
) -> None:
    larger = replace(principal, plan=replace(principal.plan, rows_per_month=125))
    for caller, rows in ((principal, 80), (principal, 0), (principal, 20), (larger, 0), (larger, 25)):
        meter(database, rows)
        standings.count(caller, rows)
        clock.wait()
        standings.refresh()
    with database.read() as session:
        told = {(row.event, row.threshold): json.loads(row.body) for row in session.exec(select(NoticeTable))}
    assert set(told) == {("2026-11 of 100", "80"), ("2026-11 of 100", "100"), ("2026-11 of 125", "100")}
    assert told["2026-11 of 100", "80"]["data"] == {
        "tenant": principal.tenant, "month": "2026-11", "percent": 80, "rows": 80, "rows_per_month": 100, "quota": "soft"
    }  # fmt: skip
