"""A dump of a database that is set up in another way than usual, and is loaded into one of the other kind."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from audit_keys import AUDIT_KEYS
from database_content import fill
from sqlalchemy import create_engine, make_url, text

from gatehouse.db.dump import Snapshot, snapshot
from gatehouse.db.load import loading
from gatehouse.db.session import Database, open_database
from gatehouse.errors import Refused

Tables = dict[str, tuple[list[str], list[bytes]]]
"""Of each its columns and its lines."""


def execute(url: str, statement: str) -> None:
    engine = create_engine(make_url(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def dumped(view: Snapshot | None) -> Tables:
    assert view is not None
    return {t.name: (list(t.columns.keys()), b"".join(lines for _, lines in view.lines(t)).splitlines()) for t in view.tables}


def loaded(database: Database, tables: Tables, migration: str) -> Tables:
    """What is in it then."""
    with loading(database, migration) as loader:
        for name, (columns, lines) in tables.items():
            list(loader.load(name, columns, iter(lines)))
    with snapshot(database) as view:
        return dumped(view)


def test_times_are_the_same_moments_where_postgresql_stands_in_another_zone(postgresql_url: str, tmp_path: Path) -> None:
    execute(postgresql_url, f"ALTER DATABASE {make_url(postgresql_url).database} SET timezone = 'Asia/Kolkata'")
    postgresql, sqlite = open_database(postgresql_url, AUDIT_KEYS), open_database(f"sqlite:///{tmp_path}/other.db", AUDIT_KEYS)
    fill(postgresql)
    with snapshot(postgresql) as view:
        assert view is not None
        assert view.connection.execute(text("SHOW timezone")).scalar_one() == "Asia/Kolkata"
        tables, migration = dumped(view), view.migration
    assert b"+05:30" not in b"".join(line for _, lines in tables.values() for line in lines)
    assert loaded(sqlite, tables, migration) == tables
    postgresql.close()
    sqlite.close()


def test_a_time_with_an_offset_is_loaded_as_the_moment_that_it_is(sqlite_url: str, tmp_path: Path) -> None:
    source, other = open_database(sqlite_url, AUDIT_KEYS), open_database(f"sqlite:///{tmp_path}/other.db", AUDIT_KEYS)
    fill(source)
    with snapshot(source) as view:
        assert view is not None
        tables, migration = dumped(view), view.migration
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    columns, lines = tables["tenant"]
    place = lines[0].index(b'"20')
    shifted = lines[0][:place] + b'"2026-01-02T08:34:05+05:30"' + lines[0][lines[0].index(b'"', place + 1) + 1 :]
    found = loaded(other, tables | {"tenant": (columns, [shifted, *lines[1:]])}, migration)
    assert moment.isoformat().replace("+00:00", "Z").encode() in b"".join(found["tenant"][1])
    source.close()
    other.close()


def test_what_somebody_else_keeps_in_the_database_is_left_alone(database_url: str) -> None:
    execute(database_url, "CREATE TABLE somebody_elses (number INTEGER)")
    database = open_database(database_url, AUDIT_KEYS)
    with snapshot(database) as view:
        assert "somebody_elses" not in dumped(view)
    execute(database_url, "ALTER TABLE tenant ADD COLUMN colour VARCHAR(5)")
    with snapshot(database) as view, pytest.raises(Refused, match="column 'colour' of table 'tenant' is not of this program"):
        dumped(view)
    database.close()
