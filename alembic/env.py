"""Runs the migrations: on the connection that `gatehouse.db.migrate` hands in, else on the database of the settings."""

from typing import Any

from alembic import context
from alembic.operations import MigrationScript
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from gatehouse.db.session import open_database
from gatehouse.db.tables import METADATA
from gatehouse.settings import read_settings


def number_revision(_context: Any, _revision: Any, directives: list[MigrationScript]) -> None:
    """Number new migrations 0002, 0003, …: `gatehouse.db.migrate` tells the newest by the name of its file."""
    head = ScriptDirectory.from_config(context.config).get_current_head()
    for script in directives:
        script.rev_id = f"{int(head or 0) + 1:04}"


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
        process_revision_directives=number_revision,
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_named_database() -> None:
    database = open_database(read_settings().database)
    with database.engine.execution_options(gatehouse_write=True).begin() as connection:
        migrate(connection)
    database.close()


if context.is_offline_mode():
    raise CommandError("migrations run on a live database only; leave --sql away")

handed_in = context.config.attributes.get("connection")
if handed_in is None:
    migrate_named_database()
else:
    migrate(handed_in)
