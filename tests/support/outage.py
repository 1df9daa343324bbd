"""A database that cannot be reached: PostgreSQL that ends all connections and takes no new one, a SQLite file that cannot be opened."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from gatehouse.db.session import Database


@contextmanager
def database_away(database: Database, url: str) -> Iterator[None]:
    """`database` is the server's own, behind `url`."""
    away = _postgresql_away(url) if database.dialect == "postgresql" else _sqlite_away(database)
    with away:
        yield


@contextmanager
def _postgresql_away(url: str) -> Iterator[None]:
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    name = parsed.database
    engine = create_engine(parsed.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name})
        try:
            yield
        finally:
            connection.exec_driver_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    engine.dispose()


@contextmanager
def _sqlite_away(database: Database) -> Iterator[None]:
    def refuse(_: Any) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    # each at one moment: listeners of SQLAlchemy's events do not change under load
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database.engine.dialect, "do_begin", refuse)
        patched.setattr(database.revision_watch, "read", lambda: refuse(None))
        yield
