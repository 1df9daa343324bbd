"""Many rows into one table by the quickest road of each database."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session


def insert_rows(session: Session, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of all columns, in their order, as the database takes them: texts, numbers and None.

    Raises IntegrityError where one is there already.
    """
    connection = session.connection()
    columns = ", ".join(column.name for column in table.columns)
    if connection.dialect.name != "postgresql":
        # one statement: a statement a row would let go of the interpreter and wait for it again at each, long beside a busy event loop
        places = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(table.columns)))
        statement = f"INSERT INTO {table.name} ({columns}) SELECT {places} FROM json_each(?)"  # noqa: S608 - names of our own
        connection.exec_driver_sql(statement, (msgspec.json.encode(rows).decode(),))
        return
    _copy(session, f"COPY {table.name} ({columns}) FROM STDIN", rows)


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
