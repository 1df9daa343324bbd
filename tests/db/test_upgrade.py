"""A deployment that an earlier Gatehouse has left, at each revision of the schema: today's takes it over, and nothing is lost."""

import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commanded import commanded
from database_content import Rows, content_of, fill, run_alembic, within
from logged_in import invited
from sqlalchemy import text
from stage import ACTOR, IRIS_ROW, Stage, instances, wait_until

from gatehouse.db import migrate
from gatehouse.db.session import Database, open_database
from gatehouse.identity.sealing import Seal
from gatehouse.identity.store import find_tenant
from gatehouse.notices.targets import create_target
from gatehouse.operating.backup_making import OF_PROCESSES
from gatehouse.principal import Role
from gatehouse.settings import values_in

pytestmark = pytest.mark.endpoints("iris v1")
REVISIONS = sorted(file.name[:4] for file in (migrate.migrations_folder() / "versions").glob("0*.py"))
EARLIER = REVISIONS[:-1]
CAME_SINCE = {"GATEHOUSE_AUDIT_KEY": "0013"}
"""Settings without a default, and the revision that brought them."""
ON_POSTGRESQL_IN_EVERY_RUN = {EARLIER[-1]}
SERVED_IN_EVERY_RUN = {"0001", EARLIER[-1]}
SCHEMA = {
    "sqlite": ("SELECT type, name, tbl_name, sql FROM sqlite_master",),
    "postgresql": (
        "SELECT table_name, column_name, udt_name, is_nullable, column_default FROM information_schema.columns WHERE table_schema='public'",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conname, CAST(conrelid AS regclass)::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype <> 'n'",
        "SELECT tgname, CAST(tgrelid AS regclass)::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = CAST('public' AS regnamespace)",
    ),
}


@dataclass(frozen=True)
class Used:
    """A deployment of today with real rows: they are put into each earlier schema as far as that had their columns."""

    stage: Stage
    key: str
    content: dict[str, Rows]


@dataclass(frozen=True)
class Left:
    """What an earlier Gatehouse has left: a folder with settings and published versions, and a database with rows in every table."""

    stage: Stage
    revision: str
    before: dict[str, Rows]
    fresh: Database
    """Of the same kind, made by today's Gatehouse."""

    @property
    def url(self) -> dict[str, str]:
        """Of a database that is not where it lies by default."""
        return {name: value for name, value in self.stage.values.items() if name == "GATEHOUSE_DATABASE_URL"}

    def commanded(self, *arguments: str, code: int = 0) -> str:
        said = commanded(self.stage.state_dir, *arguments, code=code, **self.url)
        return said.error if code else said.out


@pytest.fixture(scope="module")
def used(published: Path, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    folder = tmp_path_factory.mktemp("used")
    shutil.copyfile(sqlite_template, folder / "gatehouse.db")
    stage = Stage(folder, published, f"sqlite:///{folder / 'gatehouse.db'}", ["iris v1"])
    key = stage.tenant("acme", "iris")
    invited(stage, "lead", Role.TENANT_ADMIN, "acme")
    with stage.database.write() as session:
        tenant = find_tenant(session, "acme")
        assert tenant is not None
        create_target(session, ACTOR, tenant.id, tenant.name, "https://hooks.example.org/", (), Seal(*stage.settings.secret_keys))
    with stage.serving() as live:
        assert live.predict(key, instances(IRIS_ROW), idempotency_key="once").status_code == 200
        wait_until(lambda: len(content_of(stage.database)["usage_event"]) == 1)
    content = content_of(stage.database)
    yield Used(stage, key, {name: rows for name, rows in content.items() if rows})
    stage.close()


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SQLite databases without rows of each earlier revision."""
    folder = tmp_path_factory.mktemp("earlier")
    growing = open_database(f"sqlite:///{folder / 'growing.db'}")
    for revision in EARLIER:
        run_alembic(growing, "upgrade", revision)
        growing.close()  # all of it is in the file, and not in the log beside it
        shutil.copyfile(folder / "growing.db", folder / f"{revision}.db")
    return {revision: folder / f"{revision}.db" for revision in EARLIER}


def cases(always: set[str], kind: str) -> list[Any]:
    """Of each earlier revision; what is not in every run is in `make soak`."""
    return [pytest.param(f"{kind} {revision}", marks=() if revision in always else pytest.mark.soak) for revision in EARLIER]


@pytest.fixture
def left(request: pytest.FixtureRequest, used: Used, earlier: dict[str, Path], tmp_path: Path) -> Iterator[Left]:
    kind, revision = request.param.split()
    folder = tmp_path / "state"
    shutil.copytree(used.stage.state_dir, folder, ignore=shutil.ignore_patterns("gatehouse.db*", "spool", "metrics"))
    folder.chmod(0o700)
    url = f"sqlite:///{folder / 'gatehouse.db'}" if kind == "sqlite" else request.getfixturevalue("empty_postgresql_url")
    stage = copy.copy(used.stage)
    stage.state_dir = folder
    stage.values = {name: value for name, value in used.stage.values.items() if CAME_SINCE.get(name, "") <= revision}
    stage.values.pop("GATEHOUSE_DATABASE_URL")
    (folder / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in stage.values.items()))
    (folder / "settings.env").chmod(0o600)
    stage.database = open_database(url)
    if kind == "sqlite":
        shutil.copyfile(earlier[revision], folder / "gatehouse.db")
    else:
        stage.values["GATEHOUSE_DATABASE_URL"] = url
        run_alembic(stage.database, "upgrade", revision)
    fill(stage.database, used.content)
    fresh = open_database(request.getfixturevalue(f"{kind}_url"))
    yield Left(stage, revision, content_of(stage.database), fresh)
    for database in (stage.database, fresh):
        database.close()


ON_SQLITE_IN_EVERY_RUN = {EARLIER[0], *EARLIER[-4:]}
EACH = pytest.mark.parametrize(
    "left", cases(ON_SQLITE_IN_EVERY_RUN, "sqlite") + cases(ON_POSTGRESQL_IN_EVERY_RUN, "postgresql"), indirect=True
)


@EACH
def test_todays_gatehouse_takes_over_what_each_revision_has_left(left: Left) -> None:
    assert all(left.before.values())
    for name in [name for name, since in CAME_SINCE.items() if since > left.revision]:
        refusal = left.commanded("tenants", "list", code=1)
        assert f"{name} is not set" in refusal
        assert "gatehouse secrets create --write adds it" in refusal
        left.commanded("secrets", "create", "--write")
    assert "acme" in left.commanded("tenants", "list")
    assert migrate.is_current(left.stage.database)
    assert within(content_of(left.stage.database), left.before) == left.before
    assert schema_of(left.stage.database) == schema_of(left.fresh)


def schema_of(database: Database) -> set[tuple[Any, ...]]:
    """Everything that the database says of its tables: columns, indexes, constraints, triggers and functions."""
    with database.read() as session:
        return {tuple(row) for query in SCHEMA[database.dialect] for row in session.execute(text(query))}


@pytest.mark.parametrize("left", cases(SERVED_IN_EVERY_RUN, "sqlite") + cases(set(), "postgresql"), indirect=True)
def test_todays_server_starts_on_what_each_revision_has_left_and_answers_an_old_key(left: Left, used: Used) -> None:
    if left.revision < CAME_SINCE["GATEHOUSE_AUDIT_KEY"]:
        left.commanded("secrets", "create", "--write")
    left.stage.values |= values_in((left.stage.state_dir / "settings.env").read_text())
    left.commanded("tenants", "list")
    left.commanded("doctor")
    with left.stage.serving() as live:
        answer = live.predict(used.key, instances(IRIS_ROW))
        assert answer.json()["predictions"][0]["label"] == "setosa"
    assert left.commanded("audit", "verify")


@pytest.mark.parametrize("left", cases({"0001"}, "sqlite") + cases(set(), "postgresql"), indirect=True)
def test_a_backup_of_what_was_left_is_restored_and_migrated_and_leaves_it_as_it_is(left: Left, tmp_path: Path) -> None:
    left.commanded("secrets", "create", "--write")
    left.commanded("backup", "create", str(tmp_path / "a.backup"))
    assert not migrate.is_current(left.stage.database)
    url = f"sqlite:///{tmp_path / 'new.db'}"
    commanded(tmp_path / "new", "backup", "restore", str(tmp_path / "a.backup"), GATEHOUSE_DATABASE_URL=url)
    restored = open_database(url)
    kept = {name: rows for name, rows in left.before.items() if name not in OF_PROCESSES}
    assert within(content_of(restored), kept) == kept
    assert migrate.is_current(restored)
    restored.close()
