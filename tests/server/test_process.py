"""Process rows: who serves is known to all, whoever ends is gone, and nobody waits for the row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, update
from sqlalchemy.exc import OperationalError
from sqlmodel import select
from stage import Stage, instances, wait_until

from gatehouse.db.revision import changes_since, last_revision, record_change
from gatehouse.db.session import Database
from gatehouse.db.tables import ProcessTable, QuotaBlockTable
from gatehouse.principal import Plan, Rate
from gatehouse.server import process as process_module
from gatehouse.server.process import FORGOTTEN, FRESH, ProcessRow
from gatehouse.server.store import Process, list_processes

Start = Callable[..., ProcessRow]
BEAT_S = 0.05


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """Starts rows of processes, by default ones that beat only when they are told something."""
    rows: list[ProcessRow] = []

    def run(id: str, revision: int = 0, beat_s: float = 3600.0) -> ProcessRow:
        rows.append(ProcessRow(database, id, revision, beat_s))
        rows[-1].start()
        return rows[-1]

    yield run
    for row in rows:
        row.close()


def rows_of(database: Database) -> dict[str, Process]:
    with database.read() as session:
        return {process.id: process for process in list_processes(session)}


def age(database: Database, id: str, by: timedelta) -> None:
    with database.write() as session:
        session.execute(update(ProcessTable).where(ProcessTable.id == id).values(last_seen_at=datetime.now(UTC) - by))  # type: ignore[arg-type]


@contextmanager
def unreachable(database: Database) -> Iterator[None]:
    def refuse(_connection: Any) -> None:
        raise OperationalError("BEGIN", {}, Exception("gone"))

    event.listen(database.engine, "begin", refuse)
    try:
        yield
    finally:
        event.remove(database.engine, "begin", refuse)


def test_a_process_has_its_row_when_it_starts_and_none_when_it_has_ended(database: Database, start: Start) -> None:
    row = start("prc_1", 7)
    [process] = rows_of(database).values()
    assert (process.id, process.revision_seen) == ("prc_1", 7)
    assert process.pid > 0
    assert process.host
    assert abs(process.last_seen_at - datetime.now(UTC)) < timedelta(seconds=5)
    row.close()
    assert rows_of(database) == {}


def test_joining_and_leaving_are_changes_so_that_all_others_count_anew_at_once(database: Database, start: Start) -> None:
    with database.read() as session:
        before = last_revision(session)
    first = start("prc_1")
    start("prc_2").close()
    assert first.live == 1
    with database.read() as session:
        changes = changes_since(session, before)
    assert [(change.kind, change.id) for change in changes] == [("process", "prc_1"), ("process", "prc_2"), ("process", "prc_2")]
    start("prc_3")
    first.confirm(changes[-1].revision + 1)
    wait_until(lambda: first.live == 2)


def test_a_revision_that_was_taken_in_is_written_at_once(database: Database, start: Start) -> None:
    row = start("prc_1", 7)
    row.confirm(8)
    wait_until(lambda: rows_of(database)["prc_1"].revision_seen == 8)
    row.confirm(3)  # the database was put back to an older state
    wait_until(lambda: rows_of(database)["prc_1"].revision_seen == 3)


def test_a_row_is_kept_fresh_and_written_again_when_it_was_taken_away(database: Database, start: Start) -> None:
    start("prc_1", 7, BEAT_S)
    first = rows_of(database)["prc_1"]
    wait_until(lambda: rows_of(database)["prc_1"].last_seen_at > first.last_seen_at)
    with database.write() as session:
        session.execute(delete(ProcessTable))
    wait_until(lambda: "prc_1" in rows_of(database))
    again = rows_of(database)["prc_1"]
    assert (again.started_at, again.revision_seen) == (first.started_at, 7)


def test_one_that_was_killed_counts_no_more_when_it_is_stale_and_is_forgotten_later(database: Database, start: Start) -> None:
    row = start("prc_1", beat_s=BEAT_S)
    start("prc_2")
    wait_until(lambda: row.live == 2)
    age(database, "prc_2", FRESH + timedelta(seconds=1))
    wait_until(lambda: row.live == 1)
    start("prc_3")
    assert set(rows_of(database)) == {"prc_1", "prc_2", "prc_3"}
    age(database, "prc_2", FORGOTTEN + timedelta(seconds=1))
    start("prc_4")
    assert set(rows_of(database)) == {"prc_1", "prc_3", "prc_4"}


def test_a_process_that_cannot_write_its_row_goes_on_and_writes_it_later(
    database: Database, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process_module, "RETRY_S", BEAT_S)
    with database.read() as session:
        before = last_revision(session)
    with unreachable(database):
        row = start("prc_1", 7)
        row.confirm(8)
        assert row.live == 1
    wait_until(lambda: rows_of(database).get("prc_1") is not None)
    assert rows_of(database)["prc_1"].revision_seen == 8
    with database.read() as session:
        assert [change.kind for change in changes_since(session, before)] == ["process"]
    said = [record.getMessage() for record in caplog.records if record.name == "gatehouse.process"]
    assert ["cannot be written" in said[0], "can be written again" in said[-1], len(said)] == [True, True, 2]


def test_a_row_that_cannot_be_removed_is_left_to_grow_old(database: Database, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    row = start("prc_1")
    with unreachable(database):
        row.close()
    assert set(rows_of(database)) == {"prc_1"}
    assert "stays until it is old" in caplog.text


def test_servers_know_of_each_other_and_share_a_quota_accordingly(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    plan = Plan("eighth", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 800, "hard", 100, 10_000)
    key = stage.tenant("acme", "line", plan=stage.plan(plan))
    with stage.serving() as first:
        assert (first.app.live_processes, set(rows_of(stage.database))) == (1, {first.app.process_id})
        with stage.serving() as second:
            assert second.app.live_processes == 2
            wait_until(lambda: first.app.live_processes == 2, 2)
            assert first.predict(key, instances({"size": 1}), "/v1/models/line/predict").status_code == 200
            with stage.database.read() as session:
                [block] = session.exec(select(QuotaBlockTable))
            assert (block.process_id, block.rows) == (first.app.process_id, 800 // (4 * 2))
        wait_until(lambda: first.app.live_processes == 1, 2)
    assert rows_of(stage.database) == {}


def test_the_row_says_what_has_been_taken_in_and_never_more(stage: Stage) -> None:
    with stage.serving() as live:
        with stage.database.write() as session:
            revision = record_change(session, "key", "unknown")
        wait_until(lambda: rows_of(stage.database)[live.app.process_id].revision_seen == revision, 2)
        assert live.app.follower.revision == revision


def test_after_a_time_without_the_database_nobody_counts_fewer_than_before_until_all_had_time_to_come_back(
    start: Start, database: Database
) -> None:
    one = start("p1")
    start("p2")
    one.confirm(1)
    wait_until(lambda: one.live == 2)
    for id in ("p1", "p2"):
        age(database, id, 2 * FRESH)
    one._process = replace(one._process, last_seen_at=one._process.last_seen_at - 2 * FRESH)
    with database.read() as session:
        before = last_revision(session)
    one.confirm(2)
    wait_until(lambda: rows_of(database)["p1"].revision_seen == 2)
    assert one.live == 2
    with database.read() as session:
        assert [change.kind for change in changes_since(session, before)] == ["process"]
    one._holds_until = one._process.last_seen_at
    one.confirm(3)
    wait_until(lambda: one.live == 1)
