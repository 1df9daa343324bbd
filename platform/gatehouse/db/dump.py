"""The whole database as of one moment, while others write: every table as lines that either kind of database takes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Connection, MetaData, Table, func, select
from sqlmodel import Session

from gatehouse.db.migrate import stands_at
from gatehouse.db.session import Database

VERSION_TABLE = "alembic_version"
ROWS_AT_ONCE = 1000


class Snapshot:
    """All that is read is of one moment."""

    def __init__(self, connection: Connection, migration: str) -> None:
        self.connection = connection
        self.dialect = connection.dialect.name
        self.migration = migration

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """All that there are, those that others refer to first."""
        found = MetaData()
        found.reflect(self.connection)
        return tuple(table for table in found.sorted_tables if table.name != VERSION_TABLE)

    @property
    def session(self) -> Session:
        """For what reads with a session; of the same moment."""
        return Session(self.connection)

    def count(self, table: Table) -> int:
        """Rows."""
        return int(self.connection.execute(select(func.count()).select_from(table)).scalar_one())

    def lines(self, table: Table) -> Iterator[tuple[int, bytes]]:
        """(rows, lines) in portions; a line is a JSON array in the order of the columns, times in UTC, bytes in base64."""
        rows = self.connection.execution_options(stream_results=True, max_row_buffer=ROWS_AT_ONCE).execute(select(table))
        encoder = msgspec.json.Encoder()
        for portion in rows.partitions(ROWS_AT_ONCE):
            yield len(portion), b"".join(encoder.encode([_portable(cell) for cell in row]) + b"\n" for row in portion)


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot | None]:
    """None where the database has no tables. Changes nothing. Raises OperationalError."""
    with database.engine.connect() as connection:
        if database.dialect == "postgresql":  # SQLite's reader sees one moment anyway
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            migration = stands_at(connection)
            yield None if migration is None else Snapshot(connection, migration)


def _portable(cell: Any) -> Any:
    return cell.replace(tzinfo=UTC) if isinstance(cell, datetime) and cell.tzinfo is None else cell
