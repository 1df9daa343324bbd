"""Migrations: both databases, once for any number of processes, equal to the tables."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from database_content import fill, run_alembic
from sqlalchemy import delete, inspect, text, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from gatehouse.db import migrate
from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.session import Database
from gatehouse.db.tables import METADATA, AuditTable, PlanTable, RevisionTable

MIGRATE_IN_A_PROCESS = """
import sys
from gatehouse.db.migrate import upgrade
from gatehouse.db.session import open_database
sys.stdin.readline()
print(upgrade(open_database(sys.argv[1])))
"""


@pytest.fixture
def empty(database: Database) -> Iterator[Database]:
    """A database without tables."""
    emptied = Database(database.engine)
    with emptied.write() as session:
        connection = session.connection()
        connection.execute(text("DROP TABLE alembic_version"))
        METADATA.drop_all(connection)
        if database.dialect == "postgresql":
            connection.execute(text("DROP FUNCTION audit_refuse_change()"))
    return emptied


def test_migrated_database_equals_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    assert migrate.is_current(database)


def test_newest_migration_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_folder()))
    assert ScriptDirectory.from_config(config).get_current_head() == migrate.newest_migration()


def test_processes_that_start_at_once_migrate_once(empty: Database) -> None:
    url = empty.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", MIGRATE_IN_A_PROCESS, url]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert said == ["False", "False", "False", "True"]
    assert migrate.is_current(empty)


def test_an_upgrade_that_fails_leaves_nothing_behind(empty: Database) -> None:
    with empty.write() as session:
        session.execute(text("CREATE TABLE quota_block (in_the_way INTEGER)"))
    with pytest.raises(DBAPIError):
        migrate.upgrade(empty)
    assert inspect(empty.engine).get_table_names() == ["quota_block"]


def test_database_of_a_newer_gatehouse_is_refused(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrate.DatabaseTooNew, match=f"migration 9999, this Gatehouse knows up to {migrate.newest_migration()}"):
        migrate.upgrade(database)


def test_downgrade_takes_everything_away(database: Database) -> None:
    run_alembic(database, "downgrade", "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]


def test_what_soft_quotas_had_let_in_counts_after_the_upgrade(empty: Database) -> None:
    run_alembic(empty, "upgrade", "0003")
    fill(empty)
    with empty.write() as session:
        session.execute(text("DELETE FROM quota WHERE month = '2'"))
        session.execute(text("UPDATE usage_event SET rows = 40, tenant_id = (SELECT id FROM tenant WHERE name = month)"))
        session.execute(text("UPDATE quota SET tenant_id = (SELECT id FROM tenant WHERE name = month)"))
    run_alembic(empty, "upgrade", "0004")
    with empty.read() as session:
        assert session.execute(text("SELECT month, taken FROM quota ORDER BY month")).all() == [("1", 40), ("2", 40)]


def test_built_in_plans_and_revision_are_there(database: Database) -> None:
    with database.read() as session:
        assert session.exec(select(RevisionTable.value)).all() == [0]
        trial = session.get_one(PlanTable, "trial")
        standard = session.get_one(PlanTable, "standard")
    assert (trial.requests_count, trial.requests_burst, trial.rows_count, trial.rows_burst) == (5, 20, 1_000, 1_000)
    assert (trial.rows_per_month, trial.quota_mode, trial.rows_per_call, trial.bytes_per_call) == (10_000, "hard", 1_000, 1_048_576)
    assert (standard.requests_count, standard.requests_burst, standard.rows_count, standard.rows_burst) == (50, 200, 100_000, 100_000)
    assert (standard.rows_per_month, standard.quota_mode) == (1_000_000, "soft")
    assert (standard.rows_per_call, standard.bytes_per_call) == (100_000, 64 * 1_048_576)
    assert {trial.requests_period_s, trial.rows_period_s, standard.requests_period_s, standard.rows_period_s} == {1}
    assert trial.created_at.tzinfo is not None


@pytest.mark.parametrize("change", [update(AuditTable).values(actor="nobody"), delete(AuditTable)], ids=["update", "delete"])
def test_audit_rows_can_be_neither_changed_nor_deleted(database: Database, change: object) -> None:
    with database.write() as session:
        record_audit(session, Actor("os-user:alice", "cli"), "tenant.create", "acme", {"plan": "trial"})
    with pytest.raises(DBAPIError, match="audit rows are never changed"), database.write() as session:
        session.execute(change)  # type: ignore[call-overload]
    with database.read() as session:
        assert session.exec(select(AuditTable.actor).order_by(col(AuditTable.id))).all() == ["os-user:alice"]


def test_audit_cannot_be_emptied_on_postgresql(postgresql_database: Database) -> None:
    with pytest.raises(DBAPIError, match="audit rows are never changed"), postgresql_database.write() as session:
        session.execute(text("TRUNCATE audit"))


def test_migrations_are_found_beside_the_package_when_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "gatehouse" / "db" / "migrate.py"
    (tmp_path / "gatehouse" / migrate.PACKAGED).mkdir(parents=True)
    monkeypatch.setattr(migrate, "__file__", str(module))
    assert migrate.migrations_folder() == tmp_path / "gatehouse" / migrate.PACKAGED
