"""Usage that waits in spools when a backup is made: after a restore each answered call is there, and none twice."""

import itertools
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEY, AUDIT_KEYS
from commanded import commanded
from sqlalchemy import select

from gatehouse.db.session import Database, open_database
from gatehouse.db.tables import RefusedCallsTable, UsageEventTable
from gatehouse.usage.event import RefusedCalls, UsageEvent, month_name, uuid7
from gatehouse.usage.held_spool import held_spool
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Bounds, Spool
from gatehouse.usage.store import insert_batch

SETTINGS = {
    "GATEHOUSE_SECRET_KEY": "qL5wNxZ0bH8rT2vYk7mPd4sJfG9aCe6U",
    "GATEHOUSE_KEY_PEPPER": "Wz3uRk8nXb1cVt6yMh0pLq5jDs9gFa2E",
    "GATEHOUSE_AUDIT_KEY": AUDIT_KEY,
}
NOON_US = 1_794_744_000_000_000
"""2026-11-15 12:00 UTC."""


def event(number: int) -> UsageEvent:
    at_us = NOON_US + number
    facts: dict[str, Any] = {"model": "iris", "api_version": "v1", "model_version": "1.0.0", "engine": "onnx", "rows": 2, "status": 200}
    sizes = {"code": None, "latency_us": 300, "bytes_in": 100, "bytes_out": 200, "request_id": f"r{number}"}
    whose = {"process_id": "prc_1", "tenant_id": "t", "key_id": "k"}
    return UsageEvent(id=uuid7(at_us // 1000, lambda _: number), at_us=at_us, month=month_name(at_us), **whose, **facts, **sizes)


def refused(number: int) -> RefusedCalls:
    return RefusedCalls(refused=1, second=number, tenant_id="t", key_id="k", status=429, limit="key_requests")


@pytest.fixture
def state_dir(tmp_path: Path, sqlite_template: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    shutil.copyfile(sqlite_template, folder / "gatehouse.db")
    return folder


@contextmanager
def recording(state_dir: Path, process_id: str, **bounds: int) -> Iterator[tuple[Spool, Recorder, Database]]:
    """A process's spool and recorder; its database is that of the folder."""
    with closing(open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)) as database:
        spool = Spool.open(state_dir / "spool", process_id, Bounds(0, **bounds))
        try:
            yield spool, Recorder(spool, database, lambda _: None), database
        finally:
            spool.release()


def append(spool: Spool, numbers: range) -> None:
    for number in numbers:
        spool.append(event(number))
        spool.append(refused(number))


def restored(folder: Path, file: Path) -> tuple[list[str], dict[int, int]]:
    """Request ids of the events, and refused calls by second, once a process that starts has taken over what waited."""
    commanded(folder, "backup", "restore", str(file), **SETTINGS)
    with recording(folder, "prc_new") as (_, recorder, database):
        recorder.adopt_orphans()
        with database.read() as session:
            ids = [str(id) for id in session.execute(select(UsageEventTable.request_id)).scalars()]
            calls = {row.second: row.calls for row in session.execute(select(RefusedCallsTable.second, RefusedCallsTable.calls))}
        assert [path.name for path in (folder / "spool").iterdir() if not path.name.startswith("prc_new")] == []
    commanded(folder, "usage", "verify", **SETTINGS)
    return ids, calls


def test_what_is_taken_in_part_what_waits_and_what_an_ended_process_left_is_there_once(state_dir: Path, tmp_path: Path) -> None:
    with recording(state_dir, "prc_0") as (orphan, _, _):
        append(orphan, range(100, 103))
    with recording(state_dir, "prc_1") as (spool, recorder, _):
        append(spool, range(5))
        recorder.drain()
        append(spool, range(5, 8))
        with (state_dir / "spool" / "prc_1.000001.ndjson").open("ab") as torn:
            torn.write(b'{"id": "of a call that was not answ')
        commanded(state_dir, "backup", "create", str(tmp_path / "a.backup"), **SETTINGS)
    with zipfile.ZipFile(tmp_path / "a.backup") as archive:
        assert archive.read("spool/prc_1.000001.ndjson").endswith(b"}\n"), "a line without an end was not answered"
    numbers = [*range(8), *range(100, 103)]
    ids, calls = restored(tmp_path / "new", tmp_path / "a.backup")
    assert sorted(ids) == sorted(f"r{number}" for number in numbers)
    assert calls == dict.fromkeys(numbers, 1)


def test_a_spool_of_later_put_beside_the_restored_database_adds_what_came_since(state_dir: Path, tmp_path: Path) -> None:
    with recording(state_dir, "prc_1") as (spool, recorder, _):
        append(spool, range(5))
        recorder.drain()
        append(spool, range(5, 8))
        commanded(state_dir, "backup", "create", str(tmp_path / "a.backup"), **SETTINGS)
        append(spool, range(8, 11))
    commanded(tmp_path / "new", "backup", "restore", str(tmp_path / "a.backup"), **SETTINGS)
    shutil.copyfile(state_dir / "spool" / "prc_1.000001.ndjson", tmp_path / "new" / "spool" / "prc_1.000001.ndjson")
    with recording(tmp_path / "new", "prc_new") as (_, recorder, database):
        recorder.adopt_orphans()
        with database.read() as session:
            assert len(session.execute(select(UsageEventTable.id)).all()) == 11
            assert {row.calls for row in session.execute(select(RefusedCallsTable.calls))} == {1}


def test_of_a_file_that_goes_while_the_database_is_looked_at_nothing_is_believed(state_dir: Path) -> None:
    with recording(state_dir, "prc_1", segment_bytes=1000) as (spool, recorder, _):
        append(spool, range(10))
        with held_spool(state_dir / "spool") as held:
            before = held.gone()
            assert held.waiting({}, before) == held, "nothing was taken of those that are there and not named"
            recorder.drain()
            assert held.waiting({}, before) is None, "taken before the database was looked at, or after?"
            named = {file.path.stem: 0 for file in held.files}
            assert held.waiting(named, before) == held
            assert held.files[0].read().count(b"\n") > 0, "what was held can still be read"
            left = held.waiting({}, held.gone())
            assert left is not None
            assert {file.name for file in held.files} - {file.name for file in left.files} == held.gone()


def test_a_table_of_many_portions_is_there_whole(state_dir: Path, tmp_path: Path) -> None:
    many = [event(number) for number in range(12_000)]
    with closing(open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)) as database, database.write() as session:
        insert_batch(session, many)
    commanded(state_dir, "backup", "create", str(tmp_path / "a.backup"), **SETTINGS)
    ids, _ = restored(tmp_path / "new", tmp_path / "a.backup")
    assert sorted(ids) == sorted(each.request_id for each in many)


def copies_under_load(state_dir: Path, tmp_path: Path, rounds: int) -> None:
    """Backups while calls are metered and files come and go, each restored: from the calls before it to those at its end."""
    appended = 0
    stop = threading.Event()

    def call() -> None:
        nonlocal appended
        for number in itertools.count():
            if stop.wait(0.0005):
                return
            append(spool, range(number, number + 1))
            appended = number + 1

    def drain() -> None:
        while not stop.is_set():
            recorder.drain()

    with recording(state_dir, "prc_1", segment_bytes=3000) as (spool, recorder, _):
        threads = [threading.Thread(target=work) for work in (call, drain)]
        for thread in threads:
            thread.start()
        try:
            for made in range(rounds):
                before = appended
                commanded(state_dir, "backup", "create", str(tmp_path / f"{made}.backup"), **SETTINGS)
                after = appended + 1
                ids, calls = restored(tmp_path / f"new-{made}", tmp_path / f"{made}.backup")
                assert len(ids) == len(set(ids))
                assert {f"r{number}" for number in range(before)} <= set(ids) <= {f"r{number}" for number in range(after)}
                assert set(range(before)) <= set(calls) <= set(range(after))
                assert set(calls.values()) <= {1}
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_a_backup_under_load_has_every_call_before_it_once(state_dir: Path, tmp_path: Path) -> None:
    copies_under_load(state_dir, tmp_path, 2)


@pytest.mark.soak
def test_many_backups_under_load_have_every_call_before_them_once(state_dir: Path, tmp_path: Path) -> None:
    copies_under_load(state_dir, tmp_path, 20)
