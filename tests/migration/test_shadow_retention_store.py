"""How long sums of shadows are kept, on both databases: in small batches, by every process, through an index."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select
from sqlmodel import Session

from gatehouse.db.session import Database
from gatehouse.db.tables import EndpointTable
from gatehouse.migration.report_standing import first_day
from gatehouse.migration.shadow_retention_store import KEPT_DAYS, ShadowRetention, remove_old
from gatehouse.migration.shadow_rows_store import ALL, DAYS, day_number
from gatehouse.migration.shadow_store import add_shadows, shadow_figures, upgrade_failures
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = day_number(NOW.date())
OLD = TODAY - KEPT_DAYS - 1


@pytest.fixture
def iris(database: Database) -> Database:
    """iris/v1 is there."""
    with database.write() as session:
        values = {"state": "active", "stable_version": "1.0.0", "created_at": NOW, "changed_at": NOW}
        session.execute(insert(EndpointTable).values(model="iris", api_version="v1", **values))
    return database


def add(database: Database, *days: int, tenants: int = 1) -> None:
    """For each tenant and day a sum in each table."""
    keys = [ShadowDay(f"t{tenant}", "iris", "v1", "2.0.0", day) for tenant in range(tenants) for day in days]
    each = ShadowSums(calls=1, rows=3, not_upgraded=1, shifts=Counter({0: 2}), failures=Counter({UpgradeFailure("age", "missing"): 1}))
    with database.write() as session:
        add_shadows(session, dict.fromkeys(keys, each))


def left(database: Database) -> list[int]:
    with database.read() as session:
        return [session.execute(select(func.count()).select_from(table)).scalar_one() for table in ALL]


def test_days_that_no_report_looks_back_to_go_in_batches(iris: Database) -> None:
    add(iris, OLD, OLD - 1, OLD - 400, TODAY - KEPT_DAYS, TODAY)
    retention = ShadowRetention(iris, lambda: NOW, batch=2)
    found = []
    for _ in range(7):
        retention.prune()
        found.append(sum(left(iris)))
    assert (found, left(iris)) == ([13, 12, 10, 9, 7, 6, 6], [2, 2, 2])
    assert day_number(first_day(NOW)) > TODAY - KEPT_DAYS


def test_after_the_last_batch_it_rests_for_an_hour_whatever_the_clock_does(iris: Database) -> None:
    now = NOW
    retention = ShadowRetention(iris, lambda: now)
    asked: list[str] = []
    event.listen(iris.engine, "before_cursor_execute", lambda *heard: asked.append(heard[2]))
    retention.prune()
    first = len(asked)
    assert first >= 3
    now += timedelta(minutes=59)
    retention.prune()
    assert len(asked) == first
    now += timedelta(minutes=1)
    retention.prune()
    assert len(asked) > first
    now -= timedelta(days=9)
    add(iris, OLD - 10)
    retention.prune()
    assert sum(left(iris)) == 2


def test_processes_prune_at_once_without_waiting_for_each_other(postgresql_database: Database) -> None:
    with postgresql_database.write() as session:
        values = {"state": "active", "stable_version": "1.0.0", "created_at": NOW, "changed_at": NOW}
        session.execute(insert(EndpointTable).values(model="iris", api_version="v1", **values))
    add(postgresql_database, OLD, OLD - 1, OLD - 2)
    with postgresql_database.write() as one, postgresql_database.write() as other:
        remove_old(one, DAYS, TODAY - KEPT_DAYS, 2)
        other.connection().exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        remove_old(other, DAYS, TODAY - KEPT_DAYS, 2)
    assert left(postgresql_database)[0] == 0


def test_neither_reading_nor_pruning_goes_through_the_days_of_other_endpoints(iris: Database) -> None:
    others = [ShadowDay(f"t{n % 100}", "wine", "v1", "2.0.0", TODAY - n // 100) for n in range(3000)]
    failures = Counter({UpgradeFailure("age", "missing"): 1})
    with iris.write() as session:
        add_shadows(session, {key: ShadowSums(rows=1, shifts=Counter({0: 1}), failures=failures) for key in others})
    add(iris, TODAY, OLD)
    with iris.write() as session:
        session.connection().exec_driver_sql("ANALYZE")
    asked: list[tuple[str, Any]] = []
    event.listen(iris.engine, "before_cursor_execute", lambda *heard: asked.append((heard[2], heard[3])))
    with iris.write() as session:
        shadow_figures(session, "iris", "v1", first_day(NOW))
        upgrade_failures(session, "iris", "v1", first_day(NOW))
        for table in ALL:
            remove_old(session, table, OLD + 1, 10)
    found = [each for each in asked if each[0].startswith(("SELECT", "DELETE"))]
    with iris.write() as session:
        plans = [plan_of(session, *each) for each in found]
    assert len(plans) == 6
    names = ("shadow_shift", "shadow_day", "upgrade_failure", "shadow_day", "shadow_shift", "upgrade_failure")
    assert [name for name, plan in zip(names, plans, strict=True) if f"ix_{name}_endpoint" not in plan] == [], plans
    assert [plan for plan in plans if any(f"{verb} {name}" in plan for verb in ("SCAN", "Seq Scan on") for name in names)] == []


def plan_of(session: Session, statement: str, values: Any) -> str:
    """In one line."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return "; ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
    return "; ".join(row[0].strip() for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values))
