"""All rows of a database as they are in it, whatever its migration; and rows for tables that have none."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from alembic import command as commands
from alembic.config import Config
from sqlalchemy import Column, MetaData, Table

from gatehouse.db import migrate
from gatehouse.db.session import Database

Rows = list[dict[str, Any]]


def run_alembic(database: Database, command: str, revision: str) -> None:
    """`upgrade` or `downgrade`, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_folder()))
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        getattr(commands, command)(config, revision)


def tables_of(database: Database) -> list[Table]:
    """As they are in the database, those that are referred to first."""
    found = MetaData()
    found.reflect(database.engine)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def fill(database: Database, given: dict[str, Rows] | None = None) -> None:
    """Rows for every table that has none: those that are given, as far as it has their columns, else two that are made up.

    Whatever refers to another table refers to a row of it. A cell that a given row lacks is made up.
    """
    made: dict[str, Rows] = {}
    for table in tables_of(database):
        with database.write() as session:
            there = [dict(row._mapping) for row in session.execute(table.select())]
            wanted = (given or {}).get(table.name)
            if wanted:
                rows = [_completed(table, made, number, row) for number, row in enumerate(wanted, 1)]
                session.execute(table.delete()) if there else None
            else:
                rows = there or [_completed(table, made, number, {}) for number in (1, 2)]
            if wanted or not there:
                session.execute(table.insert(), rows)
            made[table.name] = rows


def _completed(table: Table, made: dict[str, Rows], number: int, row: dict[str, Any]) -> dict[str, Any]:
    return {column.name: row[column.name] if column.name in row else _cell(column, made, number) for column in table.columns}


def _cell(column: Column[Any], made: dict[str, Rows], number: int) -> Any:
    for key in column.foreign_keys:
        return made[key.column.table.name][min(number, len(made[key.column.table.name])) - 1][key.column.name]
    values: dict[type, Any] = {
        int: number,
        str: f"{number}",
        bytes: bytes([number]) * 32,
        datetime: datetime(2026, 11, number, tzinfo=UTC),
        date: date(2026, 11, number),
        float: number / 2,
        bool: number == 1,
    }
    return values[column.type.python_type]


def content_of(database: Database) -> dict[str, Rows]:
    """All rows of all tables, in a fixed order; times in UTC, so that both kinds of database compare."""
    content = {}
    with database.read() as session:
        for table in tables_of(database):
            rows = session.execute(table.select())
            found = [{name: _comparable(value) for name, value in row._mapping.items()} for row in rows]
            keys = [column.name for column in table.primary_key.columns]
            content[table.name] = sorted(found, key=lambda row: [str(row[key]) for key in keys])
    return content


def _comparable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def within(content: dict[str, Rows], before: dict[str, Rows], tables: Iterable[str] | None = None) -> dict[str, Rows]:
    """As much of `content` as there was in columns before."""
    columns = {table: rows[0].keys() for table, rows in before.items() if tables is None or table in tables}
    return {table: [{name: row[name] for name in names} for row in content[table]] for table, names in columns.items()}
