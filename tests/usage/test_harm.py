"""The open file of a spool, cut short or removed by somebody: said, and the process goes on in a new one."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlmodel import select

from gatehouse.db.session import Database
from gatehouse.db.tables import UsageEventTable
from gatehouse.usage import spool as spool_module
from gatehouse.usage.event import encode_line
from gatehouse.usage.harm import HarmWatch
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import Segment, segments


def stored(database: Database) -> set[str]:
    with database.read() as session:
        return set(session.exec(select(UsageEventTable.id)))


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("how", ["removed", "cut short"])
def test_what_was_taken_stays_what_was_not_is_lost_and_said_and_what_comes_counts(
    sqlite_database: Database,
    open_spool: Callable[..., Spool],
    record: Callable[..., Recorder],
    make_event: Any,
    spool_dir: Path,
    caplog: pytest.LogCaptureFixture,
    durable: bool,
    how: str,
) -> None:
    spool, events = open_spool(durable=durable), [make_event() for _ in range(8)]
    recorder, file = record(spool, sqlite_database), Segment("p1", 1).path(spool_dir)

    def append(*numbers: int) -> None:
        for number in numbers:
            spool.append(events[number])
        mark = spool.begin_sync()
        os.close(mark.file)
        spool.end_sync(mark)

    append(0, 1, 2)
    recorder._round(adopt=False)
    append(3, 4)
    length = len(encode_line(events[0]))
    if how == "removed":
        file.unlink()
    else:
        os.truncate(file, length * 3 + 50)  # in the middle of the fourth line
    for _ in range(3):
        recorder._round(adopt=False)
    gone = length * 5 if how == "removed" else length * 2 - 50
    said = [entry.getMessage() for entry in caplog.records if "cut short or removed" in entry.getMessage()]
    assert len(said) == 1
    assert f"p1.000001.ndjson was cut short or removed by somebody: {gone} bytes are gone" in said[0]
    append(5, 6, 7)
    for _ in range(3):
        recorder._round(adopt=False)
    assert stored(sqlite_database) == {events[number].id for number in (0, 1, 2, 5, 6, 7)}
    assert segments(spool_dir) == [Segment("p1", 2)]
    assert spool.backlog_bytes == 0
    assert len([entry for entry in caplog.records if "cut short or removed" in entry.getMessage()]) == 1


def test_a_spool_that_changes_to_its_next_file_by_itself_is_not_taken_for_harmed(
    open_spool: Callable[..., Spool], make_event: Any, caplog: pytest.LogCaptureFixture
) -> None:
    spool = open_spool(segment_bytes=1)
    watch, looks = HarmWatch(spool), [0]

    def look_at_each_line(frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_code.co_filename == spool_module.__file__:
            looks[0] += 1
            watch.look()  # nothing in here is traced
            return look_at_each_line
        return None

    tracing = sys.gettrace()
    sys.settrace(look_at_each_line)
    try:
        for _ in range(3):
            spool.append(make_event())
    finally:
        sys.settrace(tracing)
    assert looks[0] > 30
    assert caplog.text == ""
