"""A PostgreSQL that hangs is given up on; one that takes its time is waited for."""

import logging
import time
from collections.abc import Iterator

import psycopg
import pytest
from own_postgresql import OwnPostgresql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gatehouse.db import watched_connection
from gatehouse.db.session import Database, open_database
from gatehouse.db.watched_connection import PROBE_TIMEOUT_S, SILENT_S, WatchedConnection


@pytest.fixture
def database(own_postgresql: OwnPostgresql, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(WatchedConnection, "silent_s", 0.3)
    monkeypatch.setattr(watched_connection, "PROBE_TIMEOUT_S", 1)
    opened = open_database(own_postgresql.new_database())
    yield opened
    opened.close()


def test_row_100_a_postgresql_that_hangs_is_noticed_soon(own_postgresql: OwnPostgresql, database: Database) -> None:
    assert SILENT_S + PROBE_TIMEOUT_S <= 15
    with database.read() as session:
        session.connection()
        with own_postgresql.hanging():
            begun = time.monotonic()
            with pytest.raises(DBAPIError, match="has not answered for 0 s: it hangs"):
                session.execute(text("SELECT 1"))
            assert time.monotonic() - begun < 10
    with database.read() as session:  # over a connection that was not given up
        assert session.execute(text("SELECT 1")).scalar() == 1


def test_a_statement_that_takes_long_is_waited_for_and_said(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gatehouse.database")
    with database.read() as session:
        assert session.execute(text("SELECT 1 FROM pg_sleep(0.8)")).scalar() == 1
    assert "it answers others, so it is waited for" in caplog.text


def test_a_server_that_takes_no_more_connections_does_not_hang(
    own_postgresql: OwnPostgresql, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise psycopg.OperationalError("connection failed: FATAL:  sorry, too many clients already")

    with database.read() as session:
        session.connection()
        monkeypatch.setattr(psycopg, "connect", refuse)
        assert session.execute(text("SELECT 1 FROM pg_sleep(0.5)")).scalar() == 1


def test_row_100_the_server_lets_go_of_what_a_machine_that_vanished_has_locked(database: Database) -> None:
    with database.read() as session:
        idle, interval, count, unanswered_ms = (
            session.execute(text(f"SELECT setting::int FROM pg_settings WHERE name = 'tcp_{name}'")).scalar_one()
            for name in ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout")
        )
    assert idle + interval * count <= 15
    assert unanswered_ms <= 15_000
