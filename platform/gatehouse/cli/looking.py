"""A deployment that is looked at and left as it is: its database is neither made nor migrated."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatehouse.cli.silence import silence_of
from gatehouse.db.migrate import what_is_missing
from gatehouse.db.session import GONE, Database, DatabaseUrlInvalid, open_database
from gatehouse.errors import Refused
from gatehouse.settings import Settings

START = "start a server (gatehouse serve), or run a command that makes something"


@contextmanager
def looked_at(settings: Settings) -> Iterator[Database]:
    """Its migrated database. Raises Refused, also for a database that fails later."""
    file = Path(settings.database.removeprefix("sqlite:///"))
    if settings.database.startswith("sqlite:///") and not file.is_file():
        raise Refused(f"there is no database at {file}: {START}")
    try:
        database = open_database(settings.database)
    except DatabaseUrlInvalid as error:
        raise Refused(f"GATEHOUSE_DATABASE_URL: {error}") from None
    try:
        if missing := what_is_missing(database):
            raise Refused(f"the database is not at this Gatehouse's migration: {missing}")
        yield database
    except GONE as error:
        raise Refused(f"the database does not answer ({silence_of(error)}): start it, or correct GATEHOUSE_DATABASE_URL") from None
    finally:
        database.close()
