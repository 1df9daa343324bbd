"""Bring a database to the newest migration; two processes that start at once migrate it once."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from gatehouse.db.session import Database

PACKAGED = "_alembic"
LOCK = 0x6761_7465
"""Number of the PostgreSQL advisory lock that a migrating process holds."""


class DatabaseTooNew(Exception):
    """The database was migrated by a newer Gatehouse."""


def migrations_folder() -> Path:
    """Where the migrations lie: inside an installed package, else `alembic/` of the repository."""
    package = Path(__file__).resolve().parents[1]
    inside = package / PACKAGED
    return inside if inside.is_dir() else package.parents[1] / "alembic"


def newest_migration() -> str:
    """The number of the newest migration; it begins the name of each migration's file."""
    return max(file.stem.partition("_")[0] for file in (migrations_folder() / "versions").glob("[0-9]*.py"))


def is_current(database: Database) -> bool:
    """Whether the database stands at the newest migration. Raises OperationalError when it cannot be reached."""
    return what_is_missing(database) is None


def what_is_missing(database: Database) -> str | None:
    """What to do where the database does not stand at the newest migration. Raises OperationalError when it cannot be reached."""
    with database.engine.connect() as connection:
        at = stands_at(connection)
    if at == newest_migration():
        return None
    if at is not None and at > newest_migration():
        return f"install the newer Gatehouse that has brought it to {at}; this one knows up to {newest_migration()}"
    return "start a server of this version, which migrates it"


def upgrade(database: Database) -> bool:
    """Migrate to the newest; whether there was anything to do. Raises DatabaseTooNew, OperationalError."""
    if is_current(database):
        return False
    with database.engine.execution_options(gatehouse_write=True).begin() as connection:  # on SQLite this takes the write lock
        if database.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        at = stands_at(connection)
        if at == newest_migration():
            return False
        if at is not None and at > newest_migration():
            raise DatabaseTooNew(
                f"the database is at migration {at}, this Gatehouse knows up to {newest_migration()}: install the newer one"
            )
        migrate_to(connection, "head")
    return True


def stands_at(connection: Connection) -> str | None:
    """The number of the database's migration; None where it has no tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def migrate_to(connection: Connection, revision: str) -> None:
    """Run the migrations up to that one, or to the newest (`head`), in the connection's transaction."""
    # Alembic costs 100 ms to import, which a database that is current need not pay
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
