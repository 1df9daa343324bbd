"""Many rows into one table by the quickest road of each database."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session

ROWS_A_STATEMENT = 256
"""A power of two. Times 17 columns far below the 32,766 values that SQLite takes at most."""


def insert_rows(session: Session, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of all columns, in their order, as the database takes them: texts, numbers and None.

    Raises IntegrityError where one is there already.
    """
    columns = ", ".join(column.name for column in table.columns)
    if session.connection().dialect.name == "postgresql":
        _copy(session, f"COPY {table.name} ({columns}) FROM STDIN", rows)
    else:
        _insert(session, f"INSERT INTO {table.name} ({columns}) VALUES ", rows)  # noqa: S608 - names of our own


def add_to_rows(session: Session, table: Table, rows: Sequence[tuple[Any, ...]], sums: Sequence[str]) -> None:
    """Insert rows of all columns, in their order, each of another primary key; where one is there, its columns `sums` grow by these."""
    columns, key = (", ".join(f'"{column.name}"' for column in each) for each in (table.columns, table.primary_key))
    grow = ", ".join(f'"{name}" = {table.name}."{name}" + excluded."{name}"' for name in sums)
    mark = "?" if session.connection().dialect.name == "sqlite" else "%s"
    head = f"INSERT INTO {table.name} ({columns}) VALUES "  # noqa: S608 - names of our own
    _insert(session, head, rows, f" ON CONFLICT ({key}) DO UPDATE SET {grow}", mark)


def _insert(session: Session, head: str, rows: Sequence[tuple[Any, ...]], tail: str = "", mark: str = "?") -> None:
    """Many rows a statement: one of each row would let go of the interpreter and wait for it again, long beside a busy event loop."""
    row, at, size = f"({', '.join([mark] * len(rows[0]))})" if rows else "", 0, ROWS_A_STATEMENT
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2  # so that there are few statements, which the driver keeps prepared
        values = tuple(chain.from_iterable(rows[at : at + size]))
        session.connection().exec_driver_sql(head + ", ".join([row] * size) + tail, values)
        at += size


def _copy(session: Session, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    import psycopg  # which only PostgreSQL's users need wait for

    try:
        with session.connection().connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.errors.UniqueViolation as error:
        raise IntegrityError(statement, None, error) from error
    except psycopg.Error as error:
        raise OperationalError(statement, None, error) from error
