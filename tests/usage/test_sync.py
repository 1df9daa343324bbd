"""GATEHOUSE_USAGE_FSYNC: what counts is on the disk, and what could not be brought there never counted."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gatehouse.db.session import Database
from gatehouse.errors import UsageUnavailable
from gatehouse.usage.event import decode_line
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import Segment, segments
from gatehouse.usage.store import make_durable
from gatehouse.usage.sync import GroupSync


class Disk:
    """`os.fdatasync`, held up or failing when it is told so."""

    def __init__(self) -> None:
        self.synced = 0
        self.fails = False
        self.open = threading.Event()
        self.open.set()
        self._really = os.fdatasync

    def __call__(self, file: int) -> None:
        self.open.wait(10)
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        self._really(file)
        self.synced += 1


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fdatasync", disk)
    return disk


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def spool(open_spool: Callable[..., Spool]) -> Spool:
    return open_spool(durable=True)


def written(folder: Path) -> list[Any]:
    return [decode_line(line) for segment in segments(folder) for line in segment.path(folder).read_bytes().splitlines()]


def test_an_answer_waits_and_one_sync_serves_all_who_wait(
    spool: Spool, disk: Disk, threads: ThreadPoolExecutor, make_event: Any, sqlite_database: Database, record: Callable[..., Recorder]
) -> None:
    async def calls() -> None:
        recorder, sync = record(spool, sqlite_database), GroupSync(spool, threads)
        disk.open.clear()
        spool.append(make_event())
        waiting = [sync.wait()]
        for _ in range(50):
            spool.append(make_event())
            waiting.append(sync.wait())
        assert recorder.drain() == 0  # nothing that a loss of power could take away is shown
        assert not any(waiter.done() for waiter in waiting)
        disk.open.set()
        await asyncio.gather(*waiting)
        assert disk.synced == 2
        assert recorder.drain() == 51

    asyncio.run(calls())


def test_a_sync_that_fails_takes_back_all_that_was_not_answered(
    spool: Spool, disk: Disk, threads: ThreadPoolExecutor, make_event: Any, spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = [make_event() for _ in range(4)]

    async def calls() -> None:
        sync = GroupSync(spool, threads)
        spool.append(events[0])
        await sync.wait()
        disk.open.clear()
        disk.fails = True
        spool.append(events[1])
        first = sync.wait()
        spool.append(events[2])
        second = sync.wait()
        disk.open.set()
        for waiter in (first, second):
            with pytest.raises(UsageUnavailable) as caught:
                await waiter
            assert caught.value.reason == "usage_sync_failed"
        with pytest.raises(UsageUnavailable):
            spool.ensure_room()
        disk.fails = False
        spool.check_room()
        spool.append(events[3])
        await sync.wait()

    asyncio.run(calls())
    assert written(spool_dir) == [events[0], events[3]]
    assert "the spool cannot be synced to its disk (Input/output error)" in caplog.text


def test_who_waits_already_gets_its_result_with_the_others_or_what_refused_it(
    spool: Spool, disk: Disk, threads: ThreadPoolExecutor, make_event: Any, spool_dir: Path
) -> None:
    events = [make_event() for _ in range(3)]

    async def waited(sync: GroupSync, *some: Any) -> list[Any]:
        waiters = [asyncio.get_running_loop().create_future() for _ in some]
        for event, waiter in zip(some, waiters, strict=True):
            spool.append(event)
            sync.wait_for(waiter, event.request_id)
        return await asyncio.gather(*waiters, return_exceptions=True)

    async def calls() -> None:
        sync = GroupSync(spool, threads)
        assert await waited(sync, *events[:2]) == [each.request_id for each in events[:2]]
        assert written(spool_dir) == events[:2]
        disk.fails = True
        (refused,) = await waited(sync, events[2])
        assert isinstance(refused, UsageUnavailable)

    asyncio.run(calls())


def test_what_nobody_waits_for_is_synced_as_well(
    spool: Spool, disk: Disk, threads: ThreadPoolExecutor, make_event: Any, sqlite_database: Database, record: Callable[..., Recorder]
) -> None:
    async def calls() -> None:
        sync = GroupSync(spool, threads)
        spool.append(make_event())
        sync.nudge()
        disk.open.clear()
        spool.append(make_event())
        sync.nudge()
        disk.open.set()
        for _ in range(3):  # the thread has done all that it was given, and the loop has heard of it
            await asyncio.wrap_future(threads.submit(int))
            await asyncio.sleep(0)
        assert spool.takeable_bytes(Segment("p1", 1)) == spool.backlog_bytes

    asyncio.run(calls())
    assert record(spool, sqlite_database).drain() == 2


def test_a_segment_is_synced_before_the_next_one_begins(
    open_spool: Callable[..., Spool], disk: Disk, threads: ThreadPoolExecutor, make_event: Any, spool_dir: Path
) -> None:
    spool = open_spool(durable=True, segment_bytes=1)

    async def calls() -> None:
        sync = GroupSync(spool, threads)
        disk.open.clear()
        spool.append(make_event())
        waiter = sync.wait()
        threading.Timer(0.05, disk.open.set).start()
        spool.append(make_event())  # waits for the disk itself
        assert spool.takeable_bytes(Segment("p1", 1)) is None
        assert spool.takeable_bytes(Segment("p1", 2)) == 0
        await waiter

    asyncio.run(calls())
    assert len(segments(spool_dir)) == 2
    assert disk.synced == 2


def test_a_segment_stays_until_the_database_outlives_a_loss_of_power(
    spool: Spool, make_event: Any, sqlite_database: Database, record: Callable[..., Recorder], spool_dir: Path
) -> None:
    spool.append(make_event())
    spool.close()
    reader = sqlite_database.engine.connect()  # holds the log of SQLite, so that it cannot be brought into the database as a whole
    reader.exec_driver_sql("SELECT count(*) FROM usage_event").fetchall()
    recorder = record(spool, sqlite_database)
    assert recorder.drain() == 1
    assert len(segments(spool_dir)) == 1
    reader.close()
    assert recorder.drain() == 0
    assert segments(spool_dir) == []


def test_a_database_that_is_durable_says_so(database: Database) -> None:
    assert make_durable(database)
