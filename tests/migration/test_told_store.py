"""What tenants have been told of one endpoint, on both databases."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import event, insert, update
from sqlmodel import Session, col

from gatehouse.db.outbox import announce
from gatehouse.db.session import Database
from gatehouse.db.tables import GrantTable, NoticeTable, TenantTable
from gatehouse.migration.told_store import end_of, last_told, told_of_end

NOON = datetime(2027, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
LAST_DAY = date(2027, 6, 30)


def make(database: Database, tenant: str, kind: str, event: str, threshold: str = "", delivered: datetime | None = None) -> None:
    with database.write() as session:
        assert announce(session, tenant, kind, event, threshold, {})
        same = (col(NoticeTable.tenant_id) == tenant, col(NoticeTable.event) == event, col(NoticeTable.threshold) == threshold)
        session.execute(update(NoticeTable).where(*same).values(delivered_at=delivered, created_at=NOON))


def tenants(database: Database, *names: str, model: str = "iris") -> None:
    """They hold a grant of the model."""
    with database.write() as session:
        for name in names:
            session.execute(insert(TenantTable).values(id=name, name=name, plan="trial", created_at=NOON))
            session.execute(insert(GrantTable).values(tenant_id=name, model=model, api_version="v1", created_at=NOON))


def test_last_told_is_the_last_arrival_of_a_notice_of_this_endpoint(database: Database) -> None:
    tenants(database, "acme", "globex", "other")
    hour = timedelta(hours=1)
    make(database, "acme", "endpoint.deprecated", "iris/v1 until 2027-06-30, change 7", delivered=NOON)
    make(database, "acme", "endpoint.sunset_near", "iris/v1 until 2027-06-30", "30", delivered=NOON + hour)
    make(database, "acme", "endpoint.sunset_near", "iris/v1 until 2027-06-30", "7")
    make(database, "acme", "endpoint.deprecated", "iris/v10 until 2027-06-30, change 8", delivered=NOON + 2 * hour)
    make(database, "acme", "quota.reached", "iris/v1 of 1000", delivered=NOON + 3 * hour)
    make(database, "globex", "endpoint.deprecated", "iris/v1 until 2027-06-30, change 7")
    make(database, "other", "endpoint.deprecated", "iris/v1 until 2027-06-30, change 7", delivered=NOON)
    with database.read() as session:
        assert last_told(session, "iris", "v1") == {"acme": NOON + hour, "other": NOON}
        assert last_told(session, "iris", "v1", "other") == {"other": NOON}
        assert last_told(session, "iris", "v1", "globex") == {}


def test_told_of_an_end_is_of_that_day_alone_and_of_no_name_that_is_alike(database: Database) -> None:
    tenants(database, "acme", model="my_model")
    tenants(database, "globex", model="my-model")
    make(database, "acme", "endpoint.deprecated", "my_model/v1 until 2027-06-30, change 7")
    make(database, "acme", "endpoint.sunset_near", end_of("my_model/v1", LAST_DAY), "30")
    make(database, "acme", "endpoint.sunset_changed", "my_model/v1 until 2027-06-29, change 6")
    make(database, "acme", "endpoint.deprecated", "my-model/v1 until 2027-06-30, change 7")
    make(database, "globex", "endpoint.deprecated", "my_model/v1 until 2027-06-30, change 5")
    with database.read() as session:
        told = sorted(told_of_end(session, "my_model", "v1", LAST_DAY))
    assert told == [("acme", "endpoint.deprecated", "", NOON), ("acme", "endpoint.sunset_near", "30", NOON)]


def test_notices_are_looked_up_by_tenant_and_kind_and_name_no_tenant_one_by_one(database: Database) -> None:
    tenants(database, "acme", "globex")
    crowd(database)
    asked: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *heard: asked.append((heard[2], heard[3])))
    with database.read() as session:
        told_of_end(session, "iris", "v1", LAST_DAY)
        last_told(session, "iris", "v1", "acme")
        last_told(session, "iris", "v1")
    found = [(statement, values) for statement, values in asked if "FROM notice" in statement]
    assert [len(values) < 20 for _, values in found] == [True] * 3
    if database.engine.dialect.name == "postgresql":
        found.pop()  # of all tenants it may well go through all notices: nearly each tenant's are wanted
    with database.read() as session:
        plans = [plan_of(session, *each) for each in found]
    searched = "(tenant_id=? AND kind=?)" if database.engine.dialect.name == "sqlite" else "Index Cond: (((tenant_id)::text = "
    assert [searched in plan for plan in plans] == [True] * len(plans), plans


def crowd(database: Database) -> None:
    """So many notices of others that to go through them all is no way."""
    more = {"body": "{}", "created_at": NOON, "kind": "endpoint.deprecated", "threshold": ""}
    rows = [{"id": f"n{n}", "tenant_id": f"t{n % 200}", "event": f"iris/v1 until 2027-06-30, change {n}"} | more for n in range(3000)]
    with database.write() as session:
        session.execute(insert(TenantTable), [{"id": f"t{n}", "name": f"t{n}", "plan": "trial", "created_at": NOON} for n in range(200)])
        session.execute(insert(NoticeTable), rows)
        session.connection().exec_driver_sql("ANALYZE")


def plan_of(session: Session, statement: str, values: Any) -> str:
    """In one line."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return "; ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
    return "; ".join(row[0].strip() for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values))
