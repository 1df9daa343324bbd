"""The spool of one process."""

import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from gatehouse.db.session import Database
from gatehouse.errors import UsageUnavailable
from gatehouse.usage import disk_space
from gatehouse.usage import spool as spool_module
from gatehouse.usage.event import decode_line, encode_line
from gatehouse.usage.spool import CHUNK_BYTES, LINE_BYTES, Spool
from gatehouse.usage.spool_folder import Segment, lock_path, segments, try_lock

OpenSpool = Callable[..., Spool]


def lines(folder: Path) -> list[bytes]:
    return [line for segment in segments(folder) for line in segment.path(folder).read_bytes().splitlines()]


def test_an_appended_event_is_in_the_file_at_once(open_spool: OpenSpool, spool_dir: Path, make_event: Any) -> None:
    spool, events = open_spool(), [make_event() for _ in range(3)]
    for number, event in enumerate(events):
        spool.append(event)
        assert [decode_line(line) for line in lines(spool_dir)] == events[: number + 1]


def test_a_segment_that_is_full_has_a_successor(open_spool: OpenSpool, spool_dir: Path, make_event: Any) -> None:
    spool = open_spool(segment_bytes=1000)
    events = [make_event() for _ in range(10)]
    for event in events:
        spool.append(event)
    assert segments(spool_dir) == [Segment("p1", number) for number in range(1, 4)]
    assert [decode_line(line) for line in lines(spool_dir)] == events


def test_a_segment_that_has_just_begun_is_not_removed_whenever_the_recorder_looks(
    sqlite_database: Database, open_spool: OpenSpool, record: Any, make_event: Any
) -> None:
    spool = open_spool(segment_bytes=1)
    recorder, new = record(spool, sqlite_database), []

    def drain_at_each_line(frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_code.co_filename == spool_module.__file__:
            new.append(recorder.drain())  # nothing in here is traced
            return drain_at_each_line
        return None

    spool.append(make_event())
    tracing = sys.gettrace()
    sys.settrace(drain_at_each_line)
    try:
        spool.append(make_event())
    finally:
        sys.settrace(tracing)
    spool.close()
    assert sum(new) + recorder.drain() == 2
    assert len(new) > 10


def test_only_the_owner_may_read_the_files(open_spool: OpenSpool, spool_dir: Path) -> None:
    open_spool()
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(spool_dir.iterdir())] == [0o600, 0o600]
    assert stat.S_IMODE(spool_dir.stat().st_mode) == 0o700


def test_the_lock_shows_whether_the_process_lives(open_spool: OpenSpool, spool_dir: Path) -> None:
    spool = open_spool()
    assert try_lock(lock_path(spool_dir, "p1")) is None
    spool.release()
    first = try_lock(lock_path(spool_dir, "p1"))
    assert first is not None
    assert try_lock(lock_path(spool_dir, "p1")) is None  # one adopter only
    os.close(first)


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_lock_that_was_removed_while_it_was_opened_is_not_held(spool_dir: Path, monkeypatch: pytest.MonkeyPatch, made_anew: bool) -> None:
    spool_dir.mkdir()
    path, flock = lock_path(spool_dir, "dead"), fcntl.flock

    def flock_after_another_adopter(file: int, how: int) -> None:
        path.unlink()
        if made_anew:
            path.touch()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock_after_another_adopter)
    assert try_lock(path) is None


def test_a_process_id_is_used_once(open_spool: OpenSpool) -> None:
    open_spool()
    with pytest.raises(FileExistsError, match="a process id is used once"):
        open_spool()


def test_row_100_too_little_disk_is_said_before_scoring(open_spool: OpenSpool) -> None:
    spool = open_spool(min_free_bytes=2**62)
    with pytest.raises(UsageUnavailable) as caught:
        spool.ensure_room()
    assert caught.value.reason == "usage_disk_low"
    assert caught.value.headers == (("Retry-After", "5"),)


def test_row_100_a_backlog_over_its_bound_is_said_until_it_is_smaller(
    open_spool: OpenSpool, make_event: Any, caplog: pytest.LogCaptureFixture
) -> None:
    spool, event = open_spool(max_backlog_bytes=1000), make_event()
    length = len(encode_line(event))
    for _ in range(1000 // length + 1):
        spool.append(event)
    for _ in range(2):
        spool.check_room()
        with pytest.raises(UsageUnavailable) as caught:
            spool.ensure_room()
    assert (spool.no_room, caught.value.reason) == ("backlog_full", "usage_backlog_full")
    spool.note_taken(length)
    spool.check_room()
    spool.ensure_room()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "more waits for the database than GATEHOUSE_SPOOL_MAX_BYTES" in caplog.text


def test_row_100_the_bound_holds_while_nobody_drains(open_spool: OpenSpool, make_event: Any, spool_dir: Path) -> None:
    spool, event = open_spool(max_backlog_bytes=3_000_000, segment_bytes=1_000_000), make_event()
    while has_room(spool) and spool.backlog_bytes < 9_000_000:  # a database that hangs: the recorder says nothing any more
        spool.append(event)
    assert spool.no_room == "backlog_full"
    on_disk = sum(segment.path(spool_dir).stat().st_size for segment in segments(spool_dir))
    assert on_disk == spool.backlog_bytes
    assert 3_000_000 < on_disk < 3_000_000 + 2 * (CHUNK_BYTES + 256 * LINE_BYTES)


def test_a_write_that_is_cut_short_is_finished(
    open_spool: OpenSpool, spool_dir: Path, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, event, write = open_spool(), make_event(), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
    spool.append(event)
    monkeypatch.undo()
    assert [decode_line(line) for line in lines(spool_dir)] == [event]


def test_row_100_a_disk_that_fills_up_in_a_line_leaves_no_trace_of_it(
    open_spool: OpenSpool, spool_dir: Path, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, events, write, room = open_spool(), [make_event() for _ in range(3)], os.write, [50]

    def write_while_there_is_room(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(file, data[: room[0]])
        room[0] -= written
        return written

    spool.append(events[0])
    monkeypatch.setattr(os, "write", write_while_there_is_room)
    for _ in range(2):
        with pytest.raises(UsageUnavailable):
            spool.append(events[1])
    with pytest.raises(UsageUnavailable):
        spool.ensure_room()
    monkeypatch.undo()
    spool.check_room()
    spool.ensure_room()
    spool.append(events[2])
    assert [decode_line(line) for line in lines(spool_dir)] == [events[0], events[2]]


def has_room(spool: Spool) -> bool:
    try:
        spool.ensure_room()
    except UsageUnavailable:
        return False
    return True


class Disk:
    """The system call that takes space, on a disk that is full when it is told so."""

    def __init__(self) -> None:
        self.full = False
        self.really = disk_space._FALLOCATE

    def __call__(self, *arguments: Any) -> int:
        if self.full:
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return int(self.really(*arguments))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(disk_space, "_FALLOCATE", disk)
    return disk


def test_space_is_taken_before_it_is_needed(open_spool: OpenSpool, spool_dir: Path, make_event: Any) -> None:
    spool = open_spool()
    spool.append(make_event())
    found = Segment("p1", 1).path(spool_dir).stat()
    assert found.st_size == len(lines(spool_dir)[0]) + 1
    assert found.st_blocks * 512 >= CHUNK_BYTES + 256 * LINE_BYTES


def test_row_100_a_full_disk_is_noticed_before_a_call_is_answered(
    open_spool: OpenSpool, spool_dir: Path, make_event: Any, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    spool, event, calls = open_spool(segment_bytes=200_000), make_event(), 0
    disk.full = True
    while has_room(spool) and calls < 10_000:
        calls += 1
        spool.append(event)
    assert spool.no_room == "disk_full"
    for _ in range(256):  # as many as may be between scoring and answer: they were let in, so their lines have room
        spool.append(event)
    size, ahead = spool._size, spool._ahead
    assert size <= ahead
    assert len(lines(spool_dir)) == calls + 256 > 256
    assert len(segments(spool_dir)) == 1
    disk.full = False
    spool.check_room()
    spool.ensure_room()
    spool.append(event)
    assert len(segments(spool_dir)) == 2
    assert len(lines(spool_dir)) == calls + 257
    assert caplog.text.count("the spool's disk has no room (No space left on device)") == 1


def test_row_100_a_process_that_starts_on_a_full_disk_refuses_predictions_alone(open_spool: OpenSpool, disk: Disk) -> None:
    disk.full = True
    spool = open_spool()
    assert spool.no_room is None or spool.no_room == "disk_full"
    with pytest.raises(UsageUnavailable):
        spool.ensure_room()
    disk.full = False
    spool.check_room()
    spool.ensure_room()


@pytest.mark.parametrize("available", [0, 2**40])
def test_where_space_cannot_be_taken_free_space_is_looked_at(
    open_spool: OpenSpool, spool_dir: Path, monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    monkeypatch.setattr(disk_space, "_FALLOCATE", None)
    monkeypatch.setattr(os, "fstatvfs", lambda file: SimpleNamespace(f_bavail=available, f_frsize=1))
    spool = open_spool()
    if available:
        spool.ensure_room()
    else:
        with pytest.raises(UsageUnavailable):
            spool.ensure_room()


def test_no_line_is_longer_than_is_reckoned_with(make_event: Any) -> None:
    most = 2**63 - 1
    longest = make_event(
        at_us=253_402_300_799_999_999, month="9999-12", process_id="p" * 40, tenant_id="t" * 40, key_id="k" * 32, model="m" * 63,
        api_version="v" * 8, model_version="v" * 32, engine="e" * 16, rows=2**31 - 1, status=599, code="c" * 40, latency_us=most,
        bytes_in=most, bytes_out=most, request_id="r" * 64,
    )  # fmt: skip
    assert len(encode_line(longest)) <= LINE_BYTES
