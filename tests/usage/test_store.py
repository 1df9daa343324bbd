"""Reading usage back, on both databases."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from gatehouse.db.session import Database
from gatehouse.db.tables import TenantTable
from gatehouse.usage.event import RefusedCalls
from gatehouse.usage.figures_store import By, Figures, RefusedFigures, refused_figures, usage_figures
from gatehouse.usage.store import add_refused, insert_batch

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


EVERY = (By.DAY, By.TENANT, By.KEY, By.MODEL, By.API_VERSION, By.STATUS)


def figures(database: Database, first: int, last: int, *by: By, tenant_id: str | None = "a") -> list[Figures]:
    with database.read() as session:
        return usage_figures(session, tenant_id=tenant_id, since=date(2026, 11, first), until=date(2026, 11, last), by=by)


def line(day: int, key: str, calls: int, rows: int, *, model: str = "iris", version: str = "v1", status: int = 200) -> Figures:
    sums = {"bytes_in": 100 * calls, "bytes_out": 200 * calls, "latency_us": 300 * calls}
    whose = {"tenant_id": "a", "tenant": "acme", "key_id": key}
    return Figures(calls, rows, **sums, day=date(2026, 11, day), **whose, model=model, api_version=version, status=status)  # type: ignore[arg-type]


def test_a_tenants_usage_by_everything(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    assert figures(database, 1, 2, *EVERY) == [
        line(1, "k", 1, 0, model="", version="", status=404),
        line(1, "k", 1, 2),
        line(1, "k2", 1, 3),
        line(2, "k2", 1, 4),
    ]


@pytest.mark.parametrize("by", [*By, (By.DAY, By.HOUR), (By.KEY, By.STATUS), (By.MODEL, By.HOUR), ()])
def test_whatever_it_is_added_up_by_the_whole_is_the_same(database: Database, make_event: Any, by: Any) -> None:
    fill(database, make_event)
    named = (by,) if isinstance(by, By) else by
    found = figures(database, 1, 2, *named)
    assert (sum(each.calls for each in found), sum(each.rows for each in found)) == (4, 9)
    attribute = {By.KEY: "key_id"}
    shown = [tuple(getattr(each, attribute.get(name, name.value)) for name in By if name in named) for each in found]
    assert len(set(shown)) == len(shown)
    assert None not in {value for each in shown for value in each}
    if By.KEY not in named:
        assert {each.key_id for each in found} == {None}


def test_usage_by_the_hour(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    hours = [(each.day, each.hour, each.rows) for each in figures(database, 1, 2, By.DAY, By.HOUR)]
    assert hours == [
        (date(2026, 11, 1), datetime(2026, 11, 1, tzinfo=UTC), 2),
        (date(2026, 11, 1), datetime(2026, 11, 1, 23, tzinfo=UTC), 3),
        (date(2026, 11, 2), datetime(2026, 11, 2, tzinfo=UTC), 4),
    ]


def test_all_tenants_with_their_names(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    found = figures(database, 1, 1, By.TENANT, By.KEY, By.MODEL, tenant_id=None)
    assert [(each.tenant, each.rows) for each in found] == [("acme", 0), ("acme", 2), ("acme", 3), ("gone", 9)]


def test_nothing_by_nothing_is_no_line(database: Database) -> None:
    assert figures(database, 1, 1) == []


def test_refused_calls_grow_in_their_second(database: Database) -> None:
    for _ in range(2):
        with database.write() as session:
            add_refused(session, [refused(5, 0), refused(1, 0, limit="key-rows"), refused(1, 86_400)])
    with database.read() as session:
        found = refused_figures(session, tenant_id="a", since=date(2026, 11, 1), until=date(2026, 11, 1))
        everybody = refused_figures(session, tenant_id=None, since=date(2026, 11, 2), until=date(2026, 11, 3))
        nobody = refused_figures(session, tenant_id="b", since=date(2026, 11, 1), until=date(2026, 11, 3))
    assert found == [RefusedFigures(429, "key-rows", 2), RefusedFigures(429, "tenant-requests", 10)]
    assert (everybody, nobody) == ([RefusedFigures(429, "tenant-requests", 2)], [])


def refused(calls: int, after_s: int, limit: str = "tenant-requests") -> RefusedCalls:
    return RefusedCalls(refused=calls, second=FIRST_US // 10**6 + after_s, tenant_id="a", key_id="k", status=429, limit=limit)


def test_events_added_later_grow_the_same_sums(database: Database, make_event: Any) -> None:
    for _ in range(3):
        with database.write() as session:
            assert insert_batch(session, [make_event(rows=5), make_event(rows=1)]) == 2
    found = figures(database, 15, 15, *By, tenant_id="t")
    assert [(each.calls, each.rows) for each in found] == [(6, 18)]


def test_no_events_change_nothing(database: Database) -> None:
    with database.write() as session:
        assert insert_batch(session, []) == 0
