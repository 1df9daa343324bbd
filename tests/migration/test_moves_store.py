"""Calls by tenant and key out of the usage summaries, on both databases."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import past_calls
import pytest
from sqlalchemy import event, insert, text

from gatehouse.db.session import Database
from gatehouse.db.tables import TenantTable
from gatehouse.migration.moves import Calls
from gatehouse.migration.moves_store import called_between, calls_by_day, calls_of, last_calls, moved_tenants
from gatehouse.usage.event import UsageEvent

NOW = datetime(2026, 11, 15, 12, 30, tzinfo=UTC)
HOUR = datetime(2026, 11, 15, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


call = partial(past_calls.call, NOW)


def fill(database: Database, *events: UsageEvent) -> None:
    with database.write() as session:
        for tenant in sorted({each.tenant_id for each in events}):
            session.execute(insert(TenantTable).values(id=tenant, name=f"{tenant}-name", plan="trial", created_at=NOW))
    past_calls.insert_calls(database, *events)


def test_calls_by_tenant_key_and_api_version(database: Database) -> None:
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    fill(
        database,
        call("a", minute),
        call("a", hour, 422),
        call("a", minute, 410),
        call("a", hour, key_id="k2", api_version="v2"),
        call("b", 3 * hour, 410),
        call("b", minute, model="wine"),
        call("b", minute, api_version="v3"),
        call("b", minute, 404, model=None, api_version=None),
    )
    with database.read() as session:
        assert calls_of(session, "iris", ("v1", "v2"), NOW - WEEK) == [
            Calls("a", "k1", "v1", calls=2, answered=1, gone=1, last=HOUR, last_gone=HOUR),
            Calls("a", "k2", "v2", calls=1, answered=1, gone=0, last=HOUR - hour),
            Calls("b", "k1", "v1", calls=0, answered=0, gone=1, last=None, last_gone=HOUR - 3 * hour),
        ]
        assert [each.tenant_id for each in calls_of(session, "iris", ("v1",), NOW - WEEK, "b")] == ["b"]
        midnight = datetime(2026, 11, 15, tzinfo=UTC)
        assert calls_by_day(session, "iris", ("v2",), date(2026, 11, 15)) == [Calls("a", "k2", "v2", 1, 1, 0, midnight)]
        assert calls_of(session, "iris", (), NOW - WEEK) == []


def test_a_span_begins_with_the_hour_or_the_day_of_its_first_moment(database: Database) -> None:
    fill(database, call("a", WEEK + timedelta(minutes=29)), call("a", WEEK + timedelta(minutes=31)), call("a", timedelta(days=8)))
    with database.read() as session:
        assert [each.calls for each in calls_of(session, "iris", ("v1",), NOW - WEEK)] == [1]
        assert [each.calls for each in calls_by_day(session, "iris", ("v1",), date(2026, 11, 8))] == [2]


def test_tenants_that_have_moved_by_what_all_their_keys_were_answered_in_7_days(database: Database) -> None:
    hour, old = timedelta(hours=1), WEEK + timedelta(hours=1)
    fill(
        database,
        *[call("moved", old), call("moved", hour, 422), call("moved", hour, 410), call("moved", hour, api_version="v2", key_id="k2")],
        *[call("still", hour), call("still", hour, api_version="v2", key_id="k2")],
        *[call("refused", hour, 422, api_version="v2")],
        *[call("long-ago", old, api_version="v2")],
    )
    with database.read() as session:
        assert moved_tenants(session, "iris", "v1", "v2", NOW) == {"moved"}
        assert moved_tenants(session, "wine", "v1", "v2", NOW) == frozenset()


def test_last_call_is_found_however_long_ago_and_those_that_were_told_of_the_end_are_none(database: Database) -> None:
    year = timedelta(days=365)
    fill(
        database,
        *[call("a", 2 * year), call("a", year), call("a", timedelta(), 410), call("a", timedelta(), api_version="v2")],
        *[call("a", timedelta(hours=13), 422, key_id="k2"), call("a", timedelta(hours=15), key_id="k2")],
        *[call("b", timedelta(minutes=31)), call("c", timedelta(), 410), call("c", timedelta(), model="wine")],
    )
    with database.read() as session:
        last = {("a", "k1"): HOUR - year, ("a", "k2"): HOUR - timedelta(hours=13), ("b", "k1"): HOUR - timedelta(hours=1)}
        assert last_calls(session, "iris", "v1") == last
        assert last_calls(session, "iris", "v1", "b") == {("b", "k1"): HOUR - timedelta(hours=1)}


def test_whether_there_was_a_call_within_a_part_of_an_hour(database: Database) -> None:
    second, minute = timedelta(seconds=1), timedelta(minutes=1)
    fill(database, call("a", minute, 410), call("b", timedelta()), call("a", timedelta(), api_version="v2"))
    with database.read() as session:
        came = NOW - minute
        assert called_between(session, "a", "iris", "v1", came, came + second)
        assert not called_between(session, "a", "iris", "v1", HOUR, came)
        assert not called_between(session, "a", "iris", "v1", came + second, NOW + minute)


@pytest.mark.parametrize("question", [calls_of, calls_by_day])
def test_no_summary_is_read_whole_and_no_event_at_all(sqlite_database: Database, question: Any) -> None:
    said: list[tuple[str, Any]] = []
    event.listen(sqlite_database.engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    with sqlite_database.read() as session:
        question(session, "iris", ("v1", "v2"), NOW)
        statement, values = said[-1]
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    table = "usage_summary" if question is calls_of else "usage_day"
    assert any(line.startswith(f"SEARCH {table} USING") and "tenant_id=? AND" in line for line in plan), plan
    assert not any("usage_event" in line for line in plan)


@pytest.mark.parametrize(("question", "table"), [(calls_of, "usage_summary"), (calls_by_day, "usage_day")])
def test_postgresql_goes_by_the_key_of_a_large_summary(postgresql_database: Database, question: Any, table: str) -> None:
    fill(postgresql_database, *(call(f"t{number}", timedelta()) for number in range(3)))
    span, length = ("hour", 3600) if table == "usage_summary" else ("day", 86400)
    last = int(NOW.timestamp()) // length
    columns = f"tenant_id, {span}, key_id, model, api_version, status, calls, rows, bytes_in, bytes_out, latency_us"
    many = f"SELECT 't' || (n % 3), {last} - n, 'k1', 'iris', 'v1', 200, 1, 1, 1, 1, 1 FROM generate_series(1, 20000) n"
    with postgresql_database.write() as session:
        session.execute(text(f"INSERT INTO {table} ({columns}) {many}"))
        session.execute(text(f"ANALYZE {table}"))
    said: list[tuple[str, Any]] = []
    event.listen(postgresql_database.engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    with postgresql_database.read() as session:
        question(session, "iris", ("v1", "v2"), NOW)
        statement, values = said[-1]
        plan = "\n".join(row[0] for row in session.connection().exec_driver_sql(f"EXPLAIN {statement}", values))
    assert f"Seq Scan on {table}" not in plan, plan
