"""Waiting for a database: as long as it may come, and no longer where it cannot."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from gatehouse.db.revision import last_revision, record_change
from gatehouse.db.session import Database, DatabaseUnreachable, open_database, wait_until_reachable
from gatehouse.errors import Refused


def test_a_database_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'later' / 'gatehouse.db'}")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            (tmp_path / "later").mkdir()

    wait_until_reachable(database, 30, pause)
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    database.close()


def test_the_wait_ends_with_one_line_that_holds_no_password(tmp_path: Path) -> None:
    database = open_database("postgresql://gatehouse:hush-hush@127.0.0.1:1/gatehouse")
    with pytest.raises(DatabaseUnreachable) as refused:
        wait_until_reachable(database, 0.4)
    assert "hush-hush" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).endswith("check GATEHOUSE_DATABASE_URL")
    database.close()


def test_a_database_that_does_not_exist_is_not_waited_for(postgresql_server: str) -> None:
    url = make_url(postgresql_server).set(database="nobody_made_this").render_as_string(hide_password=False)
    database = open_database(url)
    pauses: list[float] = []
    with pytest.raises(DatabaseUnreachable, match="does not exist"):
        wait_until_reachable(database, 30, pauses.append)
    assert pauses == []
    database.close()


def test_row_100_a_postgresql_that_vanishes_without_a_word_is_noticed_soon(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    with database.engine.connect() as connection:
        given = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    database.close()
    idle, interval, count = (int(given[f"keepalives_{name}"]) for name in ("idle", "interval", "count"))
    assert idle + interval * count <= 15
    assert int(given["tcp_user_timeout"]) <= 15_000
    assert int(given["connect_timeout"]) <= 15


def test_row_98_a_statement_that_fails_does_not_tell_its_values(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed, database.write() as session:
        session.execute(text("INSERT INTO nowhere (jti) VALUES (:jti)"), {"jti": "canary-5417"})
    assert "nowhere" in str(failed.value)
    assert "canary-5417" not in str(failed.value) + repr(failed.value)


def test_a_guarded_write_holds_all_others_up_until_its_check_and_change_are_done(database: Database) -> None:
    order: list[str] = []
    checking, other_waits = threading.Event(), threading.Event()

    def check(session: Session) -> None:
        checking.set()
        assert other_waits.wait(10)
        order.append(f"checked {last_revision(session)}")

    def other() -> None:
        assert checking.wait(10)
        other_waits.set()
        with database.guarded(lambda session: order.append(f"checked {last_revision(session)}")).write() as session:
            record_change(session, "plan", "other")

    with database.read() as session:
        before = last_revision(session)
    thread = threading.Thread(target=other)
    thread.start()
    with database.guarded(check).write() as session:
        record_change(session, "plan", "first")
        order.append("changed")
    thread.join(20)
    assert order == [f"checked {before}", "changed", f"checked {before + 1}"]


def test_a_check_that_refuses_changes_nothing(database: Database) -> None:
    def check(session: Session) -> None:
        record_change(session, "plan", "nobody")
        raise Refused("no")

    with database.read() as session:
        before = last_revision(session)
    with pytest.raises(Refused), database.guarded(check).write():
        raise AssertionError("the change began")
    with database.read() as session:
        assert last_revision(session) == before


def test_what_is_joined_is_committed_by_the_transaction_that_it_joins(database: Database) -> None:
    with database.read() as session:
        before = last_revision(session)
    with pytest.raises(Refused), database.write() as session:  # noqa: PT012
        with database.joined(session).write() as same:
            assert same is session
            record_change(same, "plan", "gold")
        with database.joined(session).read() as same:
            assert last_revision(same) == before + 1
        raise Refused("all or nothing")
    with database.read() as session:
        assert last_revision(session) == before


def test_a_guard_of_a_joined_database_checks_within_the_transaction_that_it_joins(database: Database) -> None:
    checked: list[Session] = []
    with database.write() as session:
        guarded = database.joined(session).guarded(checked.append)
        with guarded.write() as same:
            assert same is session
        with guarded.read() as same:
            assert same is session
    assert checked == [session]


def test_each_of_two_guards_checks_the_first_one_first(database: Database) -> None:
    order: list[str] = []
    twice = database.guarded(lambda _session: order.append("first")).guarded(lambda _session: order.append("second"))
    with twice.write():
        order.append("changed")
    assert order == ["first", "second", "changed"]
