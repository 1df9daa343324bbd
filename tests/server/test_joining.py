"""A process serves only when all others reckon with it: it waits for those that are alive, and not long for those that are not."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from gatehouse.db.clock import database_now
from gatehouse.db.revision import last_revision
from gatehouse.db.session import Database
from gatehouse.db.tables import ProcessTable
from gatehouse.server.joining import DEADLINE_S, ENDED_S, wait_until_counted
from gatehouse.server.process import FRESH, ProcessRow

Start = Callable[[str], ProcessRow]


class Clock:
    """A second goes by with each sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _seconds: float) -> None:
        self.now += 0.5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """Starts rows that beat only when they are told something."""
    rows: list[ProcessRow] = []

    def run(id: str) -> ProcessRow:
        rows.append(ProcessRow(database, id, 0, 3600.0))
        rows[-1].start()
        return rows[-1]

    yield run
    for row in rows:
        row.close()


def change(database: Database, id: str, **values: object) -> None:
    with database.write() as session:
        session.execute(update(ProcessTable).where(col(ProcessTable.id) == id).values(**values))


def ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def wait(database: Database, id: str, clock: Clock) -> bool:
    return wait_until_counted(database, id, monotonic=clock.monotonic, sleep=clock.sleep)


def test_a_process_that_is_alone_waits_for_nobody(database: Database, start: Start, clock: Clock) -> None:
    start("new")
    assert wait(database, "new", clock)
    assert clock.now == 0


def test_a_process_that_joins_waits_until_the_others_have_counted_it(database: Database, start: Start) -> None:
    old = start("old")
    start("new")
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(wait_until_counted, database, "new")
        assert old.live == 1
        assert not waiting.done()
        with database.read() as session:
            revision = last_revision(session)
        old.confirm(revision)
        assert waiting.result(10)
        assert old.live == 2


def test_a_row_written_later_has_counted_too(database: Database, start: Start, clock: Clock) -> None:
    start("old")
    start("new")
    with database.read() as session:
        later = database_now(session) + timedelta(seconds=3)
    change(database, "old", last_seen_at=later)
    assert wait(database, "new", clock)
    assert clock.now == 0


def test_a_process_of_this_machine_that_ended_without_a_word_is_waited_for_a_second(database: Database, start: Start, clock: Clock) -> None:
    start("old")
    change(database, "old", pid=ended_pid())
    start("new")
    assert wait(database, "new", clock)
    assert clock.now == ENDED_S


@pytest.mark.parametrize("values", [{"pid": 1}, {"host": "another-machine", "pid": 1}])
def test_a_process_that_says_nothing_is_waited_for_until_it_counts_no_longer(
    database: Database, start: Start, clock: Clock, values: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    start("old")
    change(database, "old", **values)
    start("new")
    assert not wait(database, "new", clock)
    assert clock.now == DEADLINE_S > FRESH.total_seconds()
    assert "it serves all the same" in caplog.text


def test_a_row_that_is_old_is_not_waited_for(database: Database, start: Start, clock: Clock) -> None:
    start("old")
    with database.read() as session:
        change(database, "old", last_seen_at=database_now(session) - FRESH - timedelta(seconds=1))
    start("new")
    assert wait(database, "new", clock)
    assert clock.now == 0


def test_a_process_whose_own_row_is_not_written_is_known_to_nobody(database: Database, clock: Clock) -> None:
    assert not wait(database, "new", clock)
