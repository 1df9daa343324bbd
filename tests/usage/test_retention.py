"""Events held against their sums; old ones sealed and taken away; all of a tenant's on request."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, event, func, insert, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col, select

from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.db.tables import (
    AuditTable,
    RefusedCallsTable,
    TenantTable,
    UsageDayTable,
    UsageEventTable,
    UsageSealTable,
    UsageSummaryTable,
)
from gatehouse.errors import Refused
from gatehouse.usage.event import RefusedCalls, UsageEvent, encode_line
from gatehouse.usage.ledger_store import Checked, TenantDay, check, hold_still, tenant_days
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.retention import EVERY, Retention, erase
from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import Segment, lock_path
from gatehouse.usage.store import add_refused, insert_batch

DAY_US = 86_400_000_000
FIRST = date(2026, 11, 1)
FIRST_US = 1_793_491_200_000_000
ACTOR = Actor("os-user:test", "cli")


class Clock:
    def __init__(self, day: date) -> None:
        self.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def fill(database: Database, make_event: Callable[..., UsageEvent], days: int = 5, a_day: int = 7) -> None:
    """Tenants a and b have `a_day` calls on each of the first days of November 2026."""
    events = [
        make_event(at_us=FIRST_US + day * DAY_US + number * 3_600_000_000, tenant_id=tenant, rows=day + number)
        for tenant in ("a", "b")
        for day in range(days)
        for number in range(a_day)
    ]
    with database.write() as session:
        insert_batch(session, events)


def run(retention: Retention) -> int:
    steps = 1
    while retention.step():
        steps += 1
    return steps


def left(database: Database, tenant_id: str | None = None) -> dict[date, int]:
    with database.read() as session:
        events = session.exec(select(UsageEventTable)).all()
    counts: dict[date, int] = {}
    for each in events:
        if tenant_id in (None, each.tenant_id):
            day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=each.at_us)).date()
            counts[day] = counts.get(day, 0) + 1
    return counts


def sums(database: Database) -> tuple[tuple[int, int], tuple[int, int]]:
    with database.read() as session:
        hours = session.exec(select(func.sum(UsageSummaryTable.calls), func.sum(UsageSummaryTable.rows))).one()
        days = session.exec(select(func.sum(UsageDayTable.calls), func.sum(UsageDayTable.rows))).one()
    return (int(hours[0]), int(hours[1])), (int(days[0]), int(days[1]))


def verified(database: Database) -> list[Checked]:
    with database.read() as session:
        days = tenant_days(session, None, None, None)
    checked = []
    for of in days:
        with database.read() as session:
            hold_still(session)
            checked.append(check(session, of))
    return checked


def test_every_sum_equals_its_events(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    checked = verified(database)
    assert [(each.of.tenant_id, each.of.date, each.events) for each in checked] == [
        (tenant, FIRST + timedelta(days=day), 7) for tenant in ("a", "b") for day in range(5)
    ]
    assert not any(each.differences or each.sealed for each in checked)


@pytest.mark.parametrize("broken", ["hour", "day", "an event that is gone", "a sum of nothing"])
def test_a_sum_that_does_not_equal_its_events_is_found(database: Database, make_event: Any, broken: str) -> None:
    fill(database, make_event, days=2)
    second = (FIRST - date(1970, 1, 1)).days + 1
    with database.write() as session:
        if broken == "hour":
            here = (col(UsageSummaryTable.tenant_id) == "b", col(UsageSummaryTable.hour) == second * 24 + 3)
            session.execute(update(UsageSummaryTable).where(*here).values(rows=col(UsageSummaryTable.rows) + 1))
        elif broken == "day":
            here = (col(UsageDayTable.tenant_id) == "b", col(UsageDayTable.day) == second)
            session.execute(update(UsageDayTable).where(*here).values(bytes_out=0))
        elif broken == "an event that is gone":
            here = (col(UsageEventTable.at_us) == FIRST_US + DAY_US, col(UsageEventTable.tenant_id) == "b")
            session.execute(delete(UsageEventTable).where(*here))
        else:
            key = {"key_id": "x", "model": "", "api_version": "", "status": 500}
            numbers = {"calls": 1, "rows": 0, "bytes_in": 0, "bytes_out": 0, "latency_us": 0}
            session.execute(insert(UsageDayTable).values(tenant_id="b", day=second, **key, **numbers))
    wrong = [(each.of, difference.what) for each in verified(database) for difference in each.differences]
    expected = {"hour": ["hour"], "day": ["day"], "an event that is gone": ["hour", "day"], "a sum of nothing": ["day"]}[broken]
    assert wrong == [(TenantDay("b", second), what) for what in expected]


def test_old_events_go_in_batches_and_leave_their_sums_sealed(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    before = sums(database)
    steps = run(Retention(database, 32, Clock(FIRST + timedelta(days=35)), batch=2))
    assert steps > 2 * 3 * 3
    assert left(database) == {FIRST + timedelta(days=day): 14 for day in (3, 4)}
    assert sums(database) == before
    with database.read() as session:
        seals = session.exec(select(UsageSealTable)).all()
    assert {(seal.tenant_id, seal.reason, seal.calls) for seal in seals} == {("a", "retention", 7), ("b", "retention", 7)}
    assert len(seals) == 6
    checked = verified(database)
    assert [each.sealed for each in checked] == [True, True, True, False, False] * 2
    assert not any(each.differences for each in checked)


def test_a_sealed_sum_that_somebody_changed_is_found(database: Database, make_event: Any) -> None:
    fill(database, make_event, days=1)
    run(Retention(database, 32, Clock(FIRST + timedelta(days=40))))
    with database.write() as session:
        session.execute(update(UsageDayTable).where(col(UsageDayTable.tenant_id) == "a").values(rows=col(UsageDayTable.rows) + 1))
        calls = col(UsageSummaryTable.calls) + 1
        session.execute(update(UsageSummaryTable).where(col(UsageSummaryTable.tenant_id) == "b").values(calls=calls))
    found = [(each.of.tenant_id, {difference.what for difference in each.differences}) for each in verified(database)]
    assert found == [("a", {"hour", "seal"}), ("b", {"hour"})]


def test_events_that_come_late_count_on_a_sealed_day_once(database: Database, make_event: Any) -> None:
    fill(database, make_event, days=1)
    clock = Clock(FIRST + timedelta(days=40))
    retention = Retention(database, 32, clock)
    run(retention)
    late = [make_event(at_us=FIRST_US + 5, tenant_id="a", rows=100), make_event(at_us=FIRST_US - 5, tenant_id="a", rows=1)]
    for _ in range(2):
        with database.write() as session:
            insert_batch(session, late)
    assert sums(database)[0] == sums(database)[1] == (16, 2 * sum(range(7)) + 101)
    assert not any(each.differences for each in verified(database))
    clock.now += EVERY
    run(retention)
    assert left(database) == {}
    checked = verified(database)
    assert [each.sealed for each in checked] == [True, True, True]
    assert not any(each.differences for each in checked)


def test_row_101_an_orphan_that_is_adopted_after_its_events_were_pruned_counts_once(
    database: Database, open_spool: Callable[..., Spool], record: Callable[..., Recorder], make_event: Any, spool_dir: Path
) -> None:
    events = [make_event(at_us=FIRST_US + number, process_id="dead") for number in range(60)]
    spool_dir.mkdir(parents=True)
    Segment("dead", 1).path(spool_dir).write_bytes(b"".join(encode_line(each) for each in events))
    recorder = record(open_spool(), database, batch_bytes=5000)

    def fail_third(*_: Any, seen: list[int] = [0]) -> None:  # noqa: B006 - counts over the calls
        seen[0] += 1
        if seen[0] == 3:
            raise OperationalError("INSERT", None, Exception("connection lost"))

    event.listen(database.engine, "release_savepoint", fail_third)
    with pytest.raises(OperationalError):  # taken in part, then its adopter dies as well
        recorder.adopt_orphans()
    taken = sum(left(database).values())
    assert 0 < taken < 60
    run(Retention(database, 32, Clock(FIRST + timedelta(days=40))))
    assert left(database) == {}
    assert recorder.adopt_orphans() == ["dead"]
    assert sums(database) == ((60, 120), (60, 120))
    assert sum(left(database).values()) == 60 - taken
    assert not any(each.differences for each in verified(database))
    assert not lock_path(spool_dir, "dead").exists()


def test_a_day_that_does_not_equal_its_events_keeps_them(database: Database, make_event: Any, caplog: pytest.LogCaptureFixture) -> None:
    fill(database, make_event, days=1)
    with database.write() as session:
        session.execute(update(UsageDayTable).where(col(UsageDayTable.tenant_id) == "a").values(rows=0))
    run(Retention(database, 32, Clock(FIRST + timedelta(days=40))))
    assert left(database, "a") == {FIRST: 7}
    assert left(database, "b") == {}
    assert caplog.text.count("the sums of 2026-11-01 are not what the events of tenant a add up to") == 1


def test_retention_runs_once_an_hour_and_again_when_the_clock_is_set_back(database: Database, make_event: Any) -> None:
    clock = Clock(FIRST + timedelta(days=40))
    retention = Retention(database, 32, clock)
    run(retention)
    fill(database, make_event, days=1)
    run(retention)
    assert left(database) == {FIRST: 14}
    clock.now -= timedelta(days=1)
    run(retention)
    assert left(database) == {}


def test_counts_of_refused_calls_go_with_the_events_of_their_day(database: Database, make_event: Any) -> None:
    fill(database, make_event, days=4)
    first_s, same = FIRST_US // 10**6, {"refused": 1, "tenant_id": "a", "key_id": "k", "status": 429, "limit": "r"}
    counts = [RefusedCalls(second=first_s + day * 86_400, **same) for day in range(4)]  # type: ignore[arg-type]
    with database.write() as session:
        add_refused(session, counts)
    run(Retention(database, 32, Clock(FIRST + timedelta(days=34)), batch=3))
    with database.read() as session:
        assert sorted(session.exec(select(RefusedCallsTable.second))) == [count.second for count in counts[2:]]


def named(database: Database, tenant: str) -> None:
    with database.write() as session:
        session.execute(insert(TenantTable).values(id=tenant, name=tenant, plan="trial", created_at=datetime(2026, 1, 1, tzinfo=UTC)))


def test_a_tenants_events_are_erased_on_request_and_its_sums_stay(database: Database, make_event: Any) -> None:
    fill(database, make_event)
    before, told = sums(database), []
    erased = erase(database, ACTOR, "a", "acme", FIRST, lambda *done: told.append(done))
    assert (erased, told) == (0, [])
    with pytest.raises(Refused, match="stay until the month is over"):
        erase(database, ACTOR, "a", "acme", datetime.now(UTC).date() + timedelta(days=1), lambda *_: None)
    this_month = datetime.now(UTC).date().replace(day=1)
    old = make_event(at_us=FIRST_US - 40 * DAY_US, tenant_id="a")
    with database.write() as session:
        insert_batch(session, [old])
    erased = erase(database, ACTOR, "a", "acme", this_month, lambda *done: told.append(done), batch=2)
    assert len(told) >= erased / 2
    assert told[-1] == (erased, erased)
    assert not any(day < this_month for day in left(database, "a"))
    assert sum(left(database, "b").values()) == 35
    assert sums(database) == ((before[0][0] + 1, before[0][1] + 2), (before[1][0] + 1, before[1][1] + 2))
    assert not any(each.differences for each in verified(database))
    with database.read() as session:
        reasons = set(session.exec(select(UsageSealTable.reason)))
        audited = session.exec(select(AuditTable).where(AuditTable.action == "usage.erase")).all()
    assert reasons == {"erasure"}
    assert [(row.actor, row.subject) for row in audited] == [(ACTOR.name, "acme")] * 2


def test_nothing_is_erased_of_a_day_that_does_not_equal_its_events(database: Database, make_event: Any) -> None:
    with database.write() as session:
        insert_batch(session, [make_event(at_us=FIRST_US - 40 * DAY_US, tenant_id="a")])
        session.execute(update(UsageDayTable).values(rows=0))
    with pytest.raises(Refused, match="nothing of that day was erased; gatehouse usage verify --tenant acme"):
        erase(database, ACTOR, "a", "acme", FIRST, lambda *_: None)
    assert sum(left(database).values()) == 1
