"""Calls of five minutes: each told once by its process, summed over all, those that ended too, and gone when they are old."""

from datetime import UTC, datetime, timedelta

from sqlmodel import func, select

from gatehouse.db.session import Database
from gatehouse.db.tables import RecentCallsTable
from gatehouse.metrics.recent_store import KEPT_S, SPAN_S, Key, Recent, RecentCalls, recent_calls

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD: Key = ("iris", "v1", 200, "")
REFUSED: Key = ("", "", 401, "credential_invalid")


class Process:
    """Counts, and tells the database when it is asked to."""

    def __init__(self, database: Database, id: str) -> None:
        self.database = database
        self.totals: dict[Key, tuple[int, int]] = {}
        self.recent = RecentCalls(id, lambda: dict(self.totals))

    def tell(self, now: datetime) -> None:
        with self.database.write() as session:
            self.recent.write(session, now)
        self.recent.written()


def read(database: Database, now: datetime) -> list[Recent]:
    with database.read() as session:
        return recent_calls(session, now)


def test_each_call_is_told_once_and_all_processes_are_added_up(database: Database) -> None:
    one, two = Process(database, "prc_1"), Process(database, "prc_2")
    one.totals = {GOOD: (3, 30), REFUSED: (1, 0)}
    one.tell(NOON)
    one.tell(NOON)
    one.totals[GOOD] = (5, 31)
    one.tell(NOON + timedelta(seconds=3))
    two.totals = {GOOD: (10, 10)}
    two.tell(NOON + timedelta(minutes=2))
    assert read(database, NOON + timedelta(minutes=2)) == [
        Recent("", "", 401, "credential_invalid", 1, 0),
        Recent("iris", "v1", 200, "", 15, 41),
    ]


def test_what_was_not_committed_is_told_again(database: Database) -> None:
    one = Process(database, "prc_1")
    one.totals = {GOOD: (3, 3)}
    with database.read() as session:  # rolled back
        one.recent.write(session, NOON)
    one.tell(NOON)
    assert [each.calls for each in read(database, NOON)] == [3]


def test_calls_leave_the_span_and_then_the_table(database: Database) -> None:
    one = Process(database, "prc_1")
    one.totals = {GOOD: (1, 1)}
    one.tell(NOON)
    assert len(read(database, NOON + timedelta(seconds=SPAN_S))) == 1
    assert read(database, NOON + timedelta(seconds=SPAN_S + 16)) == []
    one.totals = {GOOD: (2, 2)}
    one.tell(NOON + timedelta(seconds=KEPT_S))
    assert rows(database) == 2
    one.totals = {GOOD: (3, 3)}
    one.tell(NOON + timedelta(seconds=KEPT_S + 16))
    assert rows(database) == 2


def rows(database: Database) -> int:
    with database.read() as session:
        return session.exec(select(func.count()).select_from(RecentCallsTable)).one()
