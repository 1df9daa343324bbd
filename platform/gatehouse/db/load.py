"""A dumped database put into an empty one of either kind: in one transaction, all of it or nothing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, inspect, select, text
from sqlalchemy.exc import IntegrityError

from gatehouse.db.dump import ROWS_AT_ONCE, VERSION_TABLE, in_utc
from gatehouse.db.migrate import LOCK, migrate_to
from gatehouse.db.session import Database


class DumpUnfit(Exception):
    """What was dumped does not fit the tables of its migration; the message says which."""


class DatabaseNotEmpty(Exception):
    """There are tables in it."""


@dataclass(frozen=True, slots=True)
class Loader:
    """Takes the rows of tables that are empty, but for the rows that migrations put into some."""

    connection: Connection
    tables: dict[str, Table]

    def load(self, name: str, columns: Sequence[str], lines: Iterator[bytes]) -> Iterator[int]:
        """Insert the lines of a dump; gives how many rows each portion had. Raises DumpUnfit."""
        table = self.tables.get(name)
        if table is None or sorted(columns) != sorted(table.columns.keys()):
            raise DumpUnfit(f"table {name!r} is not as its migration makes it")
        if self.connection.execute(select(func.count()).select_from(table)).scalar_one():
            self.connection.execute(table.delete())
        decoder = msgspec.json.Decoder(tuple.__class_getitem__(tuple(_kind(table.columns[column]) for column in columns)))
        while portion := list(islice(lines, ROWS_AT_ONCE)):
            self._insert(table, columns, decoder, portion)
            yield len(portion)

    def _insert(self, table: Table, columns: Sequence[str], decoder: msgspec.json.Decoder[Any], lines: list[bytes]) -> None:
        try:
            rows = [dict(zip(columns, map(in_utc, decoder.decode(line)), strict=True)) for line in lines]
            self.connection.execute(table.insert(), rows)
        except msgspec.MsgspecError as error:
            raise DumpUnfit(f"a row of table {table.name!r} does not fit: {error}") from None
        except IntegrityError:
            raise DumpUnfit(f"a row of table {table.name!r} is there twice, or refers to one that is missing") from None


@contextmanager
def loading(database: Database, migration: str) -> Iterator[Loader]:
    """Tables as of that migration to be filled; at the end they are migrated to the newest, and all is committed.

    Raises DatabaseNotEmpty, OperationalError.
    """
    with database.engine.execution_options(gatehouse_write=True).begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if inspect(connection).get_table_names():
            raise DatabaseNotEmpty
        migrate_to(connection, migration)
        found = MetaData()
        found.reflect(connection)
        yield Loader(connection, {name: table for name, table in found.tables.items() if name != VERSION_TABLE})
        if database.dialect == "postgresql":
            _advance_sequences(connection, found)
        migrate_to(connection, "head")


def _kind(column: Column[Any]) -> Any:
    """What a cell of the column is in a dump, for a decoder that takes nothing else."""
    kind = column.type.python_type
    known: Any = {int: int, str: str, bytes: bytes, float: float, bool: bool, datetime: datetime, date: date}[kind]
    return known | None if column.nullable else known


def _advance_sequences(connection: Connection, found: MetaData) -> None:
    """The next number that PostgreSQL gives is behind those that were loaded; SQLite counts on from the highest by itself."""
    for table in found.sorted_tables:
        for column in table.primary_key.columns:
            if not isinstance(column.type, Integer):
                continue
            quoted = connection.dialect.identifier_preparer.quote(table.name)
            sequence = connection.execute(select(func.pg_get_serial_sequence(quoted, column.name))).scalar()
            highest = connection.execute(select(func.max(column))).scalar()
            if sequence and highest:
                connection.execute(select(func.setval(sequence, highest)))
