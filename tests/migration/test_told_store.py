"""What tenants have been told of one endpoint, on both databases."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import update
from sqlmodel import col

from gatehouse.db.outbox import announce
from gatehouse.db.session import Database
from gatehouse.db.tables import NoticeTable
from gatehouse.migration.told_store import end_of, last_told, told_of_end

NOON = datetime(2027, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
LAST_DAY = date(2027, 6, 30)


def make(database: Database, tenant: str, kind: str, event: str, threshold: str = "", delivered: datetime | None = None) -> None:
    with database.write() as session:
        assert announce(session, tenant, kind, event, threshold, {})
        same = (col(NoticeTable.tenant_id) == tenant, col(NoticeTable.event) == event, col(NoticeTable.threshold) == threshold)
        session.execute(update(NoticeTable).where(*same).values(delivered_at=delivered, created_at=NOON))


def test_last_told_is_the_last_arrival_of_a_notice_of_this_endpoint(database: Database) -> None:
    hour = timedelta(hours=1)
    make(database, "acme", "endpoint.deprecated", "iris/v1 until 2027-06-30, change 7", delivered=NOON)
    make(database, "acme", "endpoint.sunset_near", "iris/v1 until 2027-06-30", "30", delivered=NOON + hour)
    make(database, "acme", "endpoint.sunset_near", "iris/v1 until 2027-06-30", "7")
    make(database, "acme", "endpoint.deprecated", "iris/v10 until 2027-06-30, change 8", delivered=NOON + 2 * hour)
    make(database, "acme", "quota.reached", "iris/v1 of 1000", delivered=NOON + 3 * hour)
    make(database, "globex", "endpoint.deprecated", "iris/v1 until 2027-06-30, change 7")
    make(database, "other", "endpoint.deprecated", "iris/v1 until 2027-06-30, change 7", delivered=NOON)
    with database.read() as session:
        assert last_told(session, ["acme", "globex"], "iris", "v1") == {"acme": NOON + hour}
        assert last_told(session, [], "iris", "v1") == {}


def test_told_of_an_end_is_of_that_day_alone_and_of_no_name_that_is_alike(database: Database) -> None:
    make(database, "acme", "endpoint.deprecated", "my_model/v1 until 2027-06-30, change 7")
    make(database, "acme", "endpoint.sunset_near", end_of("my_model/v1", LAST_DAY), "30")
    make(database, "acme", "endpoint.sunset_changed", "my_model/v1 until 2027-06-29, change 6")
    make(database, "acme", "endpoint.deprecated", "my-model/v1 until 2027-06-30, change 7")
    with database.read() as session:
        told = sorted(told_of_end(session, "my_model/v1", LAST_DAY))
    assert told == [("acme", "endpoint.deprecated", "", NOON), ("acme", "endpoint.sunset_near", "30", NOON)]
