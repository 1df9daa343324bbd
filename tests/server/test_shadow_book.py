"""Figures of shadows on their way into the database: nothing is lost while it is gone, and nothing untrue is taken in."""

from collections import Counter
from datetime import date
from typing import Any

import pytest
from outage import database_away
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, StatementError

from gatehouse.db.session import GONE, Database
from gatehouse.migration.shadow_store import shadow_figures
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.server.shadow_book import MOST_ROWS, ShadowBook, sums_of
from gatehouse.server.shadow_wire import Result

DAY = (date(2026, 11, 21) - date(1970, 1, 1)).days


def key(tenant: str) -> ShadowDay:
    return ShadowDay(tenant, "iris", "v1", "2.0.0", DAY)


def calls(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {each.tenant_id: each.calls for each in shadow_figures(session, "iris", "v1", date(2026, 11, 21))}


def test_nothing_is_lost_while_the_database_is_gone(database: Database, database_url: str) -> None:
    book = ShadowBook(database)
    book.add(key("t1"), ShadowSums(calls=2, dropped=1))
    with database_away(database, database_url):
        with pytest.raises(GONE):
            book.flush()
        book.add(key("t1"), ShadowSums(calls=3, failed=1))
        with pytest.raises(GONE):
            book.flush()
    book.flush()
    book.flush()
    assert calls(database) == {"t1": 5}
    assert (book.compared, book.dropped, book.failed, book.lost) == (3, 1, 1, 0)


def test_beyond_its_bound_figures_are_lost_and_counted(sqlite_database: Database) -> None:
    book = ShadowBook(sqlite_database, most_kept=2)
    for tenant in ("t1", "t2", "t3", "t1"):
        book.add(key(tenant), ShadowSums(calls=1))
    book.flush()
    assert (calls(sqlite_database), book.lost) == ({"t1": 2, "t2": 1}, 1)


def test_the_end_without_a_database_is_said(sqlite_database: Database, sqlite_url: str, caplog: Any) -> None:
    book = ShadowBook(sqlite_database)
    book.add(key("t1"), ShadowSums(calls=7))
    with database_away(sqlite_database, sqlite_url):
        book.close()
    assert "last 7 calls" in caplog.text


def test_no_transaction_writes_many_rows_and_the_end_writes_all(sqlite_database: Database) -> None:
    """A server with many tenants may not keep its other writers from SQLite for seconds."""
    written: list[int] = []

    def execute(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith("BEGIN"):
            written.append(0)
        else:
            written[-1] += len(parameters) if many else 1

    book = ShadowBook(sqlite_database)
    for number in range(300):
        book.add(key(f"t{number}"), ShadowSums(calls=1, rows=20, shifts=Counter(range(20))))
    event.listen(sqlite_database.engine, "before_cursor_execute", execute)
    try:
        book.close()
    finally:
        event.remove(sqlite_database.engine, "before_cursor_execute", execute)
    assert max(written) <= MOST_ROWS
    assert len(written) == 7
    assert len(calls(sqlite_database)) == 300


def test_what_was_written_before_the_database_went_is_not_written_again(sqlite_database: Database) -> None:
    begun = 0

    def refuse(_connection: Any) -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            raise OperationalError("BEGIN", {}, Exception("unable to open database file"))

    book = ShadowBook(sqlite_database)
    for number in range(100):
        book.add(key(f"t{number}"), ShadowSums(calls=1, rows=20, shifts=Counter(range(20))))
    event.listen(sqlite_database.engine, "begin", refuse, insert=True)
    try:
        with pytest.raises(GONE):
            book.flush()
    finally:
        event.remove(sqlite_database.engine, "begin", refuse)
    assert 0 < len(calls(sqlite_database)) < 100
    book.flush()
    assert calls(sqlite_database) == {f"t{number}": 1 for number in range(100)}


def test_figures_that_can_never_be_stored_are_lost_alone_and_said_once(database: Database, caplog: Any) -> None:
    book = ShadowBook(database)
    for _ in range(2):
        book.add(key("t1"), ShadowSums(calls=1))
        book.add(key("t2"), ShadowSums(calls=2**70))
        book.add(key("t3"), ShadowSums(calls=1))
        book.flush()
    book.add(key("t2"), ShadowSums(calls=2**70))
    book.close()
    assert (calls(database), book.lost) == ({"t1": 2, "t3": 2}, 3 * 2**70)
    assert caplog.text.count("that the database refuses") == 1


def test_the_end_raises_nothing_whatever_the_database_says(sqlite_database: Database, caplog: Any) -> None:
    """Those who are to write down theirs after it would not be asked."""
    book = ShadowBook(sqlite_database)
    book.add(key("t1"), ShadowSums(calls=7))

    def fail(_connection: Any) -> None:
        raise StatementError("no words of it", None, None, None)

    event.listen(sqlite_database.engine, "begin", fail, insert=True)
    try:
        book.close()
    finally:
        event.remove(sqlite_database.engine, "begin", fail)
    assert book.lost == 7
    assert "StatementError" in caplog.text


def told(**more: Any) -> Result:
    """Of 3 calls with 10 rows, of which one call with 2 rows failed."""
    true: dict[str, Any] = {"failed": 1, "rows": 8, "not_upgraded": 2, "disagreed": 4, "shift_sum": 0.5, "shifts": {0: 5, 7: 1}}
    return Result(**(true | {"failures": [("a,b", "upgrade_too_long", 2)]} | more))


def test_what_can_be_true_is_believed() -> None:
    failures = Counter({UpgradeFailure("a,b", "upgrade_too_long"): 2})
    assert sums_of(told(), 3, 10) == ShadowSums(3, 0, 1, 8, 2, 4, 0.5, Counter({0: 5, 7: 1}), failures)
    assert sums_of(Result(failed=3), 3, 10) == ShadowSums(3, failed=3)
    assert sums_of(Result(failed=1, dropped=2), 3, 10) == ShadowSums(3, dropped=2, failed=1)


@pytest.mark.parametrize(
    "lie",
    [
        {"failed": 4},
        {"dropped": 3},
        {"failed": 0},
        {"rows": 11},
        {"not_upgraded": 9},
        {"disagreed": 7},
        {"shift_sum": float("nan")},
        {"shift_sum": float("inf")},
        {"shift_sum": 1e200},
        {"shifts": {0: 5}},
        {"shifts": {0: 5, 10**9: 1}},
        {"failures": [("a\n", "upgrade_too_long", 1)]},
        {"failures": [("a", "upgrade_too_long", 3)]},
        {"failures": [("a", "upgrade_too_long", 1)] * 10_001},
    ],
)
def test_row_91_what_cannot_be_true_is_not_believed(lie: dict[str, Any]) -> None:
    assert sums_of(told(**lie), 3, 10) is None
