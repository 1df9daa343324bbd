"""The whole database as of one moment, while others write: every table as lines that either kind of database takes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Connection, MetaData, Table, func, select
from sqlmodel import Session

from gatehouse.db.migrate import newest_migration, stands_at
from gatehouse.db.session import Database
from gatehouse.db.tables import METADATA
from gatehouse.errors import Refused

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
        """All that migrations make, those that others refer to first; what somebody else keeps in the database is left alone.

        Raises Refused where one of them has a column that no migration makes: nothing would take it back.
        """
        found = MetaData()
        found.reflect(self.connection)
        tables = [table for table in found.sorted_tables if table.name != VERSION_TABLE]
        if self.migration == newest_migration():  # of an older one it is not known here what was in it
            tables = [table for table in tables if table.name in METADATA.tables]
            for table in tables:
                for name in sorted(set(table.columns.keys()) - set(METADATA.tables[table.name].columns.keys())):
                    raise Refused(f"column {name!r} of table {table.name!r} is not of this program: put it into a table of its own first")
        return tuple(tables)

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
    """PostgreSQL gives times in the zone of its session, SQLite without one."""
    return in_utc(cell if cell.tzinfo else cell.replace(tzinfo=UTC)) if isinstance(cell, datetime) else cell


def in_utc(cell: Any) -> Any:
    """A time with an offset as the same moment in UTC, since SQLite keeps no offset; anything else as it is."""
    return cell.astimezone(UTC) if isinstance(cell, datetime) and cell.tzinfo else cell
