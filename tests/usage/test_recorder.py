"""From the spool into the database: each event once, through failures and adoption."""

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from gatehouse.db.session import Database
from gatehouse.db.tables import RefusedCallsTable, SpoolSegmentTable, UsageDayTable, UsageEventTable, UsageSummaryTable
from gatehouse.errors import UsageUnavailable
from gatehouse.usage import store
from gatehouse.usage.event import RefusedCalls, UsageEvent, encode_line
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.rounds import WritingRounds
from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import Segment, lock_path, segments

OpenSpool = Callable[..., Spool]
Record = Callable[..., Recorder]
DAY = date(2026, 11, 15)
NOON_S = 1_794_744_000


def stored(database: Database) -> list[dict[str, Any]]:
    with database.read() as session:
        rows = session.exec(select(UsageEventTable).order_by(UsageEventTable.id))
        return [row.model_dump() for row in rows]


def as_rows(events: list[UsageEvent]) -> list[dict[str, Any]]:
    return sorted((msgspec.structs.asdict(event) for event in events), key=lambda row: str(row["id"]))


def assert_summaries_equal_events(database: Database) -> None:
    rows = stored(database)
    for table in (UsageSummaryTable, UsageDayTable):
        with database.read() as session:
            summaries = [row.model_dump() for row in session.exec(select(table))]
        for name in ("rows", "bytes_in", "bytes_out", "latency_us"):
            assert sum(summary[name] for summary in summaries) == sum(row[name] for row in rows)
        assert sum(summary["calls"] for summary in summaries) == len(rows)


def write_orphan(folder: Path, process_id: str, *contents: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lock_path(folder, process_id).touch()
    for number, content in enumerate(contents, start=1):
        Segment(process_id, number).path(folder).write_bytes(content)


def test_events_and_summaries_reach_the_database(database: Database, open_spool: OpenSpool, record: Record, make_event: Any) -> None:
    spool = open_spool(segment_bytes=2000)
    events = [make_event(model=None, api_version=None, rows=0, status=404), *[make_event() for _ in range(20)]]
    for event in events:
        spool.append(event)
    recorder = record(spool, database)
    assert recorder.drain() == 21
    assert recorder.drain() == 0
    assert stored(database) == as_rows(events)
    assert_summaries_equal_events(database)


def test_what_comes_while_a_batch_is_taken_is_of_the_next_round(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any
) -> None:
    spool = open_spool()
    recorder = record(spool, database)
    spool.append(make_event())
    batches = 0

    def append(*_: Any) -> None:
        nonlocal batches
        batches += 1
        if batches < 9:
            spool.append(make_event())

    sqlalchemy_event.listen(database.engine, "begin", append)  # after the size was looked at, before the lines are read
    assert recorder.drain() == 2
    assert batches == 1


def test_finished_segments_go_once_they_are_taken(
    sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path
) -> None:
    spool = open_spool(segment_bytes=2000)
    for _ in range(20):
        spool.append(make_event())
    last = segments(spool_dir)[-1]
    record(spool, sqlite_database).drain()
    assert segments(spool_dir) == [last]
    with sqlite_database.read() as session:
        assert [row.id for row in session.exec(select(SpoolSegmentTable))] == [last.id]


def test_a_line_that_is_not_finished_waits(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, event = open_spool(), make_event()
    recorder = record(spool, database)
    write, drained = os.write, []

    def in_two_parts(file: int, data: bytes) -> int:
        if drained:
            return write(file, data)
        written = write(file, data[:50])
        drained.append(recorder.drain())
        return written

    monkeypatch.setattr(os, "write", in_two_parts)
    spool.append(event)
    assert (drained, recorder.drain()) == ([0], 1)
    assert stored(database) == as_rows([event])


def test_row_100_of_a_round_whose_write_failed_in_the_middle_nothing_is_ever_taken(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    recorder, rounds = record(spool, database), WritingRounds(spool)
    before, refused, after = ([make_event() for _ in range(number)] for number in (3, 4, 4))
    write = os.write

    def cut(file: int, data: bytes) -> int:
        if data.count(b"\n") < 3:
            raise OSError(errno.EIO, "Input/output error")
        return write(file, data[: data.index(b"\n") + 40])  # one whole line and some of the next

    async def append(events: list[UsageEvent]) -> list[Any]:
        return await asyncio.gather(*(rounds.append(event) for event in events), return_exceptions=True)

    assert asyncio.run(append(before)) == [None] * 3
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", cut)
        assert {type(each) for each in asyncio.run(append(refused))} == {UsageUnavailable}
        recorder.drain()
    spool.check_room()
    assert asyncio.run(append(after)) == [None] * 4
    recorder.drain()
    assert stored(database) == as_rows([*before, *after])


def test_a_segment_that_has_a_successor_stays_until_its_last_events_are_synced_and_taken(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool(durable=True, segment_bytes=2000)
    recorder = record(spool, database)
    sync, switching = os.fdatasync, []

    def while_it_switches(file: int) -> None:
        if len(segments(spool.folder)) > 1 and not switching:  # the successor is there, and the last events are not synced
            switching.append(recorder.drain())
        sync(file)

    monkeypatch.setattr(os, "fdatasync", while_it_switches)
    events = [make_event() for _ in range(20)]
    for event in events:
        spool.append(event)
    assert switching
    recorder.close()
    assert stored(database) == as_rows(events)


@pytest.mark.parametrize("after", ["the events", "usage_summary", "usage_day", "spool_segment"])
def test_a_drain_that_fails_half_way_is_retried_without_counting_twice(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, after: str
) -> None:
    spool = open_spool()
    events = [make_event() for _ in range(50)]
    for event in events:
        spool.append(event)
    recorder = record(spool, database, batch_bytes=5000)
    seen = [0]

    def fail_second(*_: Any) -> None:
        seen[0] += 1
        if seen[0] == 2:
            raise OperationalError("INSERT", None, Exception("connection lost"))

    def look_at(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(f"INSERT INTO {after} ") and "DO UPDATE" in statement:
            fail_second()

    # after the write, before the commit
    if after == "the events":
        sqlalchemy_event.listen(database.engine, "release_savepoint", fail_second)
    else:
        sqlalchemy_event.listen(database.engine, "after_cursor_execute", look_at)
    with pytest.raises(OperationalError):
        recorder.drain()
    assert 0 < len(stored(database)) < 50
    assert_summaries_equal_events(database)
    recorder.drain()
    assert stored(database) == as_rows(events)
    assert_summaries_equal_events(database)


def test_an_event_that_is_there_already_is_not_added_up_again(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any
) -> None:
    spool, events = open_spool(), [make_event() for _ in range(3)]
    with database.write() as session:
        store.insert_batch(session, events[:2])
    for event in [*events, *events]:
        spool.append(event)
    assert record(spool, database).drain() == 1
    assert stored(database) == as_rows(events)
    assert_summaries_equal_events(database)


def test_the_thread_drains_without_being_asked(sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any) -> None:
    spool = open_spool()
    there = threading.Event()
    sqlalchemy_event.listen(sqlite_database.engine, "commit", lambda _: there.set())
    recorder = record(spool, sqlite_database, interval_s=0.01)
    recorder.start()
    spool.append(make_event())
    assert there.wait(10)
    recorder.close()
    assert len(stored(sqlite_database)) == 1


def test_row_100_usage_waits_while_the_database_is_away(
    sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any, caplog: pytest.LogCaptureFixture
) -> None:
    away, failed, back = [True], threading.Event(), threading.Event()

    def refuse(_connection: Any) -> None:
        if away[0]:
            failed.set()
            raise OperationalError("BEGIN", None, Exception("connection refused"))
        back.set()

    sqlalchemy_event.listen(sqlite_database.engine, "begin", refuse)
    caplog.set_level(logging.INFO, "gatehouse.usage")
    spool, events = open_spool(), [make_event() for _ in range(3)]
    recorder = record(spool, sqlite_database, interval_s=0.01)
    for event in events:
        spool.append(event)
    recorder.start()
    assert failed.wait(10)
    away[0] = False
    assert back.wait(10)
    recorder.close()
    assert stored(sqlite_database) == as_rows(events)
    said = [entry.getMessage() for entry in caplog.records]
    assert sum("usage waits in the spool" in message for message in said) == 1


def test_row_100_a_sqlite_database_that_is_full_takes_all_of_it_once_there_is_room(
    sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gatehouse.usage")
    spool, events = open_spool(), [make_event() for _ in range(500)]
    for event in events:
        spool.append(event)
    with sqlite_database.read() as session:
        most = session.execute(text("PRAGMA page_count")).scalar_one() + 20

    def fill_up(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {most}")

    sqlalchemy_event.listen(sqlite_database.engine, "checkout", fill_up)
    recorder = record(spool, sqlite_database, batch_bytes=10_000)
    for _ in range(3):
        recorder._round(adopt=False)
    assert 0 < len(stored(sqlite_database)) < 500
    assert_summaries_equal_events(sqlite_database)
    assert spool.backlog_bytes > 0
    most = 1_000_000
    recorder._round(adopt=False)
    assert stored(sqlite_database) == as_rows(events)
    assert_summaries_equal_events(sqlite_database)
    assert spool.backlog_bytes == 0
    said = [entry.getMessage() for entry in caplog.records]
    waits = "usage waits in the spool: the database does not take it: (sqlite3.OperationalError) database or disk is full"
    assert said == [waits, "usage goes into the database again"]


def test_row_100_a_backlog_over_its_bound_stops_scoring_until_the_database_is_back(
    sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any
) -> None:
    away, changed = [True], threading.Condition()

    def refuse(_connection: Any) -> None:
        if away[0]:
            raise OperationalError("BEGIN", None, Exception("connection refused"))

    sqlalchemy_event.listen(sqlite_database.engine, "begin", refuse)
    spool = open_spool(max_backlog_bytes=500)
    look = spool.check_room

    def look_and_tell() -> None:
        look()
        with changed:
            changed.notify_all()

    spool.check_room = look_and_tell  # type: ignore[method-assign]
    for _ in range(3):
        spool.append(make_event())
    recorder = record(spool, sqlite_database, interval_s=0.01)
    recorder.start()
    with changed:
        assert changed.wait_for(lambda: spool.no_room == "backlog_full", 10)
    away[0] = False
    with changed:
        assert changed.wait_for(lambda: spool.no_room is None, 10)
    recorder.close()


def test_row_101_an_orphan_is_adopted_and_its_torn_line_dropped(
    database: Database,
    open_spool: OpenSpool,
    record: Record,
    make_event: Any,
    spool_dir: Path,
    ended: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = [make_event(process_id="dead") for _ in range(5)]
    whole = [encode_line(event) for event in events]
    write_orphan(spool_dir, "dead", b"".join(whole[:3]), b"".join(whole[3:]) + encode_line(make_event())[:100])
    recorder = record(open_spool(), database)
    assert recorder.adopt_orphans() == ["dead"]
    assert recorder.adopt_orphans() == []
    assert stored(database) == as_rows(events)
    assert_summaries_equal_events(database)
    assert ended == ["dead"]
    assert [path.name for path in sorted(spool_dir.iterdir())] == ["p1.000001.ndjson", "p1.lock"]
    assert "100 bytes of a call that was not answered are dropped" in caplog.text


def test_the_spool_of_a_living_process_is_left_alone(
    sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path
) -> None:
    other, mine = open_spool("p2"), open_spool("p1")
    other.append(make_event(process_id="p2"))
    assert record(mine, sqlite_database).adopt_orphans() == []
    assert len(segments(spool_dir)) == 2


def test_row_101_one_of_many_adopts_an_orphan(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path, ended: list[str]
) -> None:
    events = [make_event(process_id="dead") for _ in range(200)]
    write_orphan(spool_dir, "dead", b"".join(encode_line(event) for event in events))
    recorders = [record(open_spool(f"p{number}"), database) for number in range(4)]
    start, adopted = threading.Barrier(4), []

    def adopt(recorder: Recorder) -> None:
        start.wait()
        adopted.extend(recorder.adopt_orphans())

    threads = [threading.Thread(target=adopt, args=(recorder,)) for recorder in recorders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert adopted == ended == ["dead"]
    assert stored(database) == as_rows(events)
    assert_summaries_equal_events(database)


def test_an_adoption_that_fails_is_taken_up_again(
    sqlite_database: Database, open_spool: OpenSpool, make_event: Any, spool_dir: Path
) -> None:
    write_orphan(spool_dir, "dead", encode_line(make_event(process_id="dead")))
    asked: list[str] = []

    def settle(process_id: str) -> None:
        asked.append(process_id)
        if len(asked) == 1:
            raise OperationalError("BEGIN", None, Exception("connection lost"))

    recorder = Recorder(open_spool(), sqlite_database, settle)
    with pytest.raises(OperationalError):
        recorder.adopt_orphans()
    assert recorder.adopt_orphans() == ["dead"]
    assert asked == ["dead", "dead"]
    assert len(stored(sqlite_database)) == 1


def test_a_line_that_is_no_event_is_kept_aside(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = [make_event() for _ in range(2)]
    write_orphan(spool_dir, "dead", encode_line(events[0]) + b'{"format":9}\n' + encode_line(events[1]))
    record(open_spool(), database).adopt_orphans()
    assert stored(database) == as_rows(events)
    assert (spool_dir / "dead.000001.rejected").read_bytes() == b'{"format":9}\n'
    assert "is no usage event" in caplog.text


def test_a_live_spool_that_somebody_cut_short_is_read_again_and_nothing_counted_twice(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool, events = open_spool(), [make_event() for _ in range(6)]
    recorder = record(spool, database)
    for event in events[:4]:
        spool.append(event)
    recorder.drain()
    length = len(encode_line(events[0]))
    os.truncate(Segment("p1", 1).path(spool_dir), length * 2 + 50)  # in the middle of the third line
    spool.append(events[4])
    assert recorder.drain() == 1
    spool.append(events[5])
    assert recorder.drain() == 1
    assert stored(database) == as_rows(events)
    assert_summaries_equal_events(database)
    assert (spool_dir / "p1.000001.rejected").stat().st_size == 51
    assert "is shorter than what was taken of it" in caplog.text


def test_counts_of_refused_calls_are_taken_once(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path
) -> None:
    count = RefusedCalls(refused=3, second=NOON_S, tenant_id="t", key_id="k", status=429, limit="key-rows")
    write_orphan(spool_dir, "dead", b"".join(map(encode_line, (make_event(), count, count, make_event()))))
    record(open_spool(), database).adopt_orphans()
    assert len(stored(database)) == 2
    with database.read() as session:
        assert [row.calls for row in session.exec(select(RefusedCallsTable))] == [6]


def test_a_file_of_junk_does_not_hold_up_the_rest(
    sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path
) -> None:
    event = make_event()
    write_orphan(spool_dir, "dead", b"\0" * 5000, encode_line(event))
    record(open_spool(), sqlite_database, batch_bytes=2000).adopt_orphans()
    assert stored(sqlite_database) == as_rows([event])
    assert len(segments(spool_dir)) == 1


def test_close_takes_everything_and_leaves_an_empty_folder(
    database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path, ended: list[str]
) -> None:
    spool, event = open_spool(), make_event()
    recorder = record(spool, database)
    recorder.start()
    spool.append(event)
    recorder.close()
    assert stored(database) == as_rows([event])
    assert ended == ["p1"]
    assert list(spool_dir.iterdir()) == []
    with database.read() as session:
        assert session.exec(select(SpoolSegmentTable)).all() == []


def test_what_cannot_be_drained_at_close_is_there_for_the_next_process(
    sqlite_database: Database, open_spool: OpenSpool, record: Record, make_event: Any, spool_dir: Path, ended: list[str]
) -> None:
    spool, event = open_spool(), make_event()
    spool.append(event)

    def refuse(_connection: Any) -> None:
        raise OperationalError("BEGIN", None, Exception("connection refused"))

    sqlalchemy_event.listen(sqlite_database.engine, "begin", refuse)
    record(spool, sqlite_database).close()
    assert ended == []
    sqlalchemy_event.remove(sqlite_database.engine, "begin", refuse)
    assert record(open_spool("p2"), sqlite_database).adopt_orphans() == ["p1"]
    assert stored(sqlite_database) == as_rows([event])
    assert not lock_path(spool_dir, "p1").exists()
