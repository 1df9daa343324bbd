"""The chain of the audit trail: what several processes write at once is there once each, in one order that verifies."""

import json
import multiprocessing
import threading
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from audit_writers import ALICE, write_from_a_process
from sqlalchemy import event, text

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.audit_chain import AuditKeyMissing, read_head
from gatehouse.db.audit_trail import AuditFilter, stream_entries
from gatehouse.db.audit_verify import verify_trail
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database, open_database

PROCESSES = 3


def changed_at_once(url: str, count: int) -> None:
    """Each of the changes, by three processes at once, stands there once, in a chain that verifies (SECURITY.md, row 99)."""
    context = multiprocessing.get_context("spawn")
    each = [count // PROCESSES + (number < count % PROCESSES) for number in range(PROCESSES)]
    running = [context.Process(target=write_from_a_process, args=(url, writer, share)) for writer, share in enumerate(each)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0] * PROCESSES
    database = open_database(url, AUDIT_KEYS)
    with database.read() as session:
        found = [row.subject for row in stream_entries(session, AuditFilter()) if "again" not in json.loads(row.detail)]
    assert sorted(found) == sorted(f"{writer}-{number}" for writer, share in enumerate(each) for number in range(share))
    with database.read() as session:
        verdict = verify_trail(session, AUDIT_KEYS)
    assert (verdict.findings, verdict.rows >= count) == ([], True)
    database.close()


def test_row_99_a_thousand_changes_by_three_processes_are_each_there_once(database_url: str) -> None:
    changed_at_once(database_url, 1_000)


def test_a_row_is_chained_to_the_one_before_and_the_head_stands_at_the_newest(database: Database) -> None:
    for name in ("a", "b"):
        with database.write() as session:
            record_audit(session, Actor("key:k", "192.0.2.1", "req_1"), "tenant.create", name, before={"x": 1}, after={"x": 2})
    with database.read() as session:
        first, second = stream_entries(session, AuditFilter())
        head = read_head(session)
    assert (first.sequence, second.sequence, head.sequence) == (1, 2, 2)
    assert len({first.mac, second.mac}) == 2
    assert (head.mac, second.key_version, second.request_id) == (second.mac, 1, "req_1")
    assert json.loads(second.detail) == {"before": {"x": 1}, "after": {"x": 2}}
    assert head.changed_at is not None


def test_what_was_not_committed_leaves_no_row_and_no_gap(database: Database) -> None:
    for fails in (False, True, False):
        try:
            with database.write() as session:
                record_audit(session, ALICE, "tenant.create", "t")
                if fails:
                    raise RuntimeError
        except RuntimeError:
            pass
    with database.read() as session:
        assert [row.sequence for row in stream_entries(session, AuditFilter())] == [1, 2]


def test_a_transaction_of_which_nothing_is_audited_does_not_ask_for_the_head(database: Database) -> None:
    said: list[str] = []

    def heard(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        said.append(statement)

    event.listen(database.engine, "before_cursor_execute", heard)
    with database.write() as session:
        session.execute(text("SELECT 1"))
    assert [statement for statement in said if "BEGIN" not in statement] == ["SELECT 1"]


def test_without_keys_nothing_that_is_to_be_audited_is_changed(database: Database) -> None:
    unkeyed = Database(database.engine)
    with pytest.raises(AuditKeyMissing), unkeyed.write() as session:  # noqa: PT012
        record_change(session, "plan", "p")
        record_audit(session, ALICE, "plan.edit", "p")
    with database.read() as session:
        assert session.execute(text("SELECT value FROM revision")).scalar_one() == 0


def test_parts_of_a_joined_transaction_are_chained_when_all_of_it_is_committed(database: Database) -> None:
    with database.write() as session:
        joined = database.joined(session)
        for name in ("a", "b"):
            with joined.write() as part:
                record_audit(part, ALICE, "tenant.create", name)
        with joined.read() as part:
            assert read_head(part).sequence == 0
    with database.read() as session:
        assert read_head(session).sequence == 2


def test_a_guarded_transaction_is_chained(database: Database) -> None:
    with database.guarded(lambda _session: None).write() as session:
        record_audit(session, ALICE, "tenant.create", "a")
    with database.read() as session:
        assert read_head(session).sequence == 1


def test_nothing_is_audited_within_a_savepoint_that_may_be_rolled_back(database: Database) -> None:
    with database.write() as session:
        with pytest.raises(RuntimeError, match="is recorded within a savepoint"), session.begin_nested():
            record_audit(session, ALICE, "tenant.create", "a")
        with session.begin_nested():
            session.execute(text("SELECT 1"))
        record_audit(session, ALICE, "tenant.create", "b")
    with database.read() as session:
        assert session.execute(text("SELECT subject FROM audit")).scalars().all() == ["b"]


def test_writers_who_wait_for_each_other_never_wait_in_a_ring(postgresql_database: Database) -> None:
    """One holds the revision and wants the head, the other has audited first and wants the revision."""
    held = postgresql_database
    barrier, failed = threading.Barrier(2), list[BaseException]()

    def run(first_revision: bool) -> None:
        try:
            for _ in range(20):
                barrier.wait(10)
                with held.write() as session:
                    if first_revision:
                        hold_revision(session)
                    record_audit(session, ALICE, "plan.edit", "p")
                    record_change(session, "plan", "p")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    with held.read() as session:
        assert verify_trail(session, AUDIT_KEYS).rows == 40
