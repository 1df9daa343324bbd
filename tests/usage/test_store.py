"""Reading usage back, on both databases."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import insert

from gatehouse.db.session import Database
from gatehouse.db.tables import TenantTable
from gatehouse.usage.store import UsageRow, insert_batch, usage_table

DAY_US = 86_400_000_000
FIRST_US = 1_793_491_200_000_000
"""2026-11-01 00:00 UTC."""


def fill(database: Database, make_event: Any) -> None:
    with database.write() as session:
        session.execute(insert(TenantTable).values(id="a", name="acme", plan="trial", created_at=datetime(2026, 11, 1, tzinfo=UTC)))
        insert_batch(
            session,
            [
                make_event(at_us=FIRST_US - 1, tenant_id="a", rows=1),
                make_event(at_us=FIRST_US, tenant_id="a", rows=2),
                make_event(at_us=FIRST_US + DAY_US - 1, tenant_id="a", rows=3, key_id="k2"),
                make_event(at_us=FIRST_US + DAY_US, tenant_id="a", rows=4, key_id="k2"),
                make_event(at_us=FIRST_US, tenant_id="a", rows=0, status=404, model=None, api_version=None),
                make_event(at_us=FIRST_US, tenant_id="gone", rows=9),
                make_event(at_us=FIRST_US + 30 * DAY_US, tenant_id="a", rows=100),
            ],
        )


def row(day: int, key: str, calls: int, rows: int, *, model: str = "iris", version: str = "v1", status: int = 200) -> UsageRow:
    return UsageRow(date(2026, 11, day), "a", "acme", key, model, version, status, calls, rows)


def test_a_tenants_usage_by_day_and_key(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    with database.read() as session:
        table = usage_table(session, tenant_id="a", since=date(2026, 11, 1), until=date(2026, 11, 2))
    assert table == [row(1, "k", 1, 0, model="", version="", status=404), row(1, "k", 1, 2), row(1, "k2", 1, 3), row(2, "k2", 1, 4)]


def test_keys_are_added_up_by_endpoint(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    with database.read() as session:
        table = usage_table(session, tenant_id="a", since=date(2026, 11, 1), until=date(2026, 11, 1), by="endpoint")
    assert table == [row(1, "", 1, 0, model="", version="", status=404), row(1, "", 2, 5)]


def test_all_tenants_with_their_names(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    with database.read() as session:
        table = usage_table(session, tenant_id=None, since=date(2026, 11, 1), until=date(2026, 11, 1))
    assert [(each.tenant, each.rows) for each in table] == [("acme", 0), ("acme", 2), ("acme", 3), ("gone", 9)]
    assert (sum(each.calls for each in table), sum(each.rows for each in table)) == (4, 14)


def test_events_added_later_grow_the_same_sums(database: Database, make_event: Any) -> None:
    for _ in range(3):
        with database.write() as session:
            assert insert_batch(session, [make_event(rows=5), make_event(rows=1)]) == 2
    with database.read() as session:
        table = usage_table(session, tenant_id="t", since=date(2026, 11, 15), until=date(2026, 11, 15))
    assert (sum(each.calls for each in table), sum(each.rows for each in table)) == (6, 18)


def test_no_events_change_nothing(database: Database) -> None:
    with database.write() as session:
        assert insert_batch(session, []) == 0
