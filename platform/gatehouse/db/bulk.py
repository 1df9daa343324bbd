"""Many rows into one table by the quickest road of each database."""

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session


def insert_rows(session: Session, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of all columns, in their order, as the database takes them. Raises IntegrityError where one is there already."""
    connection = session.connection()
    columns = ", ".join(column.name for column in table.columns)
    if connection.dialect.name != "postgresql":
        places = ", ".join("?" * len(table.columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", list(rows))  # noqa: S608 - names of our own
        return
    statement = f"COPY {table.name} ({columns}) FROM STDIN"
    try:
        with connection.connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.errors.UniqueViolation as error:
        raise IntegrityError(statement, None, error) from error
    except psycopg.Error as error:
        raise OperationalError(statement, None, error) from error
